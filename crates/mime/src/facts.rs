//! What most questions about a message need, in one blob for a cache: with it, FETCH ENVELOPE, BODYSTRUCTURE, RFC822.SIZE and
//! common header fields, SORT, THREAD and searches by date or common header field over a large mailbox open no file.

use crate::date::Sent;
use crate::envelope::Envelope;
use crate::header;
use crate::ids::Links;
use crate::limits;
use crate::search::{self, Needle};
use crate::sort::Keys;
use crate::structure::Structure;

/// The first octet of every blob. It changes with the meaning of what follows; blobs of other versions are not read.
const VERSION: u8 = 2;

/// The header fields that are kept as they stand, in lower case: those that clients list, sort and search mailboxes by.
const KEPT: [&str; 28] = [
    "bcc",
    "cc",
    "content-type",
    "date",
    "delivered-to",
    "disposition-notification-to",
    "errors-to",
    "followup-to",
    "from",
    "importance",
    "in-reply-to",
    "list-id",
    "list-post",
    "mail-followup-to",
    "message-id",
    "mime-version",
    "newsgroups",
    "organization",
    "precedence",
    "priority",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
    "x-priority",
    "x-spam-status",
];

/// Whether a field of this name is among [`KeptFields`].
fn is_kept(name: &[u8]) -> bool {
    KEPT.iter().any(|kept| kept.as_bytes().eq_ignore_ascii_case(name))
}

/// The header fields that facts keep as they stand in the message, in their order. They answer for the whole header when
/// only fields of their names are asked for, see [`KeptFields::know`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFields<'a>(&'a [u8]);

impl<'a> KeptFields<'a> {
    /// Finds them in a blob without reading the rest of it; `None` if it is of another version, or they were too long to be
    /// kept.
    #[must_use]
    pub fn find(blob: &'a [u8]) -> Option<Self> {
        let mut reader = Reader { rest: blob };
        (reader.byte()? == VERSION && reader.byte()? == 1).then_some(())?;
        reader.slice().map(Self)
    }

    /// Whether all fields of this name are here, if the message has any.
    #[must_use]
    pub fn know(name: &[u8]) -> bool {
        is_kept(name)
    }

    /// What `BODY[HEADER.FIELDS (names)]` shows, line ends as in the file. All names must be known.
    #[must_use]
    pub fn pick(self, names: &[Vec<u8>]) -> Vec<u8> {
        header::pick(self.0, true, |name| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)))
    }

    /// As [`crate::matches_header`] for a name that is known.
    #[must_use]
    pub fn match_header(self, name: &str, needle: &Needle) -> bool {
        search::matches_header(self.0, name, needle)
    }
}

/// What FETCH tells of a message, as IMAP writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary<'a> {
    /// ENVELOPE.
    pub envelope: &'a [u8],
    /// BODY.
    pub body: &'a [u8],
    /// BODYSTRUCTURE.
    pub bodystructure: &'a [u8],
}

impl<'a> Summary<'a> {
    /// Finds it in a blob without reading the rest of it; `None` if it is of another version.
    #[must_use]
    pub fn find(blob: &'a [u8]) -> Option<Self> {
        let mut reader = Reader { rest: blob };
        (reader.byte()? == VERSION).then_some(())?;
        if reader.byte()? != 0 {
            reader.slice()?;
        }
        for _ in 0..4 {
            reader.number()?;
        }
        Some(Self { envelope: reader.slice()?, body: reader.slice()?, bodystructure: reader.slice()? })
    }
}

/// All that is kept of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The fields for [`KeptFields`], unless they are longer than [`limits::KEPT`].
    pub fields: Option<Vec<u8>>,
    /// Octets of the file.
    pub raw_size: u64,
    /// Octets of the file that are the header, with its blank line.
    pub raw_header_size: u64,
    /// Octets of the header in wire form.
    pub header_size: u64,
    /// Octets of the message in wire form (RFC822.SIZE).
    pub size: u64,
    /// ENVELOPE, as IMAP writes it.
    pub envelope: Vec<u8>,
    /// BODY, as IMAP writes it.
    pub body: Vec<u8>,
    /// BODYSTRUCTURE, as IMAP writes it.
    pub bodystructure: Vec<u8>,
    /// What SORT works on.
    pub keys: Keys,
    /// What THREAD works on.
    pub links: Links,
}

