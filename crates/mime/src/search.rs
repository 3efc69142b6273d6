//! What SEARCH looks at in a message (RFC 3501 section 6.4.4): substrings of decoded headers and texts, case aside.
//!
//! Bodies are those of `text/*` and `message/*` parts, decoded to UTF-8; HTML is searched with its tags. Nothing is found
//! in other parts, before the first boundary, or over the end of a part. A part streams through a small buffer: it is
//! never copied as a whole.

use memchr::memmem::Finder;

use crate::charset::{self, Charset, Converter};
use crate::encoded;
use crate::fold::{fold, fold_into};
use crate::header;
use crate::structure::{Kind, Part, Structure};
use crate::transfer::{self, Encoding, Rigour};

/// Folded text is searched when this many octets of it have gathered.
const BUFFER: usize = 1 << 16;

/// A text to look for, folded once for all messages.
#[derive(Clone, Debug)]
pub struct Needle {
    finder: Finder<'static>,
}

impl Needle {
    /// Prepares a text. The empty text is found in everything that is there.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { finder: Finder::new(&fold(text)).into_owned() }
    }

    /// Whether a short text holds it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.finder.find(&fold(text)).is_some()
    }

    fn len(&self) -> usize {
        self.finder.needle().len()
    }
}

/// Whether one of the header fields of that name, decoded and on one line, holds the needle. `message` begins with the
/// header; more of it is not looked at.
#[must_use]
pub fn matches_header(message: &[u8], name: &str, needle: &Needle) -> bool {
    header::fields(message).any(|field| field.is(name.as_bytes()) && needle.is_in(&encoded::decode(&field.text())))
}

impl Structure<'_> {
    /// Whether the needle is in the body: in a text part, decoded. Headers do not count, whoever's they are.
    #[must_use]
    pub fn matches_body(&self, needle: &Needle) -> bool {
        needle.len() == 0 || self.parts.iter().any(|part| self.part_holds(part, needle))
    }

    /// Whether the needle is in a header field (`Name: value`, decoded; MIME headers and those of inner messages count)
    /// or in the body.
    #[must_use]
    pub fn matches_text(&self, needle: &Needle) -> bool {
        needle.len() == 0 || self.parts.iter().any(|part| self.header_holds(part, needle)) || self.matches_body(needle)
    }

    fn header_holds(&self, part: &Part, needle: &Needle) -> bool {
        let mut seeker = Seeker::new(needle);
        for field in header::fields(self.header(part)) {
            let (name, value) = (String::from_utf8_lossy(field.name), field.text());
            let hit = seeker.feed(&name) || seeker.feed(": ") || seeker.feed(&encoded::decode(&value)) || seeker.feed("\n");
            if hit {
                return true;
            }
        }
        seeker.finish()
    }

    fn part_holds(&self, part: &Part, needle: &Needle) -> bool {
        let mut seeker = Seeker::new(needle);
        self.read_text(part, &mut |piece| seeker.feed(piece)) || seeker.finish()
    }

    /// Whether a part is searched as text.
    #[must_use]
    pub fn is_text(&self, part: &Part) -> bool {
        part.kind == Kind::Text || (part.kind == Kind::Other && part.content.is("message", ""))
    }

    /// The text of a part, decoded to UTF-8; empty if it is no text. Read at most `limit` octets of it, and a little more.
    #[must_use]
    pub fn text(&self, part: &Part, limit: usize) -> String {
        let mut out = String::new();
        self.read_text(part, &mut |piece| {
            out.push_str(piece);
            out.len() >= limit
        });
        out
    }

    /// Hands the decoded text of a part on, until `sink` answers true; then this answers true.
    pub fn read_text(&self, part: &Part, sink: &mut dyn FnMut(&str) -> bool) -> bool {
        if !self.is_text(part) {
            return false;
        }
        let body = self.body(part);
        let encoding = Encoding::of(part.content.encoding.as_deref());
        let charset = charset::find(part.content.parameter("charset").unwrap_or_default());
        if charset == Charset::Utf8 && matches!(encoding, Encoding::Identity | Encoding::Unknown) {
            return body.utf8_chunks().any(|chunk| sink(chunk.valid()) || (!chunk.invalid().is_empty() && sink("\u{fffd}")));
        }
        let mut converter = Converter::new(charset);
        let stopped = transfer::decode(encoding, body, Rigour::Lenient, &mut |piece| converter.feed(piece, false, sink));
        stopped.is_err() || converter.feed(b"", true, sink)
    }
}

/// What SEARCH looks at in one message, folded once so that the next search need not take it apart: `matches_text` and
/// `matches_body` of it are those of its [`Structure`].
#[derive(Clone, Copy, Debug)]
pub struct FoldedText<'a> {
    headers: &'a [u8],
    bodies: &'a [u8],
}

/// Stands between two texts that are searched apart; no folded text has this octet.
const APART: u8 = 0xff;

