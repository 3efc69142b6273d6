//! Tables of keys and values (`hash:`, `texthash:`): read as text, kept in one arena, found in constant time.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::fold;
use crate::lines::{self, is_space, trim};
use crate::problem::{Problem, Severity};
use crate::token::{quote, unquote};

/// One key with its value; both stand in the arena, the value after the key.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    key: u32,
    value: u32,
    line: u32,
}

/// A table in memory: about its file's size and 24 octets a line.
#[derive(Debug)]
pub(crate) struct Table {
    arena: String,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hasher: RandomState,
}

/// A line of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// The key as look-ups have it: folded, the domain as A-labels.
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) number: u32,
}

impl Table {
    /// Reads a table; lines that cannot be used are reported and left out.
    pub(crate) fn parse(map: &str, file: &[u8], problems: &mut Vec<Problem>) -> Self {
        let mut table = Self { arena: String::new(), entries: Vec::new(), index: HashTable::new(), hasher: RandomState::new() };
        if file.starts_with("\u{feff}".as_bytes()) {
            let message = "the file begins with a byte order mark, which becomes part of the first key";
            problems.push(Problem::new(Severity::Warning, map, 1, "", message));
        }
        lines::each(file, |number, line| table.add_line(map, number, line, problems));
        table.arena.shrink_to_fit();
        table.entries.shrink_to_fit();
        table
    }

    fn add_line(&mut self, map: &str, number: u32, line: &[u8], problems: &mut Vec<Problem>) {
        let mut report = |severity, message: String| {
            problems.push(Problem::new(severity, map, number, &String::from_utf8_lossy(line), message));
        };
        let (key, value) = match split(line) {
            Ok(parts) => parts,
            Err(message) => return report(Severity::Error, message.to_owned()),
        };
        if let Some(warning) = doubt(key) {
            report(Severity::Warning, warning);
        }
        match self.add(key, value, number) {
            Ok(None) => {}
            Ok(Some(first)) => report(Severity::Warning, format!("this key stands in line {first} already, and the first one counts")),
            Err(TooLarge) => report(Severity::Error, "the map is over 4 GiB".to_owned()),
        }
    }

    /// Adds a line; gives the number of the line that has the key already.
    fn add(&mut self, key: &str, value: &str, number: u32) -> Result<Option<u32>, TooLarge> {
        let start = self.arena.len();
        fold::key_into(&mut self.arena, key);
        if let Some(first) = self.find(&self.arena[start..]).map(|line| line.number) {
            self.arena.truncate(start);
            return Ok(Some(first));
        }
        let key_end = self.arena.len();
        self.arena.push_str(value);
        let small = |n: usize| u32::try_from(n).map_err(|_| TooLarge);
        let entry = Entry { start: small(start)?, key: small(key_end - start)?, value: small(value.len())?, line: number };
        self.insert(entry);
        self.add_domain_form(key, value, number)
    }

    /// A domain line with letters beyond ASCII is found under its A-labels as well.
    fn add_domain_form(&mut self, key: &str, value: &str, number: u32) -> Result<Option<u32>, TooLarge> {
        if key.is_ascii() || key.contains('@') || !key.contains('.') {
            return Ok(None);
        }
        match fold::domain(key) {
            ascii if ascii.is_ascii() => self.add(&ascii, value, number),
            _ => Ok(None),
        }
    }

    fn insert(&mut self, entry: Entry) {
        let at = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let key = |entry: &Entry| &self.arena[entry.start as usize..][..entry.key as usize];
        let hash = self.hasher.hash_one(key(&entry));
        self.entries.push(entry);
        let rehash = |i: &u32| self.hasher.hash_one(key(&self.entries[*i as usize]));
        self.index.insert_unique(hash, at, rehash);
    }

    /// The line with this key.
    pub(crate) fn find(&self, key: &str) -> Option<Line<'_>> {
        let hash = self.hasher.hash_one(key);
        let at = self.index.find(hash, |i| self.line(&self.entries[*i as usize]).key == key)?;
        Some(self.line(&self.entries[*at as usize]))
    }

    fn line(&self, entry: &Entry) -> Line<'_> {
        let (key, rest) = self.arena[entry.start as usize..].split_at(entry.key as usize);
        Line { key, value: &rest[..entry.value as usize], number: entry.line }
    }

    /// All lines, in the order of the file.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.entries.iter().map(|entry| self.line(entry))
    }
}

/// The arena has 32-bit offsets.
struct TooLarge;

