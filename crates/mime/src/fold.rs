//! Case and form put aside, as `i;unicode-casemap` does (RFC 5051): each character in titlecase, then decomposed.
//!
//! Two texts are alike if their folded octets are equal, one is found in the other if its octets are, and their order is
//! that of the octets. Folding goes character by character, so a text can be folded in pieces.

use memchr::memchr;
use unicode_normalization::char::decompose_compatible;

/// The folded form of a text, for comparison and sorting.
#[must_use]
pub fn fold(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// Appends the folded form. Carriage returns are left out: a line end is the same whether a file writes it as LF or CRLF.
pub(crate) fn fold_into(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        return fold_ascii(text.as_bytes(), out);
    }
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        let (ascii, other) = rest.split_at(length);
        fold_ascii(ascii.as_bytes(), out);
        let length = other.bytes().position(|b| b.is_ascii()).unwrap_or(other.len());
        let (other, after) = other.split_at(length);
        for c in other.chars() {
            fold_char(c, out);
        }
        rest = after;
    }
}

fn fold_ascii(mut text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    while let Some(at) = memchr(b'\r', text) {
        out.extend_from_slice(&text[..at]);
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
    out[start..].make_ascii_uppercase();
}

fn fold_char(c: char, out: &mut Vec<u8>) {
    let mut upper = c.to_uppercase();
    // What has no single capital (ß) stays as it is: RFC 5051 knows only one-to-one mappings.
    let c = if upper.len() == 1 { upper.next().unwrap_or(c) } else { c };
    decompose_compatible(c, |piece| out.extend_from_slice(piece.encode_utf8(&mut [0; 4]).as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_case_and_form_aside() {
        for (one, other) in [("Grüße", "GRÜßE"), ("Ä", "a\u{308}"), ("иван", "ИВАН"), ("a\r\nb", "A\nB"), ("", "\r")] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [("ß", "ss"), ("o", "ö"), ("a", "b")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }
}
