//! Who sent a message, and whom a reply goes to.

use super::fields::Field;

/// The fields that name a sender, with the weight for an answer to the envelope (`-r`), for one to the writer (`-rt`), and for
/// the latter when Resent- fields count.
const SENDERS: [(&[u8], i32, i32, i32); 11] = [
    (b"Reply-To:", 0, 10, 7),
    (b"From:", 1, 9, 6),
    (b"Sender:", 2, 8, 5),
    (b"Resent-Reply-To:", 3, -1, 10),
    (b"Resent-From:", 4, -1, 9),
    (b"Resent-Sender:", 5, -1, 8),
    (b"Path:", 6, 3, 0),
    (b"Return-Receipt-To:", 7, 4, 1),
    (b"Errors-To:", 8, 5, 2),
    (b"Return-Path:", 9, 7, 4),
    (b"From ", 10, 6, 3),
];

/// Which weights count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Envelope,
    Writer,
    Resent,
}

/// The best address, if there is one.
pub(super) fn address(fields: &[Field], trust: Trust) -> Option<Vec<u8>> {
    let count = i32::try_from(SENDERS.len()).unwrap_or(0);
    let mut best: Option<(i32, Vec<u8>)> = None;
    for field in fields {
        let sender = SENDERS.iter().find(|(name, ..)| field.name().eq_ignore_ascii_case(name));
        let Some((name, envelope, writer, resent)) = sender else { continue };
        let mut weight = match trust {
            Trust::Envelope => *envelope,
            Trust::Writer => *writer,
            Trust::Resent => *resent,
        };
        let Some(found) = first_address(field.value()) else { continue };
        let bare = found.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")).unwrap_or(&found);
        if bare.is_empty() {
            // An empty envelope sender overrides all others.
            if *name == b"Return-Path:" {
                best = Some((count, b"<>".to_vec()));
            }
            continue;
        }
        let has = |octet: u8| bare.contains(&octet);
        if memchr::memmem::find(bare, b".UUCP").is_some() {
            weight -= count * 3;
        } else if !has(b'@') && !has(b'!') && !has(b'/') {
            weight -= count * 2;
        } else if has(b'@') && !has(b'.') {
            weight -= count;
        }
        if best.as_ref().is_none_or(|(known, _)| weight > *known) {
            best = Some((weight, bare.to_vec()));
        }
    }
    best.map(|(_, address)| address)
}

/// The address in a field's value: the part in angle brackets, or else the first word, comments and blanks left out.
fn first_address(value: &[u8]) -> Option<Vec<u8>> {
    let mut plain: Option<Vec<u8>> = None;
    let mut word = Vec::new();
    let mut rest = value;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'<' => {
                let end = memchr::memchr(b'>', rest).unwrap_or(rest.len());
                let inner: Vec<u8> = rest[..end].iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
                return Some([b"<", inner.as_slice(), b">"].concat());
            }
            b'(' => rest = behind_comment(rest),
            b'"' => {
                let end = closing_quote(rest);
                word.push(b'"');
                word.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
            b',' | b';' => break,
            octet if octet.is_ascii_whitespace() => {
                if !word.is_empty() {
                    plain.get_or_insert(std::mem::take(&mut word));
                }
            }
            other => word.push(*other),
        }
    }
    plain.or(Some(word)).filter(|address| !address.is_empty())
}

fn behind_comment(mut rest: &[u8]) -> &[u8] {
    let mut depth = 1;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' => rest = rest.get(1..).unwrap_or_default(),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    rest
}

/// Behind the closing quote.
fn closing_quote(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(octet) = text.get(at) {
        match octet {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}
