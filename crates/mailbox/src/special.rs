//! What mailboxes are for (RFC 6154): by a file of our own beside the index if CREATE said so, otherwise by their names.
//!
//! The file `special-use` has a line `<attribute> <mailbox>` for each, such as `\Sent Gesendet`, in UTF-8. Without it, or for
//! mailboxes that it does not name, the usual names count.

use std::io;
use std::path::{Path, PathBuf};

use mail::SpecialUse;
use system::{Create, Disk};

use crate::error::{Result, disk as failed};

const FILE: &str = "special-use";

const LONGEST_FILE: u64 = 4 << 20;

/// Names that mail programs use, in lower case.
const NAMES: [(&str, SpecialUse); 13] = [
    ("archive", SpecialUse::Archive),
    ("archives", SpecialUse::Archive),
    ("drafts", SpecialUse::Drafts),
    ("junk", SpecialUse::Junk),
    ("spam", SpecialUse::Junk),
    ("junk e-mail", SpecialUse::Junk),
    ("sent", SpecialUse::Sent),
    ("sent items", SpecialUse::Sent),
    ("sent messages", SpecialUse::Sent),
    ("sent-mail", SpecialUse::Sent),
    ("trash", SpecialUse::Trash),
    ("deleted items", SpecialUse::Trash),
    ("deleted messages", SpecialUse::Trash),
];

/// The mailboxes that CREATE gave a purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Special(Vec<(String, SpecialUse)>);

impl Special {
    pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Self {
        let path = path(folder);
        match disk.open(&path, Create::Read).and_then(|file| file.read_all(LONGEST_FILE)) {
            Ok(octets) => Self::parse(&String::from_utf8_lossy(&octets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read what mailboxes are for");
                Self::default()
            }
        }
    }

    fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let (attribute, name) = line.split_once(' ')?;
            Some((name.to_owned(), SpecialUse::named(attribute)?))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        let text: String = self.0.iter().map(|(name, special)| format!("{} {name}\n", special.name())).collect();
        system::replace(disk, &path(folder), text.as_bytes()).map_err(failed("write special-use", 0))
    }

    /// What each of these mailboxes is for. A purpose that was given explicitly goes to no other by its name.
    pub(crate) fn of(&self, name: &str) -> Option<SpecialUse> {
        if let Some((_, special)) = self.0.iter().find(|(n, _)| n == name) {
            return Some(*special);
        }
        let lower = name.to_lowercase();
        let (_, special) = NAMES.iter().find(|(n, _)| *n == lower)?;
        (!self.0.iter().any(|(_, given)| given == special)).then_some(*special)
    }

    /// Gives a mailbox a purpose.
    pub(crate) fn set(&mut self, disk: &dyn Disk, folder: &Path, name: &str, special: SpecialUse) -> Result<()> {
        self.0.retain(|(n, _)| n != name);
        self.0.push((name.to_owned(), special));
        self.write(disk, folder)
    }

    /// Mailboxes were renamed, or deleted if there is no new name.
    pub(crate) fn rename(&mut self, disk: &dyn Disk, folder: &Path, pairs: &[(String, Option<String>)]) -> Result<()> {
        let before = self.clone();
        for (old, new) in pairs {
            match new {
                Some(new) => self.0.iter_mut().filter(|(n, _)| n == old).for_each(|(n, _)| n.clone_from(new)),
                None => self.0.retain(|(n, _)| n != old),
            }
        }
        if *self == before { Ok(()) } else { self.write(disk, folder) }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use system::HostDisk;

    #[test]
    fn what_was_said_counts_more_than_names() {
        let folder = tempfile::tempdir().unwrap();
        let mut special = Special::read(&HostDisk, folder.path());
        assert_eq!(special.of("junk"), Some(SpecialUse::Junk));
        assert_eq!(special.of("Sent"), Some(SpecialUse::Sent));
        assert_eq!(special.of("other"), None);
        special.set(&HostDisk, folder.path(), "Gesendet 2", SpecialUse::Sent).unwrap();
        special.rename(&HostDisk, folder.path(), &[("Gesendet 2".to_owned(), Some("Raus".to_owned()))]).unwrap();
        let special = Special::read(&HostDisk, folder.path());
        assert_eq!((special.of("Raus"), special.of("Sent"), special.of("Gesendet 2")), (Some(SpecialUse::Sent), None, None));
    }
}
