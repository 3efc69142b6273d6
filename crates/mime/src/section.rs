//! Sections of a message (RFC 3501 section 6.4.5): `BODY[1.2.HEADER]` and its kin. What does not exist is empty, not an
//! error: clients ask for parts that another structure had.

use std::borrow::Cow;

use crate::header;
use crate::structure::{Kind, Part, Structure};

/// What of a part, or of the message, is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// The whole message, or a part's body.
    #[default]
    Whole,
    /// The header of the message, or of a `message/rfc822` part's message.
    Header,
    /// The fields with these names.
    Fields(Vec<Vec<u8>>),
    /// The fields without these names.
    FieldsNot(Vec<Vec<u8>>),
    /// The body of the message, or of a `message/rfc822` part's message.
    Text,
    /// The part's own MIME header.
    Mime,
}

/// A section as written between the brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Part numbers, counted from 1; empty for the message itself.
    pub path: Vec<u32>,
    /// What of it.
    pub text: Text,
}

impl Section {
    /// Reads `1.2.HEADER.FIELDS (From To)` and the like, as it stands between the brackets; field names may be quoted.
    /// `None` if it is no section.
    #[must_use]
    pub fn parse(spec: &str) -> Option<Self> {
        let mut path = Vec::new();
        let mut rest = spec;
        while rest.starts_with(|c: char| c.is_ascii_digit()) {
            let (number, after) = rest.split_once('.').unwrap_or((rest, ""));
            path.push(number.parse().ok()?);
            if after.is_empty() && rest.ends_with('.') {
                return None;
            }
            rest = after;
        }
        let (word, names) = rest.split_once(' ').map_or((rest, None), |(word, names)| (word, Some(names)));
        let text = match (word.to_ascii_uppercase().as_str(), names) {
            ("", None) => Text::Whole,
            ("HEADER", None) => Text::Header,
            ("TEXT", None) => Text::Text,
            ("MIME", None) if !path.is_empty() => Text::Mime,
            ("HEADER.FIELDS", Some(names)) => Text::Fields(field_names(names)?),
            ("HEADER.FIELDS.NOT", Some(names)) => Text::FieldsNot(field_names(names)?),
            _ => return None,
        };
        Some(Self { path, text })
    }
}

/// `(A "B")`; at least one name.
fn field_names(list: &str) -> Option<Vec<Vec<u8>>> {
    let inner = list.strip_prefix('(')?.strip_suffix(')')?;
    let names: Vec<_> = inner.split(' ').map(|name| name.trim_matches('"').as_bytes().to_vec()).collect();
    names.iter().all(|name| !name.is_empty()).then_some(names)
}

impl<'a> Structure<'a> {
    /// The part with these numbers. Part 1 of a message that is no multipart is its body.
    #[must_use]
    pub fn find(&self, path: &[u32]) -> Option<&Part> {
        let mut part = self.root();
        for (at, &number) in path.iter().enumerate() {
            if at > 0 {
                match part.kind {
                    Kind::Message => part = &self.parts[*part.children.first()?],
                    Kind::Multipart => {}
                    _ => return None,
                }
            }
            match (part.kind, number) {
                (Kind::Multipart, 1..) => part = &self.parts[*part.children.get(number as usize - 1)?],
                (_, 1) => {}
                _ => return None,
            }
        }
        Some(part)
    }

    /// The octets of a section as they stand in the message: line ends as in the file. See [`crate::eol`] for the way
    /// to the wire.
    #[must_use]
    pub fn section(&self, section: &Section) -> Cow<'a, [u8]> {
        let Some(part) = self.find(&section.path) else { return Cow::Borrowed(b"") };
        let top = section.path.is_empty();
        let message = if top { Some(part) } else { self.inner_message(part) };
        match &section.text {
            Text::Whole if top => Cow::Borrowed(self.raw),
            Text::Whole => Cow::Borrowed(self.body(part)),
            Text::Mime => Cow::Borrowed(self.header(part)),
            Text::Header => Cow::Borrowed(message.map_or(b"", |message| self.header(message))),
            Text::Text => Cow::Borrowed(message.map_or(b"", |message| self.body(message))),
            Text::Fields(names) => {
                message.map_or(Cow::Borrowed(b""), |message| Cow::Owned(header::pick(self.header(message), top, |name| named(names, name))))
            }
            Text::FieldsNot(names) => message
                .map_or(Cow::Borrowed(b""), |message| Cow::Owned(header::pick(self.header(message), false, |name| !named(names, name)))),
        }
    }

    /// The message inside a `message/rfc822` part.
    fn inner_message(&self, part: &Part) -> Option<&Part> {
        if part.kind == Kind::Message { part.children.first().map(|&child| &self.parts[child]) } else { None }
    }
}

fn named(names: &[Vec<u8>], name: &[u8]) -> bool {
    names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_stands_between_the_brackets() {
        let names = |list: &[&str]| list.iter().map(|name| name.as_bytes().to_vec()).collect();
        for (spec, path, text) in [
            ("", vec![], Text::Whole),
            ("1.2", vec![1, 2], Text::Whole),
            ("header", vec![], Text::Header),
            ("3.TEXT", vec![3], Text::Text),
            ("1.MIME", vec![1], Text::Mime),
            ("1.HEADER.FIELDS (A \"B\")", vec![1], Text::Fields(names(&["A", "B"]))),
            ("HEADER.FIELDS.NOT (A)", vec![], Text::FieldsNot(names(&["A"]))),
        ] {
            assert_eq!(Section::parse(spec), Some(Section { path, text }), "{spec}");
        }
        for spec in ["MIME", "1.", "x", "HEADER.FIELDS ()", "HEADER.FIELDS", "1.2x", "99999999999"] {
            assert_eq!(Section::parse(spec), None, "{spec}");
        }
    }

    #[test]
    fn finds_sections() {
        let raw = "T: top\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: message/rfc822\n\nA: 1\nB: 2\n\nin\n--b--\n";
        let structure = Structure::parse(raw.as_bytes());
        for (spec, expected) in [
            ("1", "one"),
            ("1.MIME", "\n"),
            ("1.HEADER", ""),
            ("1.1", ""),
            ("2.HEADER", "A: 1\nB: 2\n\n"),
            ("2.HEADER.FIELDS (b c)", "B: 2\n\r\n"),
            ("2.HEADER.FIELDS.NOT (b c)", "A: 1\n\r\n"),
            ("2.TEXT", "in"),
            ("2.1", "in"),
            ("2.2", ""),
            ("3", ""),
            ("0", ""),
            ("HEADER.FIELDS (T)", "T: top\n\r\n"),
        ] {
            let section = Section::parse(spec).unwrap();
            assert_eq!(String::from_utf8_lossy(&structure.section(&section)), expected, "{spec}");
        }
    }
}