impl Facts {
    /// Summarizes a message.
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        Self::from_structure(&Structure::parse(raw))
    }

    /// Summarizes a message that was taken apart already.
    #[must_use]
    pub fn from_structure(structure: &Structure<'_>) -> Self {
        let root = structure.root();
        let header = structure.header(root);
        let envelope = Envelope::of(header);
        let mut facts = Self {
            fields: kept(header),
            raw_size: structure.raw.len() as u64,
            raw_header_size: header.len() as u64,
            header_size: root.header_size.octets,
            size: structure.octets(),
            keys: Keys::of(&envelope),
            links: Links::of(header),
            ..Self::default()
        };
        envelope.write(&mut facts.envelope);
        structure.bodystructure(&mut facts.body, false);
        structure.bodystructure(&mut facts.bodystructure, true);
        facts
    }

    /// The blob.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.fields.is_some())];
        if let Some(fields) = &self.fields {
            write_text(fields, &mut out);
        }
        for value in [self.raw_size, self.raw_header_size, self.header_size, self.size] {
            write_number(value, &mut out);
        }
        for text in [&self.envelope, &self.body, &self.bodystructure] {
            write_text(text, &mut out);
        }
        out.push(u8::from(self.keys.sent.is_some()) | u8::from(self.keys.is_reply) << 1 | u8::from(self.links.message_id.is_some()) << 2);
        if let Some(sent) = self.keys.sent {
            out.extend_from_slice(&sent.unix.to_le_bytes());
            out.extend_from_slice(&sent.zone.to_le_bytes());
        }
        let Keys { subject, from, to, cc, display_from, display_to, .. } = &self.keys;
        for text in [subject, from, to, cc, display_from, display_to] {
            write_text(text, &mut out);
        }
        if let Some(id) = &self.links.message_id {
            write_text(id, &mut out);
        }
        write_number(self.links.references.len() as u64, &mut out);
        for id in &self.links.references {
            write_text(id, &mut out);
        }
        out
    }

    /// Reads a blob; `None` if it is of another version or damaged, and must be made anew.
    #[must_use]
    pub fn decode(blob: &[u8]) -> Option<Self> {
        let mut reader = Reader { rest: blob };
        if reader.byte()? != VERSION {
            return None;
        }
        let fields = match reader.byte()? {
            0 => None,
            _ => Some(reader.text()?),
        };
        let mut facts = Self {
            fields,
            raw_size: reader.number()?,
            raw_header_size: reader.number()?,
            header_size: reader.number()?,
            size: reader.number()?,
            envelope: reader.text()?,
            body: reader.text()?,
            bodystructure: reader.text()?,
            ..Self::default()
        };
        let flags = reader.byte()?;
        if flags & 1 != 0 {
            facts.keys.sent = Some(Sent { unix: i64::from_le_bytes(reader.array()?), zone: i16::from_le_bytes(reader.array()?) });
        }
        facts.keys.is_reply = flags & 2 != 0;
        let Keys { subject, from, to, cc, display_from, display_to, .. } = &mut facts.keys;
        for text in [subject, from, to, cc, display_from, display_to] {
            *text = reader.text()?;
        }
        if flags & 4 != 0 {
            facts.links.message_id = Some(reader.text()?);
        }
        for _ in 0..reader.number()? {
            facts.links.references.push(reader.text()?);
        }
        reader.rest.is_empty().then_some(facts)
    }
}

/// Seven bits an octet, the lowest first; the highest bit says that more follow.
fn write_number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    write_number(text.len() as u64, out);
    out.extend_from_slice(text);
}

/// The fields that are kept, if they are not too long.
fn kept(header: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Vec::new();
    for field in header::fields(header).filter(|field| is_kept(field.name)) {
        if fields.len() + field.raw.len() > limits::KEPT {
            return None;
        }
        fields.extend_from_slice(field.raw);
    }
    Some(fields)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(array)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (slice, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(slice)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        self.slice().map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back_from_the_cache() {
        for raw in [
            "",
            "Subject: Re: x\nDate: 1 Jan 2020 00:00:00 +0100\nMessage-ID: <a@b>\nReferences: <c@d> <e@f>\nFrom: A <b@c>\n\nbody\n",
            "To: x\n\n",
        ] {
            let facts = Facts::of(raw.as_bytes());
            let blob = facts.encode();
            let Facts { envelope, body, bodystructure, .. } = &facts;
            assert_eq!(Summary::find(&blob), Some(Summary { envelope, body, bodystructure }), "{raw:?}");
            assert_eq!(Facts::decode(&blob), Some(facts), "{raw:?}");
            for cut in 0..blob.len() {
                assert_eq!(Facts::decode(&blob[..cut]), None, "{raw:?} {cut}");
            }
        }
        assert_eq!((Facts::decode(&[VERSION + 1]), Summary::find(&[VERSION + 1])), (None, None));
    }

    #[test]
    fn kept_fields_answer_as_the_header_does() {
        let names = |list: &str| list.split(' ').map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        for raw in
            ["Subject: a\r\n b\nX: y\nto : c\nSUBJECT: d\nFrom: e", "no colon\nTo: =?utf-8?q?=C3=84?=\n\nSubject: body\n", "X: y\n\nb", ""]
        {
            let blob = Facts::of(raw.as_bytes()).encode();
            let kept = KeptFields::find(&blob).unwrap();
            for list in ["subject", "To Subject", "date", "from bcc to"] {
                let section = crate::Section { path: Vec::new(), text: crate::Text::Fields(names(list)) };
                let expected = Structure::parse(raw.as_bytes()).section(&section).into_owned();
                assert_eq!(kept.pick(&names(list)), expected, "{raw:?} {list}");
            }
            for (name, text) in [("subject", "A B"), ("To", "\u{e4}"), ("subject", "body"), ("date", "")] {
                let needle = Needle::new(text);
                assert_eq!(kept.match_header(name, &needle), search::matches_header(raw.as_bytes(), name, &needle), "{raw:?} {name}");
            }
        }
        assert!(KeptFields::know(b"SUBJECT") && !KeptFields::know(b"Received") && !KeptFields::know(b""));
        let long = format!("Subject: {}\n\n", "x".repeat(limits::KEPT));
        let blob = Facts::of(long.as_bytes()).encode();
        assert_eq!(KeptFields::find(&blob), None);
        assert_eq!(Facts::decode(&blob), Some(Facts::of(long.as_bytes())));
    }

    #[test]
    fn say_where_the_body_begins() {
        let facts = Facts::of(b"A: b\n\nx\n");
        assert_eq!((facts.raw_size, facts.raw_header_size, facts.header_size, facts.size), (8, 6, 8, 11));
    }
}
