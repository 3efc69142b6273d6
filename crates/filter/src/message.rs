//! The message as the conditions see it and as it is written out.
//!
//! A header ends at the first empty line; continued header lines are joined with one blank for the search but stay as
//! they are in what is delivered. The search areas are made once and kept; a message is never copied for a condition.

use std::io;
use std::sync::OnceLock;

use memchr::memmem;

/// Which part of the message is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Area {
    /// The header with its empty line.
    Header,
    /// The body.
    Body,
    /// All of it.
    Whole,
}

/// A message on its way to the evaluator, gathered in the one place in memory that it has there: a large one is not copied.
#[derive(Debug)]
pub struct Letter(Vec<u8>);

/// What stands before and behind a message, so that each of its lines is between newlines.
const FRAME: u8 = b'\n';

impl Letter {
    /// An empty message with room for so many octets.
    #[must_use]
    pub fn with_capacity(size: usize) -> Self {
        let mut framed = Vec::with_capacity(size.saturating_add(2));
        framed.push(FRAME);
        Self(framed)
    }
}

impl io::Write for Letter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<&[u8]> for Letter {
    fn from(text: &[u8]) -> Self {
        let mut letter = Self::with_capacity(text.len());
        letter.0.extend_from_slice(text);
        letter
    }
}

impl From<Vec<u8>> for Letter {
    fn from(mut text: Vec<u8>) -> Self {
        text.reserve_exact(2);
        text.insert(0, FRAME);
        Self(text)
    }
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    /// The message with one newline before and one after it.
    framed: Vec<u8>,
    /// Where the body begins in the message.
    body: usize,
    /// Newlines in the header that a continuation line follows.
    folds: Vec<usize>,
    /// "From " in the first line is never quoted: the search for such lines begins here.
    first_quotable: usize,
    /// And here in the body, behind what a Content-Length field covers.
    rest: usize,
    /// Where the value of the Content-Length field begins.
    length_field: Option<usize>,
    cache: Cache,
}

#[derive(Debug, Default)]
struct Cache {
    header: [OnceLock<Vec<u8>>; 2],
    header_lower: [OnceLock<Vec<u8>>; 2],
    whole: OnceLock<Vec<u8>>,
    whole_lower: [OnceLock<Vec<u8>>; 2],
    body_lower: OnceLock<Vec<u8>>,
}

/// A text with nothing in it, framed.
const NOTHING: &[u8] = b"\n\n";

impl Message {
    /// Takes a message in. With `berkeley`, Content-Length fields have no meaning.
    pub(crate) fn new(letter: Letter, berkeley: bool) -> Self {
        let Letter(mut framed) = letter;
        framed.push(FRAME);
        let text = &framed[1..framed.len() - 1];
        let (first_quotable, body, folds) = divide(text);
        let length_field = if berkeley { None } else { content_length(&text[..body]) };
        let mut message = Self { framed, body, folds, first_quotable, rest: 0, length_field, cache: Cache::default() };
        message.settle_length();
        message
    }

