//! The base subject (RFC 5256 section 2.1): a subject without what replying and forwarding put around it.

use crate::encoded;
use crate::limits;

/// A subject for sorting and threading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseSubject {
    /// What is left, decoded; case as written.
    pub text: String,
    /// Whether something was taken off that a reply or a forward puts there.
    pub is_reply: bool,
}

impl BaseSubject {
    /// Reads a `Subject` field's value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        let value = crate::header::unfold(crate::header::bounded(value));
        let text = encoded::decode(&value);
        let text = &text[..text.floor_char_boundary(limits::SUBJECT)];
        let words: Vec<&str> = text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
        let text = words.join(" ");
        let mut base = Base { text: &text, is_reply: false };
        base.strip();
        Self { text: base.text.to_owned(), is_reply: base.is_reply }
    }
}

struct Base<'a> {
    text: &'a str,
    is_reply: bool,
}

impl Base<'_> {
    /// Steps 2 to 6 of the RFC.
    fn strip(&mut self) {
        loop {
            self.trailers();
            while self.leader() || self.blob() {}
            let Some(inner) = strip_start(self.text, "[fwd:").and_then(|rest| rest.strip_suffix(']')) else { return };
            self.text = inner;
            self.is_reply = true;
        }
    }

    /// `(fwd)` and blanks at the end.
    fn trailers(&mut self) {
        loop {
            self.text = self.text.trim_end_matches(' ');
            let cut = self.text.len().wrapping_sub("(fwd)".len());
            match self.text.get(cut..) {
                Some(end) if end.eq_ignore_ascii_case("(fwd)") => self.text = &self.text[..cut],
                _ => return,
            }
            self.is_reply = true;
        }
    }

    /// `Re:`, `Fwd[3]:` and the like, with what stands in brackets before it; or blanks.
    fn leader(&mut self) -> bool {
        let text = self.text.trim_start_matches(' ');
        if text.len() < self.text.len() {
            self.text = text;
            return true;
        }
        let mut rest = text;
        while let Some(after) = after_blob(rest) {
            rest = after;
        }
        match after_refwd(rest) {
            Some(after) => {
                (self.text, self.is_reply) = (after, true);
                true
            }
            None => false,
        }
    }

    /// Something in brackets, if more than that is left behind it.
    fn blob(&mut self) -> bool {
        match after_blob(self.text) {
            Some(after) if !after.is_empty() => {
                self.text = after;
                true
            }
            _ => false,
        }
    }
}

fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(rest)
}

/// What follows `[...]` and blanks.
fn after_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    Some(inner[end..].strip_prefix(']')?.trim_start_matches(' '))
}

/// What follows `re`, `fw` or `fwd`, blanks, something in brackets, and a colon.
fn after_refwd(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"].iter().find_map(|word| strip_start(text, word))?.trim_start_matches(' ');
    after_blob(rest).unwrap_or(rest).strip_prefix(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: &str, expected: &str, is_reply: bool) {
        assert_eq!(BaseSubject::of(subject.as_bytes()), BaseSubject { text: expected.to_owned(), is_reply }, "{subject:?}");
    }

    #[test]
    fn takes_off_what_replies_add() {
        check("apple", "apple", false);
        check("Re: apple", "apple", true);
        check("RE : [x] FWD[2]: fw: apple (Fwd) (fwd)", "apple", true);
        check("[list] Banana", "Banana", false);
        check("re: Re[2]: [tag] cherry (fwd)", "cherry", true);
        check("[Fwd: [list] apple]", "apple", true);
        check("[only a blob]", "[only a blob]", false);
        check("Re:", "", true);
        check("Apple  \t pie", "Apple pie", false);
        check("=?utf-8?Q?Re=3A_=C3=84?=", "Ä", true);
        check("Reply", "Reply", false);
        check("[a [b] c", "[a [b] c", false);
        check("[fwd: x", "[fwd: x", false);
    }

    #[test]
    fn long_subjects_are_cut() {
        let subject = "[a]".repeat(100_000);
        assert!(BaseSubject::of(subject.as_bytes()).text.len() <= limits::SUBJECT);
    }
}
