//! Mailbox names between the wire and the store: modified UTF-7 (RFC 3501 section 5.1.3) there, UTF-8 here.

use std::borrow::Cow;

/// The longest name that is taken, in octets of UTF-8. Folders of a Maildir are files, whose names have 255.
pub(crate) const LONGEST: usize = 1000;

/// The digits of modified base 64: `,` instead of `/`.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Writes a name in modified UTF-7.
pub(crate) fn encode(name: &str) -> Cow<'_, str> {
    let direct = |b: u8| (0x20..0x7f).contains(&b) && b != b'&';
    if name.bytes().all(direct) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() * 2);
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if first == '&' {
            out.push_str("&-");
            rest = &rest[1..];
        } else if first.is_ascii() && direct(first as u8) {
            out.push(first);
            rest = &rest[1..];
        } else {
            let end = rest.find(|c: char| c.is_ascii() && (c == '&' || direct(c as u8))).unwrap_or(rest.len());
            encode_run(&rest[..end], &mut out);
            rest = &rest[end..];
        }
    }
    Cow::Owned(out)
}

/// One shifted run: UTF-16 in modified base 64 between `&` and `-`.
fn encode_run(run: &str, out: &mut String) {
    out.push('&');
    let (mut bits, mut count) = (0u32, 0);
    for unit in run.encode_utf16() {
        bits = bits << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            out.push(char::from(DIGITS[(bits >> count & 63) as usize]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        out.push(char::from(DIGITS[(bits << (6 - count) & 63) as usize]));
    }
    out.push('-');
}

/// Reads a name in modified UTF-7. `None` if it is none: 8-bit or control characters, or a badly shifted run. Only the
/// one right way to write a name is taken, so that no two names on the wire are the same mailbox.
pub(crate) fn decode(wire: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(wire).ok()?;
    if text.len() > LONGEST * 3 || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return None;
    }
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('&');
    name.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (run, direct) = piece.split_once('-')?;
        if run.is_empty() {
            name.push('&');
        } else {
            decode_run(run, &mut name)?;
        }
        name.push_str(direct);
    }
    (name.len() <= LONGEST && encode(&name) == text).then_some(name)
}

/// One shifted run.
fn decode_run(run: &str, name: &mut String) -> Option<()> {
    let mut units = Vec::with_capacity(run.len() / 2);
    let (mut bits, mut count) = (0u32, 0);
    for digit in run.bytes() {
        let value = DIGITS.iter().position(|d| *d == digit)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((bits >> count) as u16);
            bits &= (1 << count) - 1;
        }
    }
    name.extend(char::decode_utf16(units).collect::<Result<Vec<_>, _>>().ok()?);
    Some(())
}

/// The name that is meant: `INBOX` in any case is INBOX, also as the root of a hierarchy.
pub(crate) fn canonical(name: String) -> String {
    let root = name.get(..5).is_some_and(|root| root.eq_ignore_ascii_case("INBOX"));
    if root && (name.len() == 5 || name.as_bytes()[5] == b'.') { format!("INBOX{}", &name[5..]) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_directions() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("R&D", "R&-D"),
            ("台北", "&U,BTFw-"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("a😀b", "a&2D3eAA-b"),
            ("", ""),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn refuses_what_is_no_name() {
        for wire in ["&", "&AGE-", "&U,BT", "a&b", "\u{fc}", "a\tb", "&2D0-", "&U,BTFw-&ZeVnLIqe-", "&!-"] {
            assert_eq!(decode(wire.as_bytes()), None, "{wire}");
        }
    }

    #[test]
    fn inbox_in_any_case() {
        for (name, meant) in [("inbox", "INBOX"), ("Inbox.a", "INBOX.a"), ("inboxes", "inboxes"), ("InBoX", "INBOX"), ("x", "x")] {
            assert_eq!(canonical(name.to_owned()), meant);
        }
    }

    proptest! {
        #[test]
        fn every_text_survives(name in "[ -~äß台\u{1F600}\u{0}-\u{1f}]{0,40}") {
            let wire = encode(&name).into_owned();
            prop_assert_eq!(decode(wire.as_bytes()), Some(name));
        }

        #[test]
        fn any_octets_are_read_or_refused(wire in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(name) = decode(&wire) {
                let again = encode(&name).into_owned();
                prop_assert_eq!(again.as_bytes(), &wire[..]);
            }
        }
    }
}
