//! Header fields as they stand in the message: an iterator over them, unfolding, and picking by name.
//!
//! Nothing is refused. A line without a colon is a field without a name, a line that begins with a blank continues the
//! one before it, even if it holds nothing else (RFC 5322 section 4.2), and only an empty line ends the header.

use std::borrow::Cow;

use memchr::memchr;

use crate::eol::blank_line;
use crate::limits;

/// One field, folds and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// What stands before the colon, without blanks behind it (`Subject : x` is a Subject, RFC 5322 section 4.5.3).
    /// Empty for a line without a colon.
    pub name: &'a [u8],
    /// What stands behind the colon, with its folds, without the final line end.
    pub value: &'a [u8],
    /// The whole field with its final line end, if it has one.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether the field has this name, in any case.
    #[must_use]
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value with its line ends taken out, and the blanks before it on the first line (RFC 5322 section 2.2.3).
    #[must_use]
    pub fn joined(&self) -> Cow<'a, [u8]> {
        let value = bounded(self.value);
        let value = &value[value.iter().take_while(|b| is_blank(**b)).count()..];
        if memchr(b'\n', value).is_none() {
            return Cow::Borrowed(value);
        }
        Cow::Owned(value.split(|&b| b == b'\n').flat_map(|line| line.strip_suffix(b"\r").unwrap_or(line)).copied().collect())
    }

    /// The value on one line, without blanks around it; at most [`limits::FIELD`] octets of it are looked at.
    #[must_use]
    pub fn text(&self) -> Cow<'a, [u8]> {
        unfold(bounded(self.value))
    }
}

/// Cuts a value at [`limits::FIELD`].
pub(crate) fn bounded(value: &[u8]) -> &[u8] {
    &value[..value.len().min(limits::FIELD)]
}

/// The fields of a header; see [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// The fields of the header that `raw` begins with, up to its blank line or to the end.
#[must_use]
pub fn fields(raw: &[u8]) -> Fields<'_> {
    Fields { rest: raw }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() || blank_line(self.rest).is_some() {
            return None;
        }
        let first = line_end(self.rest, 0);
        let mut end = first;
        while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
            end = line_end(self.rest, end);
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        let colon = memchr(b':', &raw[..first]);
        let name = colon.map_or(&b""[..], |at| trim_end(&raw[..at]));
        Some(Field { name, value: strip_line_end(&raw[colon.map_or(0, |at| at + 1)..]), raw })
    }
}

/// Where the line that begins at `from` ends, its line end included.
fn line_end(text: &[u8], from: usize) -> usize {
    memchr(b'\n', &text[from..]).map_or(text.len(), |at| from + at + 1)
}

fn strip_line_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").map_or(line, |cut| cut.strip_suffix(b"\r").unwrap_or(cut))
}

fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// Without blanks at the end.
pub(crate) fn trim_end(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|&b| !is_blank(b)).map_or(0, |at| at + 1)]
}

/// Without blanks and line ends around.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let blank = |b: &u8| is_blank(*b) || *b == b'\r' || *b == b'\n';
    let start = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !blank(b)).map_or(start, |at| at + 1);
    &text[start..end]
}

/// Puts a value on one line: each fold, with the blanks that follow it, becomes one space. Blanks around go.
#[must_use]
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = trim(value);
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    for line in value.split(|&b| b == b'\n') {
        let line = trim(line);
        if !line.is_empty() {
            if !out.is_empty() {
                out.push(b' ');
            }
            out.extend_from_slice(line);
        }
    }
    Cow::Owned(out)
}

/// Copies the fields that `wanted` likes, as they stand (`BODY[HEADER.FIELDS ...]`). The blank line follows if the header
/// has one, or if `always_blank`.
pub(crate) fn pick(header: &[u8], always_blank: bool, mut wanted: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len().min(512));
    let mut iter = fields(header);
    for field in iter.by_ref() {
        if wanted(field.name) {
            out.extend_from_slice(field.raw);
        }
    }
    if always_blank || !iter.rest.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_as_they_stand() {
        let raw = b"A: b\r\n c\nno colon\r\nSubject : x\n\t\n y\n:z\n\nbody: no\n";
        let seen: Vec<_> = fields(raw).map(|f| (String::from_utf8_lossy(f.name), String::from_utf8_lossy(f.value))).collect();
        assert_eq!(seen, [("A", " b\r\n c"), ("", "no colon"), ("Subject", " x\n\t\n y"), ("", "z")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!(fields(raw).map(|f| f.raw.len()).sum::<usize>(), raw.len() - b"\nbody: no\n".len());
    }

    #[test]
    fn joins_lines() {
        for (value, expected) in [("  a\r\n\tb ", "a\tb "), (" \n  x", "  x"), ("a\r", "a\r"), ("", "")] {
            let field = Field { name: b"A", value: value.as_bytes(), raw: b"" };
            assert_eq!(field.joined(), expected.as_bytes(), "{value:?}");
        }
    }

    #[test]
    fn unfolds_to_one_space() {
        for (value, expected) in [(" a\r\n b", "a b"), ("a \n\t  b\n \n c ", "a b c"), ("  ", ""), ("\n x", "x"), ("a  b", "a  b")] {
            assert_eq!(unfold(value.as_bytes()), expected.as_bytes(), "{value:?}");
        }
    }
}
