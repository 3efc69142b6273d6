//! `dovecot-uidlist`, version 3: which file has which UID.
//!
//! ```text
//! 3 V<UIDVALIDITY> N<next UID, at least> G<the mailbox's GUID>
//! <uid> [<letter><value> ...] :<base of the file name>
//! ```
//!
//! Lines ascend by UID. A line whose file is gone means nothing; of two lines with the same name the later one counts.
//! New lines are appended under `dovecot-uidlist.lock`, so that a delivery costs the same in a mailbox of any size;
//! the header's `N` may lag behind the lines. A damaged file is read as far as it makes sense: what still tells a UID
//! keeps it.

use std::fmt::Write;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use mail::{Uid, UidValidity};
use system::{Create, Disk, Stat};

use crate::dotlock::{DotLock, Locks};
use crate::error::{At, Result};

/// The file's name in its mailbox folder.
pub const FILE: &str = "dovecot-uidlist";

/// Room for four million messages.
const LONGEST_FILE: u64 = 512 << 20;

/// Which state of the file it is: a change by another program changes one of the three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Inode number.
    pub inode: u64,
    /// Size in octets.
    pub size: u64,
    /// Last change, nanoseconds since 1970.
    pub modified: i64,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self { inode: stat.inode, size: stat.size, modified: stat.modified }
    }
}

/// The first line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The mailbox's UIDVALIDITY.
    pub validity: UidValidity,
    /// The next UID, at least; lines may reach further.
    pub next: Uid,
    /// The mailbox's GUID, 32 hexadecimal digits, or empty.
    pub guid: String,
    /// Fields of the line that mean nothing here, kept as they are.
    pub others: String,
}

/// One message: its UID, and where in the text its name and its further fields stand.
#[derive(Clone, Debug)]
pub struct Line {
    /// The message's UID.
    pub uid: Uid,
    name: Range<u32>,
    fields: Range<u32>,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct UidList {
    /// The header, with `next` raised above all lines; `None` if it made no sense.
    pub header: Option<Header>,
    /// The lines, ascending by UID, no name or UID twice.
    pub lines: Vec<Line>,
    /// How many lines made no sense or stood out of order. If any, the file wants to be written anew.
    pub damage: usize,
    text: Vec<u8>,
}

impl UidList {
    /// Reads the file's text, leniently.
    #[must_use]
    pub fn parse(text: Vec<u8>) -> Self {
        let mut list = Self { text, ..Self::default() };
        let text = std::mem::take(&mut list.text);
        // Version 1 has no colon before the name.
        let old = text.starts_with(b"1 ");
        let mut at = 0;
        for (number, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            let begin = at as u32;
            at += line.len();
            if number == 0 {
                list.header = parse_header(line.trim_ascii_end());
                if list.header.is_some() {
                    continue;
                }
            }
            match line.strip_suffix(b"\n").and_then(|whole| parse_line(whole, begin, old)) {
                Some(parsed) => list.lines.push(parsed),
                None => list.note_damage(line),
            }
        }
        list.damage += usize::from(list.header.is_none() && !text.is_empty());
        list.text = text;
        list.put_in_order();
        list
    }

    /// A line cut short by a crash still tells which UID was given away.
    fn note_damage(&mut self, line: &[u8]) {
        self.damage += 1;
        let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
        let uid = std::str::from_utf8(&line[..digits]).ok().and_then(|d| d.parse::<Uid>().ok());
        let plausible = uid.filter(|uid| digits < line.len() && *uid < self.next().saturating_add(1_000));
        if let (Some(uid), Some(header)) = (plausible, &mut self.header) {
            header.next = header.next.max(uid.saturating_add(1));
        }
    }

    fn next(&self) -> Uid {
        let last = self.lines.last().map_or(0, |line| line.uid);
        self.header.as_ref().map_or(1, |h| h.next).max(last.saturating_add(1))
    }

    /// Sorts if need be, drops earlier lines of a name and later lines of a UID, raises `next`.
    fn put_in_order(&mut self) {
        let ascending = self.lines.windows(2).all(|pair| pair[0].uid < pair[1].uid);
        if !ascending {
            let before = self.lines.len();
            self.lines.sort_by_key(|line| line.uid);
            self.lines.dedup_by_key(|line| line.uid);
            self.damage += 1 + before - self.lines.len();
        }
        let mut seen = std::collections::HashSet::with_capacity(self.lines.len());
        let text = &self.text;
        let mut keep: Vec<bool> = self.lines.iter().rev().map(|line| seen.insert(slice(text, &line.name))).collect();
        keep.reverse();
        let mut kept = keep.into_iter();
        self.lines.retain(|_| kept.next().unwrap_or(true));
        let next = self.next();
        if let Some(header) = &mut self.header {
            header.next = next;
        }
    }

    /// The base of the file name of a line.
    #[must_use]
    pub fn name(&self, line: &Line) -> &[u8] {
        slice(&self.text, &line.name)
    }

