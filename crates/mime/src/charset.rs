//! From the charsets of mail to UTF-8. The tables are those of `encoding_rs`; this module knows the labels that mail
//! uses beyond the web's.

use std::borrow::Cow;

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};

use crate::utf7::Utf7;

/// Labels that the web does not know.
const ALIASES: [(&str, &str); 10] = [
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("eucjp", "euc-jp"),
    ("euckr", "euc-kr"),
    ("iso-2022-jp-2", "iso-2022-jp"),
    ("iso-8859-8-i", "iso-8859-8"),
    ("utf8mb4", "utf-8"),
    ("utf_8", "utf-8"),
];

/// What a charset's label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// UTF-8 or a part of it; also what no label, an unknown label or `us-ascii` is read as, since ASCII is what
    /// such text mostly is.
    Utf8,
    Utf7,
    Other(&'static Encoding),
}

/// Looks a label up; the language that RFC 2231 section 5 allows behind `*` is ignored.
pub(crate) fn find(label: &[u8]) -> Charset {
    let label = label.split(|&b| b == b'*').next().unwrap_or_default().to_ascii_lowercase();
    if label.is_empty() || label == b"us-ascii" || label == b"ascii" || label == b"ansi_x3.4-1968" {
        return Charset::Utf8;
    }
    if label == b"utf-7" || label == b"unicode-1-1-utf-7" {
        return Charset::Utf7;
    }
    let alias = ALIASES.iter().find(|(name, _)| name.as_bytes() == label);
    let label = alias.map_or(&label[..], |(_, label)| label.as_bytes());
    match Encoding::for_label_no_replacement(label) {
        Some(encoding) if encoding != UTF_8 => Charset::Other(encoding),
        _ => Charset::Utf8,
    }
}

/// Whether text in the charset `label` can be read (for `SEARCH CHARSET`, RFC 3501 section 6.4.4).
#[must_use]
pub fn is_known(label: &[u8]) -> bool {
    let ascii = [&b"us-ascii"[..], b"ascii", b"ansi_x3.4-1968"].iter().any(|name| label.eq_ignore_ascii_case(name));
    ascii || Encoding::for_label_no_replacement(label).is_some() || find(label) != Charset::Utf8
}

/// Converts a whole text. What is no text in that charset becomes U+FFFD.
#[must_use]
pub fn to_utf8<'a>(label: &[u8], text: &'a [u8]) -> Cow<'a, str> {
    match find(label) {
        Charset::Utf8 => String::from_utf8_lossy(text),
        Charset::Utf7 => {
            let mut out = String::new();
            Utf7::default().feed(text, &mut out);
            Cow::Owned(out)
        }
        Charset::Other(encoding) => encoding.decode(text).0,
    }
}

/// Converts a whole text that is good in that charset.
pub(crate) fn exactly_to_utf8(label: &[u8], text: &[u8]) -> Option<String> {
    match find(label) {
        Charset::Utf8 => String::from_utf8(text.to_vec()).ok(),
        Charset::Utf7 => Some(to_utf8(label, text).into_owned()),
        Charset::Other(encoding) => encoding.decode_without_bom_handling_and_without_replacement(text).map(Cow::into_owned),
    }
}

/// Converts a text that comes in pieces.
pub(crate) struct Converter {
    state: State,
    buffer: String,
}

enum State {
    Table(Decoder),
    Utf7(Utf7),
}

impl Converter {
    pub(crate) fn new(charset: Charset) -> Self {
        let state = match charset {
            Charset::Utf8 => State::Table(UTF_8.new_decoder_without_bom_handling()),
            Charset::Utf7 => State::Utf7(Utf7::default()),
            Charset::Other(encoding) => State::Table(encoding.new_decoder_with_bom_removal()),
        };
        Self { state, buffer: String::with_capacity(1 << 14) }
    }

    /// Converts a piece and hands the text on; stops early if `sink` answers true, and says so.
    pub(crate) fn feed(&mut self, mut piece: &[u8], last: bool, sink: &mut dyn FnMut(&str) -> bool) -> bool {
        loop {
            self.buffer.clear();
            let (result, read) = match &mut self.state {
                State::Table(decoder) => {
                    let (result, read, _) = decoder.decode_to_string(piece, &mut self.buffer, last);
                    (result, read)
                }
                State::Utf7(decoder) => {
                    decoder.feed(piece, &mut self.buffer);
                    (CoderResult::InputEmpty, piece.len())
                }
            };
            if sink(&self.buffer) {
                return true;
            }
            piece = &piece[read..];
            if result == CoderResult::InputEmpty {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_charsets_of_mail() {
        for (label, text, expected) in [
            ("iso-8859-1", &b"Gr\xfc\xdfe"[..], "Grüße"),
            ("UTF-8*de", "Grüße".as_bytes(), "Grüße"),
            ("us-ascii", "Grüße".as_bytes(), "Grüße"),
            ("x-unknown", b"abc\xff", "abc\u{fffd}"),
            ("koi8-r", b"\xf0\xd2\xc9", "При"),
            ("iso-2022-jp", b"\x1b$BF|\x1b(B", "日"),
            ("utf-16be", b"\0G\0\xfc", "Gü"),
            ("utf-7", b"Gr+APwA3w-e", "Grüße"),
            ("cp932", b"\x82\xb1", "こ"),
        ] {
            assert_eq!(to_utf8(label.as_bytes(), text), expected, "{label}");
            let mut converter = Converter::new(find(label.as_bytes()));
            let mut out = String::new();
            for byte in text.chunks(1) {
                converter.feed(byte, false, &mut |piece| {
                    out.push_str(piece);
                    false
                });
            }
            converter.feed(b"", true, &mut |piece| {
                out.push_str(piece);
                false
            });
            assert_eq!(out, expected, "{label} in pieces");
        }
        assert!(is_known(b"KOI8-R") && is_known(b"US-ASCII") && !is_known(b"X-UNKNOWN"));
    }
}