    /// The same header with another body, as a filter of the body makes it.
    pub(crate) fn with_body(&self, body: &[u8]) -> Self {
        let mut framed = self.framed[..=self.body].to_vec();
        framed.extend_from_slice(body);
        framed.push(b'\n');
        let mut message = Self {
            framed,
            body: self.body,
            folds: self.folds.clone(),
            first_quotable: first_quotable(self.text()),
            rest: 0,
            length_field: self.length_field,
            cache: Cache::default(),
        };
        message.settle_length();
        message
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &[u8] {
        &self.framed[1..self.framed.len() - 1]
    }

    pub(crate) fn header(&self) -> &[u8] {
        &self.text()[..self.body]
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.text()[self.body..]
    }

    /// The text of an area as programs get it; `joined` if continued header lines are.
    pub(crate) fn area(&self, area: Area, joined: bool) -> &[u8] {
        let framed = self.framed(area, joined, false);
        &framed[1..framed.len() - 1]
    }

    /// The area with a newline before and after it, for a search.
    pub(crate) fn framed(&self, area: Area, joined: bool, lower: bool) -> &[u8] {
        let joined = joined && !self.folds.is_empty();
        let slot = usize::from(joined);
        match (area, lower) {
            (Area::Header, false) => self.cache.header[slot].get_or_init(|| self.frame_header(joined)),
            (Area::Header, true) => self.cache.header_lower[slot].get_or_init(|| self.frame_header(joined).to_ascii_lowercase()),
            (Area::Body, false) => self.frame_body(),
            (Area::Body, true) => self.cache.body_lower.get_or_init(|| self.frame_body().to_ascii_lowercase()),
            (Area::Whole, false) if joined => self.cache.whole.get_or_init(|| self.join_whole()),
            (Area::Whole, false) => &self.framed,
            (Area::Whole, true) => {
                self.cache.whole_lower[slot].get_or_init(|| self.framed(Area::Whole, joined, false).to_ascii_lowercase())
            }
        }
    }

    fn frame_header(&self, joined: bool) -> Vec<u8> {
        let mut header = self.framed[..=self.body].to_vec();
        header.push(b'\n');
        if joined {
            self.join(&mut header);
        }
        header
    }

    fn frame_body(&self) -> &[u8] {
        // The newline before the body is the empty line's; only a message without a body has none.
        if self.body().is_empty() { NOTHING } else { &self.framed[self.body..] }
    }

    fn join_whole(&self) -> Vec<u8> {
        let mut whole = self.framed.clone();
        self.join(&mut whole);
        whole
    }

    fn join(&self, framed: &mut [u8]) {
        for fold in &self.folds {
            framed[fold + 1] = b' ';
        }
    }

    /// Writes the body's length into the Content-Length field, in the width that the field has.
    fn settle_length(&mut self) {
        let mut covered = self.body.saturating_sub(1);
        if let Some(field) = self.length_field {
            let body = self.body();
            // The last newline of an empty line at the end is not counted.
            let phantom = self.text().len() > 1 && self.text()[self.text().len() - 2] == b'\n';
            let length = body.len().saturating_sub(usize::from(phantom));
            let width = self.text()[field..].iter().take_while(|octet| !matches!(octet, b'\n' | 0)).count();
            let digits = format!("{length:>width$}");
            let mut claimed = length;
            if digits.len() == width {
                self.framed[field + 1..field + 1 + width].copy_from_slice(digits.as_bytes());
            } else {
                claimed = self.fill_length(field, width);
            }
            covered = self.body.saturating_add(claimed);
        }
        self.rest = covered;
    }

    /// A field too narrow for the length is filled with nines; gives the length that it then claims.
    fn fill_length(&mut self, field: usize, width: usize) -> usize {
        const MOST_DIGITS: usize = 19;
        let value = &mut self.framed[field + 1..field + 1 + width];
        for (place, octet) in value.iter_mut().enumerate() {
            *octet = if place < MOST_DIGITS { b'9' } else { b' ' };
        }
        (0..width.min(MOST_DIGITS)).fold(0usize, |value, _| value.saturating_mul(10).saturating_add(9))
    }

    /// Cuts `source`, which begins at `offset` of the message, into pieces: behind each but the last comes a line that begins
    /// with "From ", to be quoted in an mbox.
    pub(crate) fn quoted<'a>(&'a self, offset: usize, source: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut begin = 0;
        while let Some(newline) = self.next_from_line(offset + begin, offset + source.len()) {
            let end = newline + 1 - offset;
            pieces.push(&source[begin..end]);
            begin = end;
        }
        pieces.push(&source[begin..]);
        pieces
    }

    /// The newline before the next line that begins with "From ", looked for up to the next zero octet.
    fn next_from_line(&self, begin: usize, end: usize) -> Option<usize> {
        let find = |from: usize, to: usize| {
            let area = crate::text::until_nul(self.text().get(from..to.min(self.text().len()))?);
            memmem::find(area, b"\nFrom ").map(|at| from + at)
        };
        let in_header = if begin < self.body { find(begin.max(self.first_quotable), self.body) } else { None };
        let found = in_header.or_else(|| if end > self.rest { find(begin.max(self.rest), end + 5) } else { None });
        found.filter(|newline| *newline < end)
    }
}

