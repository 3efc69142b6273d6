//! `subscriptions`: one name a line. Dovecot's version 2 begins with `V<tab>2` and an empty line and has the parts of a
//! name apart by tabs; version 1 is the bare names. Names are in modified UTF-7, as folders are.

use std::path::{Path, PathBuf};

use system::{Create, Disk};

use crate::dotlock::Locks;
use crate::error::{At, Result};
use crate::utf7;

/// The file's name in the Maildir's root.
pub const FILE: &str = "subscriptions";

/// Ten thousand long names and more.
const LONGEST_FILE: u64 = 16 << 20;

const HEADER: &str = "V\t2\n\n";

/// The subscribed names, as the file has them: coded, the parts joined by `.`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions(Vec<String>);

impl Subscriptions {
    /// Reads the file's text, of either version.
    #[must_use]
    pub fn parse(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets);
        let mut names: Vec<String> = Vec::new();
        let (lines, tabs) = match text.strip_prefix("V\t2\n") {
            Some(rest) => (rest, true),
            None => (text.as_ref(), false),
        };
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let name = if tabs { line.split('\t').map(unescape).collect::<Vec<_>>().join(".") } else { line.to_owned() };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self(names)
    }

    /// The file's text, version 2.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = self.0.iter().map(|name| name.split('.').map(escape).collect::<Vec<_>>().join("\t") + "\n");
        HEADER.to_owned() + &lines.collect::<String>()
    }

    /// The names as people write them. Those that are no modified UTF-7 are left out.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().filter_map(|name| utf7::decode(name)).collect()
    }

    /// Adds a name or takes it out; says whether that changed anything.
    pub fn set(&mut self, name: &str, on: bool) -> bool {
        let coded = utf7::encode(name);
        match self.0.iter().position(|n| *n == coded) {
            Some(at) if !on => drop(self.0.remove(at)),
            None if on => self.0.push(coded),
            _ => return false,
        }
        true
    }

    /// Reads the file of a Maildir; a missing one has no names.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read(disk: &dyn Disk, root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        match disk.open(&path, Create::Read).and_then(|file| file.read_all(LONGEST_FILE)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            other => Ok(Self::parse(&other.at(&path)?)),
        }
    }

    /// Changes the file under its lock with `change`, which says whether it changed anything.
    ///
    /// # Errors
    /// Those of the disk and of the lock.
    pub fn change(locks: &Locks, root: &Path, change: impl FnOnce(&mut Self) -> bool) -> Result<()> {
        let path: PathBuf = root.join(FILE);
        let _lock = locks.take(&path)?;
        let mut subscriptions = Self::read(locks.disk(), root)?;
        if change(&mut subscriptions) {
            system::replace(locks.disk(), &path, subscriptions.to_text().as_bytes()).at(&path)?;
        }
        Ok(())
    }
}

/// Dovecot's tab escaping: `\x01` and a letter.
const ESCAPES: [(char, char); 5] = [('\0', '0'), ('\u{1}', '1'), ('\t', 't'), ('\r', 'r'), ('\n', 'n')];

fn escape(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for c in part.chars() {
        match ESCAPES.iter().find(|(plain, _)| *plain == c) {
            Some((_, letter)) => out.extend(['\u{1}', *letter]),
            None => out.push(c),
        }
    }
    out
}

fn unescape(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\u{1}' { chars.next().and_then(|l| ESCAPES.iter().find(|(_, letter)| *letter == l)) } else { None };
        out.push(escaped.map_or(c, |(plain, _)| *plain));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use system::{HostDisk, SystemClock};

    #[test]
    fn both_versions_are_read_and_the_second_is_written() {
        let check = |text: &str, names: &[&str], back: &str| {
            let read = Subscriptions::parse(text.as_bytes());
            assert_eq!((read.names(), read.to_text().as_str()), (names.iter().map(|n| (*n).to_owned()).collect(), back));
        };
        check("V\t2\n\nEntw&APw-rfe\na\tb\n", &["Entwürfe", "a.b"], "V\t2\n\nEntw&APw-rfe\na\tb\n");
        check("INBOX\na.b\na.b\n", &["INBOX", "a.b"], "V\t2\n\nINBOX\na\tb\n");
        check("", &[], "V\t2\n\n");
        check("V\t2\n\na\u{1}tb\n&bad\n", &[], "V\t2\n\na\u{1}tb\n&bad\n");
    }

    #[test]
    fn a_name_is_added_and_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let locks = Locks::new(Arc::new(HostDisk), Arc::new(SystemClock), folder.path(), Duration::ZERO);
        let set = |name: &str, on| {
            Subscriptions::change(&locks, folder.path(), |s| s.set(name, on)).unwrap();
            Subscriptions::read(&HostDisk, folder.path()).unwrap().names().join(" ")
        };
        assert_eq!(set("ä", true), "ä");
        assert_eq!(set("b.c", true), "ä b.c");
        assert_eq!(set("b.c", true), "ä b.c");
        assert_eq!(set("ä", false), "b.c");
        assert_eq!(set("none", false), "b.c");
    }
}
