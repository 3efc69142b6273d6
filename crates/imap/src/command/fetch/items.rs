//! The items of FETCH, read into what cannot be wrong any more.

use mime::eol::Window;
use mime::{KeptFields, Section, Text};

use crate::content::{self, Need};
use crate::output::Output;
use crate::parse::{Cursor, Parse, Syntax, is_astring};

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Uid,
    Flags,
    ModSeq,
    InternalDate,
    SaveDate,
    Size,
    Envelope,
    /// BODY or BODYSTRUCTURE.
    Structure {
        extended: bool,
    },
    Section(Named),
    Binary(Named),
    BinarySize(Named),
}

/// A section with what the answer calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// `BODY[HEADER]<0>` and the like.
    pub(crate) label: Vec<u8>,
    pub(crate) section: Section,
    pub(crate) partial: Option<Window>,
    /// It does not set `\Seen`.
    peek: bool,
}

impl Item {
    /// How much of a message it needs. ENVELOPE and BODYSTRUCTURE need nothing if the mailbox has the facts.
    pub(crate) fn need(&self) -> Need {
        match self {
            Self::Uid | Self::Flags | Self::ModSeq | Self::InternalDate | Self::SaveDate | Self::Size => Need::Nothing,
            Self::Envelope | Self::Structure { .. } => Need::Facts,
            Self::Section(named) => content::need(&named.section),
            Self::Binary(_) | Self::BinarySize(_) => Need::Whole,
        }
    }

    /// Whether the header fields that facts keep answer it.
    pub(crate) fn wants_kept_fields(&self) -> bool {
        let Self::Section(Named { section: Section { path, text: Text::Fields(names) }, .. }) = self else { return false };
        path.is_empty() && names.iter().all(|name| KeptFields::know(name))
    }

    /// Whether it sets `\Seen`.
    pub(crate) fn sets_seen(&self) -> bool {
        matches!(self, Self::Section(named) | Self::Binary(named) if !named.peek)
    }
}

/// One item, a macro, or a list of items.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parse<Vec<Item>> {
    if cursor.peek() == Some(b'(') {
        let mut items = cursor.list(item)?;
        // One answer to a question is enough. Of the others, what is written is looked at after each.
        let mut asked: Vec<Item> = Vec::new();
        items.retain(|item| {
            let again = item.need() == Need::Nothing && asked.contains(item);
            if !again && item.need() == Need::Nothing {
                asked.push(item.clone());
            }
            !again
        });
        return if items.is_empty() { Err(Syntax("Missing FETCH items")) } else { Ok(items) };
    }
    let fast = [Item::Flags, Item::InternalDate, Item::Size];
    let mut rest = cursor.clone();
    let more: &[Item] = match rest.word()?.to_ascii_uppercase().as_slice() {
        b"FAST" => &[],
        b"ALL" => &[Item::Envelope],
        b"FULL" => &[Item::Envelope, Item::Structure { extended: false }],
        _ => return Ok(vec![item(cursor)?]),
    };
    *cursor = rest;
    Ok(fast.into_iter().chain(more.iter().cloned()).collect())
}

fn item(cursor: &mut Cursor<'_>) -> Parse<Item> {
    let word = cursor.word()?.to_ascii_uppercase();
    let bracket = cursor.peek() == Some(b'[');
    Ok(match (word.as_slice(), bracket) {
        (b"UID", false) => Item::Uid,
        (b"FLAGS", false) => Item::Flags,
        (b"MODSEQ", false) => Item::ModSeq,
        (b"INTERNALDATE", false) => Item::InternalDate,
        (b"SAVEDATE", false) => Item::SaveDate,
        (b"RFC822.SIZE", false) => Item::Size,
        (b"ENVELOPE", false) => Item::Envelope,
        (b"BODY", false) => Item::Structure { extended: false },
        (b"BODYSTRUCTURE", false) => Item::Structure { extended: true },
        (b"RFC822", false) => whole("RFC822", Text::Whole, false),
        (b"RFC822.HEADER", false) => whole("RFC822.HEADER", Text::Header, true),
        (b"RFC822.TEXT", false) => whole("RFC822.TEXT", Text::Text, false),
        (b"BODY", true) => Item::Section(section(cursor, "BODY", false, false)?),
        (b"BODY.PEEK", true) => Item::Section(section(cursor, "BODY", true, false)?),
        (b"BINARY", true) => Item::Binary(section(cursor, "BINARY", false, true)?),
        (b"BINARY.PEEK", true) => Item::Binary(section(cursor, "BINARY", true, true)?),
        (b"BINARY.SIZE", true) => {
            let named = section(cursor, "BINARY.SIZE", true, true)?;
            if named.partial.is_some() {
                return Err(Syntax("BINARY.SIZE has no partial form"));
            }
            Item::BinarySize(named)
        }
        _ => return Err(Syntax("Unknown FETCH item")),
    })
}

/// One of the old names for sections.
fn whole(label: &str, text: Text, peek: bool) -> Item {
    Item::Section(Named { label: label.into(), section: Section { path: Vec::new(), text }, partial: None, peek })
}