impl<'a> FoldedText<'a> {
    /// Makes the blob for a cache, unless it would be longer than `limit`.
    #[must_use]
    pub fn of(structure: &Structure<'_>, limit: usize) -> Option<Vec<u8>> {
        let mut blob = vec![0; 8];
        for part in &structure.parts {
            for field in header::fields(structure.header(part)) {
                fold_into(&String::from_utf8_lossy(field.name), &mut blob);
                fold_into(": ", &mut blob);
                fold_into(&encoded::decode(&field.text()), &mut blob);
                blob.push(b'\n');
            }
            blob.push(APART);
            if blob.len() > limit {
                return None;
            }
        }
        let headers = blob.len() as u64 - 8;
        blob[..8].copy_from_slice(&headers.to_le_bytes());
        for part in &structure.parts {
            let full = structure.read_text(part, &mut |piece| {
                fold_into(piece, &mut blob);
                blob.len() > limit
            });
            if full || blob.len() > limit {
                return None;
            }
            blob.push(APART);
        }
        Some(blob)
    }

    /// Reads a blob; `None` if it is none.
    #[must_use]
    pub fn read(blob: &'a [u8]) -> Option<Self> {
        let (length, texts) = blob.split_first_chunk()?;
        let (headers, bodies) = texts.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some(Self { headers, bodies })
    }

    /// As [`Structure::matches_body`].
    #[must_use]
    pub fn matches_body(&self, needle: &Needle) -> bool {
        needle.len() == 0 || needle.finder.find(self.bodies).is_some()
    }

    /// As [`Structure::matches_text`].
    #[must_use]
    pub fn matches_text(&self, needle: &Needle) -> bool {
        needle.len() == 0 || needle.finder.find(self.headers).is_some() || self.matches_body(needle)
    }
}

/// Looks for a needle in a text that comes in pieces.
struct Seeker<'a> {
    needle: &'a Needle,
    buffer: Vec<u8>,
}

impl<'a> Seeker<'a> {
    fn new(needle: &'a Needle) -> Self {
        Self { needle, buffer: Vec::new() }
    }

    /// Takes a piece; true if the needle was found.
    fn feed(&mut self, mut text: &str) -> bool {
        let full = BUFFER.max(self.needle.len() * 2);
        while !text.is_empty() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(BUFFER));
            fold_into(piece, &mut self.buffer);
            text = rest;
            if self.buffer.len() >= full {
                if self.finish() {
                    return true;
                }
                let kept = self.needle.len().saturating_sub(1);
                self.buffer.drain(..self.buffer.len() - kept);
            }
        }
        false
    }

    /// Whether the needle is in what was not looked at yet.
    fn finish(&self) -> bool {
        self.needle.finder.find(&self.buffer).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(raw: &str, needle: &str) -> bool {
        Structure::parse(raw.as_bytes()).matches_body(&Needle::new(needle))
    }

    #[test]
    fn looks_into_decoded_headers() {
        let raw = "Subject: =?utf-8?Q?split_?=\n =?utf-8?Q?w=C3=96rd?=\nX: 1\nX: 2\nEmpty:\n\nSubject: body";
        for (name, needle, found) in [
            ("subject", "SPLIT wörd", true),
            ("Subject", "body", false),
            ("x", "2", true),
            ("x", "3", false),
            ("Empty", "", true),
            ("Y", "", false),
        ] {
            assert_eq!(matches_header(raw.as_bytes(), name, &Needle::new(needle)), found, "{name} {needle}");
        }
    }

    #[test]
    fn looks_into_decoded_bodies() {
        let qp =
            "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe, broken=\nword\nnext";
        assert!(body(qp, "GRÜßE") && body(qp, "brokenword") && body(qp, "word\r\nnext") && !body(qp, "wordnext"));
        let mixed = "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\nfirst\n--b\nContent-Type: image/png\n\nimage\n--b\n\
                     Content-Type: message/rfc822\n\nSubject: inner\n\nlast\n--b--\npost";
        assert!(body(mixed, "first") && body(mixed, "last") && body(mixed, ""));
        for absent in ["pre", "post", "image", "inner", "Content", "firstlast"] {
            assert!(!body(mixed, absent), "{absent}");
        }
        let structure = Structure::parse(mixed.as_bytes());
        let blob = FoldedText::of(&structure, 1 << 20).unwrap();
        let folded = FoldedText::read(&blob).unwrap();
        for text in [
            "first",
            "LAST",
            "",
            "pre",
            "image",
            "inner",
            "subject: inner",
            "firstlast",
            "t\nl",
            "boundary=b\n",
            "\r\n",
            "Content-Type: image/png",
        ] {
            let needle = Needle::new(text);
            assert_eq!(folded.matches_body(&needle), structure.matches_body(&needle), "{text:?}");
            assert_eq!(folded.matches_text(&needle), structure.matches_text(&needle), "{text:?}");
        }
        assert!(FoldedText::of(&structure, 20).is_none() && FoldedText::read(b"").is_none() && FoldedText::read(&[9; 12]).is_none());
        assert!(structure.matches_text(&Needle::new("subject: INNER")) && !structure.matches_text(&Needle::new("image\n")));
    }

    #[test]
    fn finds_across_the_pieces_of_a_large_body() {
        for before in [BUFFER - 3, BUFFER, 3 * BUFFER - 2] {
            let raw = format!("\n{}needle{}", "x".repeat(before), "y".repeat(BUFFER));
            assert!(body(&raw, "Needle") && !body(&raw, "needley x"));
        }
        let utf16: Vec<u8> =
            "Content-Type: text/plain; charset=utf-16be\n\n".bytes().chain("ein Wört".encode_utf16().flat_map(u16::to_be_bytes)).collect();
        assert!(Structure::parse(&utf16).matches_body(&Needle::new("WÖRT")));
    }
}
