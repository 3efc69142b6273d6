//! Strings in IMAP's syntax (RFC 3501 section 4.3): quoted where every octet may stand between quotes, a literal
//! otherwise. Octets beyond ASCII go into a literal as they are, since a quoted string is 7-bit before `ENABLE`.

/// What a NUL in a header becomes; no IMAP string may hold one.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Longer strings are literals: some clients read quoted strings into a line buffer.
const QUOTED: usize = 1024;

/// Appends a string.
pub(crate) fn string(text: &[u8], out: &mut Vec<u8>) {
    if text.len() <= QUOTED && text.iter().all(|b| (0x20..0x7f).contains(b)) {
        out.push(b'"');
        for &b in text {
            if b == b'"' || b == b'\\' {
                out.push(b'\\');
            }
            out.push(b);
        }
        out.push(b'"');
        return;
    }
    let nuls = text.iter().filter(|&&b| b == 0).count();
    let length = text.len() + nuls * (REPLACEMENT.len() - 1);
    out.extend_from_slice(format!("{{{length}}}\r\n").as_bytes());
    for (at, run) in text.split(|&b| b == 0).enumerate() {
        if at > 0 {
            out.extend_from_slice(REPLACEMENT);
        }
        out.extend_from_slice(run);
    }
}

/// Appends a string or `NIL`.
pub(crate) fn nstring(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) => string(text, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Appends a text for people's eyes: runs of blanks become one space, none stand at either end.
pub(crate) fn for_people(text: &[u8], out: &mut Vec<u8>) {
    let blank = |b: &u8| b" \t\r\n".contains(b);
    let neat = !text.first().is_some_and(blank) && !text.last().is_some_and(blank) && !text.windows(2).any(|two| two.iter().all(blank));
    if neat && !text.iter().any(|b| b"\t\r\n".contains(b)) {
        return string(text, out);
    }
    let words: Vec<&[u8]> = text.split(blank).filter(|word| !word.is_empty()).collect();
    string(&words.join(&b' '), out);
}

/// Appends a number.
pub(crate) fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_strings() {
        for (text, expected) in [
            (&b""[..], &b"\"\""[..]),
            (b"a\"b\\", b"\"a\\\"b\\\\\""),
            (b"a\nb", b"{3}\r\na\nb"),
            (b"\xff", b"{1}\r\n\xff"),
            (b"a\0", b"{4}\r\na\xef\xbf\xbd"),
        ] {
            let mut out = Vec::new();
            string(text, &mut out);
            assert_eq!(out, expected);
        }
        let mut out = Vec::new();
        for_people(b" a \t b", &mut out);
        assert_eq!(out, b"\"a b\"");
    }
}