/// Splits a logical line into key and value. White space in quotes or after a backslash belongs to the key.
pub(crate) fn split(line: &[u8]) -> Result<(&str, &str), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
    if line.as_bytes().first().copied().is_some_and(is_space) {
        return Err("the first line must not begin with white space, since it continues none");
    }
    if line.contains('\0') {
        return Err("the line has a NUL character");
    }
    let key = &line[..key_length(line).ok_or("a quotation mark is open at the line's end")?];
    let value = trim(&line[key.len()..]);
    if value.is_empty() { Err("expected a key, white space and a value; there is no value") } else { Ok((key, value)) }
}

fn key_length(line: &str) -> Option<usize> {
    let mut in_quotes = false;
    let mut bytes = line.bytes().enumerate();
    while let Some((at, b)) = bytes.next() {
        match b {
            b'\\' => drop(bytes.next()),
            b'"' => in_quotes = !in_quotes,
            _ if is_space(b) && !in_quotes => return Some(at),
            _ => {}
        }
    }
    (!in_quotes).then_some(line.len())
}

/// Why a key that is well-formed is probably not what its owner means.
pub(crate) fn doubt(key: &str) -> Option<String> {
    if key.ends_with(':') {
        return Some("the key ends with a colon; is this an aliases(5) file?".to_owned());
    }
    if key.starts_with('.') && !key.contains('@') {
        return Some("names of parent domains do not count here; each domain needs a line of its own".to_owned());
    }
    if key.ends_with('.') && key.len() > 1 {
        return Some("this key is never found: addresses are looked up without the final dot".to_owned());
    }
    let plain = unquote(key);
    let looked_up = match plain.starts_with('@') {
        true if !key.starts_with('"') => plain,
        _ if key.contains('@') => quote(&plain),
        _ => crate::token::quote_local(&plain).into_owned(),
    };
    (looked_up != key).then(|| format!("this key is never found: the address is looked up as {looked_up}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Table, Vec<String>) {
        let mut problems = Vec::new();
        let table = Table::parse("hash:v", text.as_bytes(), &mut problems);
        (table, problems.iter().map(ToString::to_string).collect())
    }

    fn value<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
        table.find(key).map(|line| line.value)
    }

    #[test]
    fn keys_end_at_the_first_bare_white_space() {
        let (table, problems) = parse("a@x joe, jane \r\n\"b c\"@x\tjoe\nd@x\n  joe\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!(value(&table, "a@x"), Some("joe, jane"));
        assert_eq!(value(&table, "\"b c\"@x"), Some("joe"));
        assert_eq!(table.find("d@x").map(|l| (l.value, l.number)), Some(("joe", 3)));
    }

    #[test]
    fn bad_lines_are_quoted_and_left_out() {
        let (table, problems) = parse("  lead joe\nlonely\n\"open joe\nok joe\n");
        assert_eq!(table.lines().count(), 1);
        assert_eq!(problems.len(), 3);
        assert!(problems[1].starts_with("hash:v:2: error: expected a key"), "{}", problems[1]);
        assert!(problems[1].ends_with(": lonely"), "{}", problems[1]);
    }

    #[test]
    fn the_first_of_two_lines_counts() {
        let (table, problems) = parse("a@x joe\nA@X jane\n");
        assert_eq!(value(&table, "a@x"), Some("joe"));
        assert_eq!(problems, ["hash:v:2: warning: this key stands in line 1 already, and the first one counts: A@X jane"]);
    }

    #[test]
    fn keys_that_are_never_found_are_named() {
        for key in ["a:", ".sub.example", "x.example.", "\"plain\"@x", "q.r.@x", "a@b@x"] {
            assert_eq!(parse(&format!("{key} joe\n")).1.len(), 1, "{key}");
        }
        for key in ["a", "a@x", "@x", "x.example", "\"a b\"@x", "a+b@x", "jörg@x", "\"two words\""] {
            assert_eq!(parse(&format!("{key} joe\n")).1, [""; 0], "{key}");
        }
    }

    #[test]
    fn international_domains_are_found_in_either_form() {
        let (table, _) = parse("bücher.example x\ninfo@bücher.example joe\n");
        assert_eq!(value(&table, "xn--bcher-kva.example"), Some("x"));
        assert_eq!(value(&table, "info@xn--bcher-kva.example"), Some("joe"));
    }

    #[test]
    fn a_large_table_is_found_in_whole() {
        let text: String = (0..100_000).map(|i| format!("user{i}@virt.example user{i}@host.example\n")).collect();
        let (table, problems) = parse(&text);
        assert_eq!(problems.len(), 0);
        assert!((0..100_000).all(|i| value(&table, &format!("user{i}@virt.example")).is_some()));
    }
}
