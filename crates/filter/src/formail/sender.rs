//! Who sent a message, and whom a reply goes to.

use super::fields::{FROM, Field};

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
        let postmark = (*name == FROM).then(|| postmark(field.value()));
        let Some(found) = first_address(postmark.as_deref().unwrap_or(field.value())) else { continue };
        let bare = found.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")).unwrap_or(&found);
        if bare.is_empty() {
            // An empty envelope sender overrides all others.
            if *name == b"Return-Path:" {
                best = Some((count, b"<>".to_vec()));
            }
            continue;
        }
        weight -= count * doubt(bare);
        if best.as_ref().is_none_or(|(known, _)| weight > *known) {
            best = Some((weight, bare.to_vec()));
        }
    }
    best.map(|(_, address)| address)
}

/// How little an address looks like one that can be answered.
fn doubt(address: &[u8]) -> i32 {
    let mark = address.iter().position(|octet| matches!(octet, b'@' | b'!' | b'/'));
    match mark.map(|at| (address[at], &address[at..])) {
        None => 4,
        Some(_) if memchr::memmem::find(address, b".UUCP").is_some() => 3,
        Some((b'@', host)) if !host.contains(&b'.') => 2,
        Some((b'!', _)) => 1,
        Some(_) => 0,
    }
}

/// The address in a `From ` line and the `>From ` lines behind it: that of the last one, with a path of the hosts that passed it on.
fn postmark(value: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    let mut last: &[u8] = b"";
    for line in value.split(|octet| *octet == b'\n') {
        let line = line.strip_prefix(b">").and_then(|line| line.strip_prefix(FROM)).unwrap_or(line);
        let line = line.strip_prefix(b"\t").unwrap_or(line);
        let word = line.split(|octet| octet.is_ascii_whitespace()).next().unwrap_or_default();
        let host = |mark: &[u8]| Some(memchr::memmem::find(line, mark)? + mark.len());
        if let Some(host) = host(b" remote from ").or_else(|| host(b" forwarded by ")) {
            path.extend_from_slice(line[host..].trim_ascii());
            path.push(b'!');
        }
        if !word.is_empty() && word != b">From" {
            last = word;
        }
    }
    path.extend_from_slice(last);
    path
}

/// Blanks beside these do not end a word.
const GLUE: &[u8] = b".:@";
/// Nor do blanks before these.
const GLUED: &[u8] = b".:@[\"";

/// The address in a field's value: the part in angle brackets, or else the first word, comments and blanks left out. A group
/// (`name:a,b;`) is one word.
fn first_address(value: &[u8]) -> Option<Vec<u8>> {
    let mut plain: Option<Vec<u8>> = None;
    let mut word = Vec::new();
    let mut rest = value;
    let (mut gap, mut group) = (false, false);
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        let blank = octet.is_ascii_whitespace() || *octet == b'(';
        let ends = !blank && gap && !GLUED.contains(octet) && !word.last().is_some_and(|last| GLUE.contains(last));
        if ends && !word.is_empty() {
            plain.get_or_insert(std::mem::take(&mut word));
        }
        gap = blank;
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
            b'[' => {
                let end = memchr::memchr(b']', rest).map_or(rest.len(), |end| end + 1);
                word.push(b'[');
                word.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
            b';' if group => {
                word.push(b';');
                break;
            }
            b'>' | b';' => break,
            b',' if !group => break,
            _ if blank => {}
            other => {
                group |= *other == b':';
                word.push(*other);
            }
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