/// `[section]<offset.count>`. Only part numbers stand within the brackets of BINARY.
fn section(cursor: &mut Cursor<'_>, name: &str, peek: bool, binary: bool) -> Parse<Named> {
    cursor.expect(b'[')?;
    let mut path = Vec::new();
    while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
        path.push(cursor.number32()?);
        if !cursor.take(b'.') {
            break;
        }
        if cursor.peek() == Some(b']') {
            return Err(Syntax("Invalid section"));
        }
    }
    let text = if cursor.peek() == Some(b']') { Text::Whole } else { text(cursor, !path.is_empty())? };
    cursor.expect(b']')?;
    if binary && text != Text::Whole {
        return Err(Syntax("Invalid section of BINARY"));
    }
    let section = Section { path, text };
    let mut label = Output::default();
    label.text(name);
    write_section(&section, &mut label);
    let mut partial = None;
    if cursor.take(b'<') {
        let offset = cursor.number()?;
        cursor.expect(b'.')?;
        let count = cursor.number()?;
        cursor.expect(b'>')?;
        label.byte(b'<');
        label.number(offset);
        label.byte(b'>');
        partial = Some(Window { offset, count });
    }
    Ok(Named { label: std::mem::take(label.vec()), section, partial, peek })
}

/// What of a part is meant.
fn text(cursor: &mut Cursor<'_>, of_part: bool) -> Parse<Text> {
    Ok(match cursor.word()?.to_ascii_uppercase().as_slice() {
        b"HEADER" => Text::Header,
        b"TEXT" => Text::Text,
        b"MIME" if of_part => Text::Mime,
        b"HEADER.FIELDS" => Text::Fields(names(cursor)?),
        b"HEADER.FIELDS.NOT" => Text::FieldsNot(names(cursor)?),
        _ => return Err(Syntax("Invalid section")),
    })
}

/// The names of header fields, at least one.
fn names(cursor: &mut Cursor<'_>) -> Parse<Vec<Vec<u8>>> {
    cursor.space()?;
    let names = cursor.list(|cursor| cursor.astring().map(std::borrow::Cow::into_owned))?;
    if names.is_empty() { Err(Syntax("Missing header field")) } else { Ok(names) }
}

/// `[1.2.HEADER.FIELDS (From To)]`, as the client has written it.
fn write_section(section: &Section, out: &mut Output) {
    out.byte(b'[');
    for (at, number) in section.path.iter().enumerate() {
        if at > 0 {
            out.byte(b'.');
        }
        out.number(*number);
    }
    if !section.path.is_empty() && section.text != Text::Whole {
        out.byte(b'.');
    }
    let (word, names) = match &section.text {
        Text::Whole => ("", None),
        Text::Header => ("HEADER", None),
        Text::Text => ("TEXT", None),
        Text::Mime => ("MIME", None),
        Text::Fields(names) => ("HEADER.FIELDS (", Some(names)),
        Text::FieldsNot(names) => ("HEADER.FIELDS.NOT (", Some(names)),
    };
    out.text(word);
    for (at, name) in names.into_iter().flatten().enumerate() {
        if at > 0 {
            out.byte(b' ');
        }
        if name.iter().all(|b| is_astring(*b) && *b != b']' && b.is_ascii()) && !name.is_empty() {
            out.raw(name);
        } else {
            out.string(name);
        }
    }
    out.text(if names.is_some() { ")]" } else { "]" });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let mut cursor = Cursor::new(text.as_bytes());
        let label = |item: &Item| match item {
            Item::Section(named) | Item::Binary(named) | Item::BinarySize(named) => String::from_utf8_lossy(&named.label).into_owned(),
            other => format!("{other:?}"),
        };
        let items = parse(&mut cursor).ok().filter(|_| cursor.at_end());
        let labels = items.map(|items| items.iter().map(label).collect::<Vec<_>>().join(" "));
        assert_eq!(labels.as_deref(), expected, "{text}");
    }

    #[test]
    fn items_and_macros() {
        check("FAST", Some("Flags InternalDate Size"));
        check("all", Some("Flags InternalDate Size Envelope"));
        check("(UID flags)", Some("Uid Flags"));
        check("BODY", Some("Structure { extended: false }"));
        check("(FAST)", None);
        check("()", None);
        check("X", None);
    }

    #[test]
    fn sections_are_named_as_they_were_asked() {
        check("BODY.PEEK[]", Some("BODY[]"));
        check("BODY[]<3.7>", Some("BODY[]<3>"));
        check("BODY[1.2.mime]", Some("BODY[1.2.MIME]"));
        check("BODY[HEADER.FIELDS (from X-A)]", Some("BODY[HEADER.FIELDS (from X-A)]"));
        check("BODY[1.HEADER.FIELDS.NOT (\"a b\")]<0.1>", Some("BODY[1.HEADER.FIELDS.NOT (\"a b\")]<0>"));
        check("BINARY.SIZE[1.2]", Some("BINARY.SIZE[1.2]"));
        check("RFC822.HEADER", Some("RFC822.HEADER"));
        for wrong in
            ["BODY[MIME]", "BODY[1.]", "BODY[FOO]", "BODY[HEADER.FIELDS ()]", "BODY[", "BODY[]<1>", "BINARY[HEADER]", "BINARY.SIZE[1]<0.1>"]
        {
            check(wrong, None);
        }
    }
}
