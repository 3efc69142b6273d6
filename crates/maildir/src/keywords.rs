//! `dovecot-keywords`: which letter in file names is which keyword, a line `<number> <keyword>` for each.

use std::path::Path;

use mail::Keyword;
use system::{Create, Disk};

use crate::dotlock::Locks;
use crate::error::{At, Result};
use crate::name::KEYWORDS;

/// The file's name in its mailbox folder.
pub const FILE: &str = "dovecot-keywords";

/// More than 26 keywords of 100 octets; Dovecot's file cannot be longer in practice.
const LONGEST_FILE: u64 = 64 << 10;

/// The keywords of a mailbox by number; number 0 is the letter `a`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keywords(Vec<Option<Keyword>>);

impl Keywords {
    /// Reads the file's text. Lines that make no sense are left out and counted.
    #[must_use]
    pub fn parse(octets: &[u8]) -> (Self, usize) {
        let (mut keywords, mut damage) = (Self::default(), 0);
        for line in octets.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            if keywords.take_line(line).is_none() {
                damage += 1;
            }
        }
        (keywords, damage)
    }

    fn take_line(&mut self, line: &[u8]) -> Option<()> {
        let (number, keyword) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        let number: usize = number.parse().ok().filter(|n| *n < KEYWORDS)?;
        let keyword: Keyword = keyword.parse().ok()?;
        if self.number(&keyword).is_some() || self.name(number).is_some() {
            return None;
        }
        self.put(number, keyword);
        Some(())
    }

    fn put(&mut self, number: usize, keyword: Keyword) {
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        self.0[number] = Some(keyword);
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let named = self.0.iter().enumerate().filter_map(|(n, keyword)| keyword.as_ref().map(|k| (n, k)));
        named.map(|(n, keyword)| format!("{n} {keyword}\n")).collect()
    }

    /// The number of a keyword.
    #[must_use]
    pub fn number(&self, keyword: &Keyword) -> Option<usize> {
        self.0.iter().position(|k| k.as_ref() == Some(keyword))
    }

    /// The keyword with a number.
    #[must_use]
    pub fn name(&self, number: usize) -> Option<&Keyword> {
        self.0.get(number)?.as_ref()
    }

    /// All numbers up to the highest in use; a number that nobody named has none.
    #[must_use]
    pub fn slots(&self) -> &[Option<Keyword>] {
        &self.0
    }

    /// The bits that have a name.
    #[must_use]
    pub fn known(&self) -> u32 {
        self.0.iter().enumerate().filter(|(_, k)| k.is_some()).fold(0, |bits, (n, _)| bits | 1 << n)
    }

    /// Gives a keyword a number: its own, or the first one free that is not in `used` (letters that already stand in
    /// names without a keyword to them). `None` if all 26 are taken.
    pub fn add(&mut self, keyword: &Keyword, used: u32) -> Option<usize> {
        if let Some(number) = self.number(keyword) {
            return Some(number);
        }
        let number = (0..KEYWORDS).find(|n| self.name(*n).is_none() && used & (1 << n) == 0)?;
        self.put(number, keyword.clone());
        Some(number)
    }

    /// Reads the file of a mailbox; a missing one means that there are no keywords.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read(disk: &dyn Disk, folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let octets = match disk.open(&path, Create::Read).and_then(|file| file.read_all(LONGEST_FILE)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.at(&path)?,
        };
        let (keywords, damage) = Self::parse(&octets);
        if damage > 0 {
            tracing::warn!(path = %path.display(), lines = damage, "lines make no sense and are left out");
        }
        Ok(keywords)
    }

    /// Adds keywords to the file under its lock, after reading what others may have added. Gives the whole, or `None`
    /// if there are too many; then nothing was changed.
    ///
    /// # Errors
    /// Those of the disk and of the lock.
    pub fn extend(locks: &Locks, folder: &Path, add: &[Keyword], used: u32) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let _lock = locks.take(&path)?;
        let mut keywords = Self::read(locks.disk(), folder)?;
        let before = keywords.clone();
        for keyword in add {
            if keywords.add(keyword, used & !before.known()).is_none() {
                return Ok(None);
            }
        }
        if keywords != before {
            system::replace(locks.disk(), &path, keywords.to_text().as_bytes()).at(&path)?;
        }
        Ok(Some(keywords))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_damage_is_counted() {
        let check = |text: &str, back: &str, damage| {
            let (keywords, counted) = Keywords::parse(text.as_bytes());
            assert_eq!((keywords.to_text().as_str(), counted), (back, damage), "{text}");
        };
        check("0 $Forwarded\n1 MyKey\n2 Other\n", "0 $Forwarded\n1 MyKey\n2 Other\n", 0);
        check("2 Other\n0 A", "0 A\n2 Other\n", 0);
        check("26 X\nx\n0 a b\n1 A\n1 B\n3 a\n\u{fffd}\n", "1 A\n", 6);
        check("", "", 0);
    }

    #[test]
    fn a_new_keyword_takes_the_first_letter_that_means_nothing_yet() {
        let (mut keywords, _) = Keywords::parse(b"0 A\n3 D\n");
        assert_eq!(keywords.add(&"a".parse().unwrap(), 0), Some(0));
        assert_eq!(keywords.add(&"E".parse().unwrap(), 0b10), Some(2));
        for n in 0..23 {
            keywords.add(&format!("K{n}").parse().unwrap(), 0).unwrap();
        }
        assert_eq!(keywords.add(&"Z".parse().unwrap(), 0), None);
    }
}
