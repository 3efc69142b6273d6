//! Postfix's pattern tables match octets, not characters: `.` is one octet of `é`. The engine used here matches characters,
//! so each octet beyond ASCII is shown to it as a character of its own, without case and outside every class.

use std::borrow::Cow;

/// Octet 0x80 is shown as U+F780, in the private use area.
const BASE: u32 = 0xf700;

/// The text with one character for each octet.
pub(crate) fn spread(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.bytes().map(character).collect())
}

/// The character that stands for an octet.
pub(crate) fn character(octet: u8) -> char {
    if octet.is_ascii() { char::from(octet) } else { char::from_u32(BASE + u32::from(octet)).unwrap_or('\u{fffd}') }
}

/// The inverse of [`spread`]; octets that no longer make UTF-8 become U+FFFD.
pub(crate) fn gather(spread: String) -> String {
    if spread.is_ascii() {
        return spread;
    }
    let mut octets = Vec::with_capacity(spread.len());
    for c in spread.chars() {
        match u32::from(c).checked_sub(BASE).and_then(|n| u8::try_from(n).ok()).filter(|n| !n.is_ascii()) {
            Some(octet) => octets.push(octet),
            None => octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(octets).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_back() {
        for text in ["plain", "é", "日本 x", ""] {
            assert_eq!(spread(text).chars().count(), text.len());
            assert_eq!(gather(spread(text).into_owned()), text);
        }
    }
}