/// The text without a leading "From " line and lines beginning with `>` behind it.
pub(crate) fn skip_from_line(text: &[u8]) -> &[u8] {
    if !text.starts_with(b"From ") {
        return text;
    }
    let mut rest = text;
    loop {
        rest = memchr::memchr(b'\n', rest).map_or(&rest[rest.len()..], |newline| &rest[newline + 1..]);
        if rest.first() != Some(&b'>') {
            return rest;
        }
    }
}

/// Behind the newlines that a message may begin with, and one octet more.
fn first_quotable(text: &[u8]) -> usize {
    let newlines = text.iter().take_while(|octet| **octet == b'\n').count();
    (newlines + 1).min(text.len())
}

/// Where quoting begins, where the body begins, and the newlines before continuation lines.
///
/// The scan ends at a zero octet: procmail finds no body behind one.
fn divide(text: &[u8]) -> (usize, usize, Vec<usize>) {
    let start = first_quotable(text);
    let end = memchr::memchr(0, &text[start..]).map_or(text.len(), |nul| start + nul);
    let mut folds = Vec::new();
    for newline in memchr::memchr_iter(b'\n', &text[start..end]).map(|at| start + at) {
        match text[..end].get(newline + 1) {
            Some(b' ' | b'\t') => folds.push(newline),
            Some(b'\n') => return (start, newline + 2, folds),
            _ => {}
        }
    }
    (start, text.len(), folds)
}

/// Where the value of the first Content-Length field begins.
fn content_length(header: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', header).map(|newline| newline + 1));
    let mut fields = starts.filter(|start| header.get(*start..*start + NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)));
    fields.next().map(|start| start + NAME.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::new(text.as_bytes().into(), false)
    }

    fn check(text: &str, header: &str, body: &str) {
        let message = message(text);
        assert_eq!(message.header(), header.as_bytes(), "{text:?}");
        assert_eq!(message.body(), body.as_bytes(), "{text:?}");
    }

    #[test]
    fn a_message_is_divided_at_its_first_empty_line() {
        check("A: b\n\nbody\n", "A: b\n\n", "body\n");
        check("A: b\n", "A: b\n", "");
        check("", "", "");
        check("\nA: b\n\nx", "\nA: b\n\n", "x");
        check("A: b\r\n\r\nx", "A: b\r\n\r\nx", "");
        check("A: \0b\n\nx", "A: \0b\n\nx", "");
    }

    #[test]
    fn continued_lines_are_joined_for_the_search_alone() {
        let message = message("A: b,\n\tc\nD: e\n\nx\n y");
        assert_eq!(message.area(Area::Header, true), b"A: b, \tc\nD: e\n\n");
        assert_eq!(message.area(Area::Header, false), b"A: b,\n\tc\nD: e\n\n");
        assert_eq!(message.framed(Area::Body, true, false), b"\nx\n y\n");
        assert_eq!(message.area(Area::Whole, true), b"A: b, \tc\nD: e\n\nx\n y");
        assert_eq!(message.framed(Area::Header, true, true), b"\na: b, \tc\nd: e\n\n\n");
    }

    fn quote(text: &str) -> String {
        let message = message(text);
        let pieces: Vec<_> =
            message.quoted(0, message.text()).into_iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
        pieces.join(">")
    }

    #[test]
    fn from_lines_are_found_behind_the_first() {
        assert_eq!(quote("From a\nB: c\nFrom d\n\nFrom e\nx"), "From a\nB: c\n>From d\n\n>From e\nx");
        assert_eq!(quote("A: b\nContent-Length: 7\n\nFrom e\n"), "A: b\nContent-Length: 7\n\nFrom e\n");
    }

    #[test]
    fn content_length_is_set_in_its_width() {
        let field = |text: &str| String::from_utf8(message(text).header().to_vec()).unwrap();
        assert_eq!(field("Content-Length: 9999\n\none\n"), "Content-Length:    4\n\n");
        assert_eq!(field("content-length:7\n\n1234567890\n"), "content-length:9\n\n");
        assert_eq!(field("Content-Length:\n\n1234567890\n"), "Content-Length:\n\n");
    }

    #[test]
    fn the_from_line_is_left_off_with_what_follows_it() {
        assert_eq!(skip_from_line(b"From a\n>From b\nA: c\n"), b"A: c\n");
        assert_eq!(skip_from_line(b"A: c\n"), b"A: c\n");
    }
}
