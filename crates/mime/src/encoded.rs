//! Encoded words (RFC 2047, RFC 2231 section 5) to text. Read leniently: long words, blanks inside, a character split over
//! two words are all met in mail; what is no encoded word stays as it is.

use std::borrow::Cow;

use memchr::memmem;

use crate::charset;
use crate::transfer;

/// A charset's name is not longer than this, with its language.
const LABEL: usize = 80;

/// Decodes a field's value that is on one line already ([`crate::header::unfold`]). Blanks between two encoded words go
/// (RFC 2047 section 6.2); octets that are no UTF-8 become U+FFFD.
#[must_use]
pub fn decode(value: &[u8]) -> Cow<'_, str> {
    if memmem::find(value, b"=?").is_none() {
        return String::from_utf8_lossy(value);
    }
    let mut out = Output::default();
    let mut rest = value;
    while let Some(at) = memmem::find(rest, b"=?") {
        let Some((word, after)) = word(&rest[at..]) else {
            out.plain(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        let Some(text) = word.text else { break };
        out.plain(&rest[..at]);
        out.word(&word, text);
        rest = after;
    }
    out.plain(rest);
    out.flush();
    Cow::Owned(out.text)
}

/// An encoded word in its three parts; without a text if it has no end, and then no other has either.
struct Word<'a> {
    label: &'a [u8],
    base64: bool,
    text: Option<&'a [u8]>,
}

/// The word that `text` begins with, and what follows.
fn word(text: &[u8]) -> Option<(Word<'_>, &[u8])> {
    let inner = &text[2..];
    let end = inner.iter().take(LABEL).position(|&b| b == b'?' || b == b' ')?;
    let (label, rest) = inner.split_at(end);
    let [b'?', kind, b'?', rest @ ..] = rest else { return None };
    let base64 = match kind {
        b'B' | b'b' => true,
        b'Q' | b'q' => false,
        _ => return None,
    };
    Some(match memmem::find(rest, b"?=") {
        Some(at) => (Word { label, base64, text: Some(&rest[..at]) }, &rest[at + 2..]),
        None => (Word { label, base64, text: None }, text),
    })
}

/// Gathers text; the octets of neighbouring words of one charset are converted together.
#[derive(Default)]
struct Output<'a> {
    text: String,
    /// Charset of the words that wait, and their octets.
    waiting: Option<(Vec<u8>, Vec<u8>)>,
    /// Blanks behind the last word. They count only if no other word follows.
    blanks: &'a [u8],
}

impl<'a> Output<'a> {
    fn plain(&mut self, text: &'a [u8]) {
        if self.waiting.is_some() && text.iter().all(|b| b" \t\r\n".contains(b)) {
            self.blanks = text;
            return;
        }
        self.flush();
        self.text.push_str(&String::from_utf8_lossy(text));
    }

    fn word(&mut self, word: &Word<'_>, text: &[u8]) {
        self.blanks = b"";
        let label = word.label.to_ascii_lowercase();
        if self.waiting.as_ref().is_some_and(|(waiting, _)| *waiting != label) {
            self.flush();
        }
        let (_, octets) = self.waiting.get_or_insert_with(|| (label, Vec::new()));
        if word.base64 { transfer::base64_word(text, octets) } else { quoted_word(text, octets) }
    }

    fn flush(&mut self) {
        if let Some((label, octets)) = self.waiting.take() {
            self.text.push_str(&charset::to_utf8(&label, &octets));
        }
        self.text.push_str(&String::from_utf8_lossy(std::mem::take(&mut self.blanks)));
    }
}

/// The `Q` encoding: quoted-printable with `_` for a space.
fn quoted_word(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16);
        rest = tail;
        match (first, tail) {
            (b'_', _) => out.push(b' '),
            (b'=', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    rest = after;
                }
                _ => out.push(b'='),
            },
            _ => out.push(*first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        assert_eq!(decode(value.as_bytes()), expected, "{value:?}");
    }

    #[test]
    fn decodes_words() {
        check("plain", "plain");
        check("=?utf-8?B?R3LDvMOfZQ==?= =?utf-8?Q?_aus_K=C3=B6ln?= x", "Grüße aus Köln x");
        check("a =?iso-8859-15?Q?=A4?= b", "a € b");
        check("=?utf-8*de?q?=C3=BC?=", "ü");
        check("=?utf-8?Q?=C3?= =?UTF-8?Q?=BC?=", "ü");
        check("=?koi8-r?B?8NLJ?= =?utf-8?Q?x?=", "Приx");
        check("x=?utf-8?Q?y?=z", "xyz");
        check("=?utf-8?Q?a?= ", "a ");
    }

    #[test]
    fn leaves_what_is_no_word() {
        check("=?utf-8?Q?no end", "=?utf-8?Q?no end");
        check("=?utf-8?X?abc?= =? =??Q?a?=", "=?utf-8?X?abc?= =? a");
        check("a =? b", "a =? b");
        check("=?utf-8?Q?a b=?=", "a b=");
        check("\u{e9}", "é");
    }

    #[test]
    fn hostile_values_are_read_in_linear_time() {
        for piece in ["=?", "=?a?q?", "=?a?q?x", "?=", "=?a?b?A?= "] {
            assert!(decode(piece.repeat(200_000).as_bytes()).len() <= 2_000_000);
        }
    }
}
