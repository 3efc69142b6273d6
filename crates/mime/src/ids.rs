//! Message-IDs in header fields, made comparable (RFC 5322 section 3.6.4, RFC 5256 section 3).

use crate::header;
use crate::limits;

/// The Message-IDs in a value, without angle brackets, blanks, and the quotes that say nothing. What is between brackets
/// without an `@` is none.
pub fn message_ids(value: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut rest = header::bounded(value);
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|&b| b == b'<')? + 1;
            rest = &rest[start..];
            let end = rest.iter().position(|b| matches!(b, b'<' | b'>'))?;
            let inner = &rest[..end];
            rest = &rest[end..];
            if rest.starts_with(b">")
                && let Some(id) = normal(inner)
            {
                return Some(id);
            }
        }
    })
}

/// The form in which two spellings of one Message-ID are the same.
fn normal(inner: &[u8]) -> Option<Vec<u8>> {
    let id: Vec<u8> = inner.iter().copied().filter(|b| !b" \t\r\n".contains(b)).collect();
    let at = id.iter().rposition(|&b| b == b'@').filter(|&at| at > 0 && at + 1 < id.len())?;
    let (left, right) = id.split_at(at);
    match left {
        [b'"', quoted @ .., b'"'] => Some([&quoted.iter().copied().filter(|&b| b != b'\\').collect::<Vec<_>>(), right].concat()),
        _ => Some(id),
    }
}

/// What threading needs of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The message's own id, if it has one.
    pub message_id: Option<Vec<u8>>,
    /// The ids of its ancestors, oldest first: those of `References`, or else the first one of `In-Reply-To`.
    pub references: Vec<Vec<u8>>,
}

impl Links {
    /// Reads the header that `message` begins with.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        let mut links = Self::default();
        let mut in_reply_to = None;
        for field in header::fields(message) {
            if field.is(b"Message-ID") {
                links.message_id = message_ids(field.value).next();
            } else if field.is(b"References") {
                links.references.extend(message_ids(field.value));
            } else if field.is(b"In-Reply-To") && in_reply_to.is_none() {
                in_reply_to = message_ids(field.value).next();
            }
        }
        if links.references.is_empty() {
            links.references.extend(in_reply_to);
        }
        let old = links.references.len().saturating_sub(limits::REFERENCES);
        links.references.drain(..old);
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_message_ids() {
        for (value, expected) in [
            ("<a@b> text <c@d>", "a@b c@d"),
            ("<\"01\\KF\"@x>", "01KF@x"),
            ("<a\r\n b@c>", "ab@c"),
            ("<no at> <@b> <a@> <<a@b>", "a@b"),
            ("a@b", ""),
            ("<a@b@c><d@[1]>", "a@b@c d@[1]"),
        ] {
            let seen: Vec<_> = message_ids(value.as_bytes()).map(|id| String::from_utf8(id).unwrap()).collect();
            assert_eq!(seen.join(" "), expected, "{value:?}");
        }
    }

    #[test]
    fn references_win_over_in_reply_to() {
        let links = Links::of(b"In-Reply-To: <c@d> <e@f>\nMessage-ID: <x@y>\n\nReferences: <no@no>");
        assert_eq!(links, Links { message_id: Some(b"x@y".to_vec()), references: vec![b"c@d".to_vec()] });
        assert_eq!(Links::of(b"In-Reply-To: <c@d>\nReferences: <a@b>\n").references, [b"a@b".to_vec()]);
    }
}