    /// The further fields of a line, such as `S28 W32`.
    #[must_use]
    pub fn fields(&self, line: &Line) -> &str {
        std::str::from_utf8(slice(&self.text, &line.fields)).unwrap_or_default()
    }

    /// The number in the field with this letter: `S` size, `W` size with line ends of two octets.
    #[must_use]
    pub fn number(&self, line: &Line, letter: char) -> Option<u64> {
        self.fields(line).split(' ').find_map(|field| field.strip_prefix(letter)?.parse().ok())
    }
}

fn slice<'a>(text: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    text.get(range.start as usize..range.end as usize).unwrap_or_default()
}

fn parse_header(line: &[u8]) -> Option<Header> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let mut header = Header { next: 1, ..Header::default() };
    match words.next()? {
        "3" => {
            for word in words {
                match word.split_at_checked(1)? {
                    ("V", value) => header.validity = value.parse().ok()?,
                    ("N", value) => header.next = value.parse().ok()?,
                    ("G", value) => header.guid = value.to_owned(),
                    _ => header.others.extend([" ", word]),
                }
            }
        }
        "1" => {
            header.validity = words.next()?.parse().ok()?;
            header.next = words.next()?.parse().ok()?;
        }
        _ => return None,
    }
    (header.validity > 0).then_some(header)
}

/// `uid [fields] :name` (version 3) or `uid name` (version 1); `begin` is where the line stands in the text.
fn parse_line(line: &[u8], begin: u32, old: bool) -> Option<Line> {
    let space = line.iter().position(|b| *b == b' ')?;
    let uid = std::str::from_utf8(&line[..space]).ok()?.parse().ok().filter(|uid| (1..Uid::MAX).contains(uid))?;
    let rest = &line[space..];
    let colon = rest.windows(2).position(|w| w == b" :");
    let (fields, name) = match colon {
        Some(0) => (0..0, space + 2),
        Some(at) => (space + 1..space + at, space + at + 2),
        None if old => (0..0, space + 1),
        None => return None,
    };
    // Old versions of Dovecot wrote the letters too.
    let end = name + crate::name::base(line.get(name..)?).len();
    let place = |range: Range<usize>| begin + range.start as u32..begin + range.end as u32;
    (end > name).then(|| Line { uid, name: place(name..end), fields: place(fields) })
}

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewLine<'a> {
    /// The message's UID.
    pub uid: Uid,
    /// Fields such as `W32`, without blanks around them; mostly empty.
    pub fields: &'a str,
    /// The base of the file name.
    pub name: &'a [u8],
}

impl NewLine<'_> {
    fn write(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.uid.to_string().as_bytes());
        if !self.fields.is_empty() {
            text.push(b' ');
            text.extend_from_slice(self.fields.as_bytes());
        }
        text.extend_from_slice(b" :");
        text.extend_from_slice(self.name);
        text.push(b'\n');
    }
}

/// The UID list of one mailbox, locked against other programs.
#[derive(Debug)]
pub struct Locked<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    _lock: DotLock<'a>,
}

impl<'a> Locked<'a> {
    /// Takes the lock.
    ///
    /// # Errors
    /// Those of the lock.
    pub fn take(locks: &'a Locks, folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let lock = locks.take(&path)?;
        Ok(Self { disk: locks.disk(), path, _lock: lock })
    }

    /// Appends lines to the file, which is in the state `stamp`; with `sync` they are durable. Gives the new state.
    ///
    /// # Errors
    /// Those of the disk; then none of the lines is there.
    pub fn append(&self, stamp: &Stamp, lines: &[NewLine<'_>], sync: bool) -> Result<Stamp> {
        let mut text = Vec::with_capacity(lines.len() * 80);
        lines.iter().for_each(|line| line.write(&mut text));
        let file = self.disk.open(&self.path, Create::Write).at(&self.path)?;
        let written = file.write_at(&text, stamp.size).and_then(|()| if sync { file.sync() } else { Ok(()) });
        if written.is_err() {
            // A full disk may have taken some of the lines, and a line is the proof that its file had its place.
            file.set_size(stamp.size).at(&self.path)?;
        }
        let stat = written.and_then(|()| file.stat()).at(&self.path)?;
        Ok(Stamp::of(&stat))
    }

    /// Writes the whole file anew, atomically and durably. `lines` ascend by UID.
    ///
    /// # Errors
    /// Those of the disk; the file is then as it was.
    pub fn rewrite<'l>(&self, header: &Header, lines: impl Iterator<Item = NewLine<'l>>) -> Result<Stamp> {
        let mut first = format!("3 V{} N{}", header.validity, header.next);
        if !header.guid.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(first, " G{}", header.guid);
        }
        let mut text = first.into_bytes();
        text.extend_from_slice(header.others.as_bytes());
        text.push(b'\n');
        lines.for_each(|line| line.write(&mut text));
        system::replace(self.disk, &self.path, &text).at(&self.path)?;
        stamp_of(self.disk, &self.path)
    }
}

pub(crate) fn stamp_of(disk: &dyn Disk, path: &Path) -> Result<Stamp> {
    Ok(Stamp::of(&disk.stat(path).at(path)?))
}

/// The state of a mailbox's UID list, `None` if it has none.
///
/// # Errors
/// Those of the disk.
pub fn stamp(disk: &dyn Disk, folder: &Path) -> Result<Option<Stamp>> {
    match stamp_of(disk, &folder.join(FILE)) {
        Err(error) if error.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}

/// Reads a mailbox's UID list with its state, `None` if it has none. A file that is no regular one or too long reads as damaged.
///
/// # Errors
/// Those of the disk.
pub fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<(UidList, Stamp)>> {
    let path = folder.join(FILE);
    // The state first: what is written in between makes the state differ, and is read again.
    let Some(stamp) = stamp(disk, folder)? else { return Ok(None) };
    let text = match disk.open(&path, Create::Read).and_then(|file| file.read_all(LONGEST_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge) => {
            tracing::warn!(path = %path.display(), %error, "the UID list cannot be read and is made anew");
            return Ok(Some((UidList { damage: 1, ..UidList::default() }, stamp)));
        }
        other => other.at(&path)?,
    };
    let list = UidList::parse(text);
    if list.damage > 0 {
        tracing::warn!(path = %path.display(), lines = list.damage, kept = list.lines.len(), "the UID list is damaged and is repaired");
    }
    Ok(Some((list, stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;
    use system::{HostDisk, SystemClock};

    fn show(list: &UidList) -> String {
        let lines: Vec<_> = list
            .lines
            .iter()
            .map(|line| format!("{}[{}]{}", line.uid, list.fields(line), String::from_utf8_lossy(list.name(line))))
            .collect();
        let header = list.header.as_ref().map(|h| format!("V{} N{} G{}{}", h.validity, h.next, h.guid, h.others));
        format!("{} {} damage {}", header.unwrap_or_default(), lines.join(" "), list.damage)
    }

    #[test]
    fn files_are_read_as_dovecot_writes_them_and_damage_keeps_uids() {
        let check = |text: &str, expected: &str| assert_eq!(show(&UidList::parse(text.as_bytes().to_vec())), expected, "{text:?}");
        check("3 V17 N1 Gab\n1 :a,S=1\n2 :b\n3 W32 S28 :c\n", "V17 N4 Gab 1[]a,S=1 2[]b 3[W32 S28]c damage 0");
        check("3 V17 N9 Xfoo\n", "V17 N9 G Xfoo  damage 0");
        check("1 17 4\n1 a:2,S\n3 b\n", "V17 N4 G 1[]a 3[]b damage 0");
        check("3 V17 N1\n1 :a:2,S\n", "V17 N2 G 1[]a damage 0");
        check("3 V17 N1\n1 :a\n2 :a\n", "V17 N3 G 2[]a damage 0");
        check("3 V17 N1\n1 :a\n7 :cut sho", "V17 N8 G 1[]a damage 1");
        check("3 V17 N1\n5 :e\n1 :a\n5 :x\n", "V17 N6 G 1[]a 5[]e damage 2");
        check("rubbish\n5 :e\n", " 5[]e damage 2");
        check("3 V0 N1\n5 :e\n", " 5[]e damage 2");
        check("3 V1 N1\n\n0 :a\n4294967295 :b\nx :c\n4 :\n4\n", "V1 N5 G  damage 6");
        check("", "  damage 0");
    }

    #[test]
    fn appending_and_rewriting_give_what_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let locks = Locks::new(Arc::new(HostDisk), Arc::new(SystemClock), folder.path(), Duration::ZERO);
        let list = Locked::take(&locks, folder.path()).unwrap();
        let header = Header { validity: 5, next: 1, guid: "00ff".to_owned(), others: String::new() };
        let line = |uid, name| NewLine { uid, fields: "", name };
        let stamp = list.rewrite(&header, [line(1, b"a")].into_iter()).unwrap();
        let stamp = list.append(&stamp, &[line(2, b"b"), NewLine { uid: 3, fields: "W9", name: b"c" }], true).unwrap();
        let (read, seen) = read(&HostDisk, folder.path()).unwrap().unwrap();
        assert_eq!((show(&read).as_str(), seen), ("V5 N4 G00ff 1[]a 2[]b 3[W9]c damage 0", stamp));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in prop::collection::vec(prop::sample::select(b"31 VNG:ab\n09,=".to_vec()), 0..200)) {
            let list = UidList::parse(text);
            prop_assert!(list.lines.windows(2).all(|pair| pair[0].uid < pair[1].uid));
            for line in &list.lines {
                prop_assert!(!list.name(line).is_empty());
            }
        }
    }
}
