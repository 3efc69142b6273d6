//! The input buffer, and where in it a command ends: at a line end that no literal announcement precedes.
//!
//! Nothing is parsed here and nothing is copied: a framed command is the front of the buffer, its literals in it.

use memchr::memchr;

/// The announcement of a literal at the end of a line (RFC 3501 section 4.3, RFC 7888, RFC 3516).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Where its `{` or `~{` stands, counted from the command's beginning.
    pub(crate) at: usize,
    /// Where its octets begin.
    pub(crate) end: usize,
    /// How many octets there are.
    pub(crate) size: u64,
    /// The client waits for a continuation request before it sends them.
    pub(crate) waits: bool,
    /// It may hold NUL (`~{n}`).
    pub(crate) binary: bool,
}

/// What is at the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framed {
    /// The beginning of a command at most.
    Incomplete,
    /// A whole command of so many octets, its line end included.
    Command(usize),
    /// A command up to a literal that was not approved yet.
    Literal(Literal),
    /// More octets than a command may have.
    TooLong,
}

/// Octets from the client that were not used up yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Where the command begins.
    start: usize,
    /// Where the command's present line begins, counted from `start`; beyond the end while a literal is coming in.
    line: usize,
    /// How much of that line was seen to hold no line end.
    seen: usize,
}

impl Input {
    /// Takes octets in.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        if self.start > 0 && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(octets);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All octets that are there.
    pub(crate) fn front(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Uses up `count` octets; the next command begins behind them.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.bytes.len().min(self.start + count);
        (self.line, self.seen) = (0, 0);
        if self.start == self.bytes.len() {
            self.start = 0;
            if self.bytes.capacity() > 4096 { self.bytes = Vec::new() } else { self.bytes.clear() }
        }
    }

    /// Overwrites the first `count` octets, which held a password.
    pub(crate) fn wipe(&mut self, count: usize) {
        let end = self.bytes.len().min(self.start + count);
        self.bytes[self.start..end].fill(0);
    }

    /// Lets a literal come in: the next line begins behind it.
    pub(crate) fn approve(&mut self, literal: &Literal) {
        let size = usize::try_from(literal.size).unwrap_or(usize::MAX);
        (self.line, self.seen) = (literal.end.saturating_add(size), 0);
    }

    /// How many octets the command has before its present line; literals among them that were approved may still be coming in.
    pub(crate) fn line_start(&self) -> u64 {
        self.line as u64
    }

    /// The length of the line that begins behind the last literal, its end included.
    fn next_line(&mut self) -> Option<usize> {
        let line = self.front().get(self.line..)?;
        match memchr(b'\n', &line[self.seen..]) {
            Some(at) => Some(self.seen + at + 1),
            None => {
                self.seen = line.len();
                None
            }
        }
    }

    /// Looks for the end of the command, which must have at most `limit` octets.
    pub(crate) fn next(&mut self, limit: usize) -> Framed {
        let length = self.front().len();
        let Some(line) = self.next_line() else {
            return if length > limit { Framed::TooLong } else { Framed::Incomplete };
        };
        let end = self.line + line;
        if end > limit {
            return Framed::TooLong;
        }
        match announcement(&self.front()[self.line..end]) {
            Some(literal) => Framed::Literal(Literal { at: self.line + literal.at, end, ..literal }),
            None => Framed::Command(end),
        }
    }

    /// The length of one line without looking for literals, its end included; `Err` if it is over `limit`.
    pub(crate) fn line(&mut self, limit: usize) -> Result<Option<usize>, ()> {
        match memchr(b'\n', self.front()) {
            Some(at) if at < limit => Ok(Some(at + 1)),
            None if self.front().len() <= limit => Ok(None),
            _ => Err(()),
        }
    }
}

/// The literal that a line ends with, `at` counted from the line's beginning.
pub(crate) fn announcement(line: &[u8]) -> Option<Literal> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text).strip_suffix(b"}")?;
    let open = text.iter().rposition(|b| *b == b'{')?;
    let (digits, waits) = match text[open + 1..].split_last()? {
        (b'+', digits) => (digits, false),
        _ => (&text[open + 1..], true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let grow = |size: u64, digit: &u8| size.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    let size = digits.iter().fold(0, grow);
    let binary = open > 0 && text[open - 1] == b'~';
    Some(Literal { at: open - usize::from(binary), end: line.len(), size, waits, binary })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames `text` fed in pieces of `piece` octets, approving all literals; `|` ends each command.
    fn frames(text: &str, piece: usize) -> String {
        let (mut input, mut found) = (Input::default(), String::new());
        for octets in text.as_bytes().chunks(piece) {
            input.push(octets);
            loop {
                match input.next(100) {
                    Framed::Incomplete => break,
                    Framed::Literal(literal) => input.approve(&literal),
                    Framed::TooLong => return found + "too long",
                    Framed::Command(length) => {
                        found += &String::from_utf8_lossy(&input.front()[..length]);
                        found.push('|');
                        input.consume(length);
                    }
                }
            }
        }
        found
    }

    fn check(text: &str, expected: &str) {
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(frames(text, piece), expected, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn commands_end_where_no_literal_is_announced() {
        check("a NOOP\r\nb NOOP\n", "a NOOP\r\n|b NOOP\n|");
        check("a X {3}\r\n\r\n{ {2+}\r\n}\n\r\nb\r\n", "a X {3}\r\n\r\n{ {2+}\r\n}\n\r\n|b\r\n|");
        check("a X {0}\r\n\r\n", "a X {0}\r\n\r\n|");
        check("a X {x}\r\n", "a X {x}\r\n|");
        check("a X {}\r\n", "a X {}\r\n|");
    }

    #[test]
    fn a_command_without_end_is_too_long() {
        assert_eq!(frames(&"x".repeat(200), 10), "too long");
        assert_eq!(frames(&"{9}\r\n123456789".repeat(20), 10), "too long");
    }

    #[test]
    fn announcements() {
        let found = |line: &str| announcement(line.as_bytes()).map(|l| (l.at, l.size, l.waits, l.binary));
        assert_eq!(found("a {12}\r\n"), Some((2, 12, true, false)));
        assert_eq!(found("a ~{12+}\n"), Some((2, 12, false, true)));
        assert_eq!(found("{99999999999999999999999}\r\n"), Some((0, u64::MAX, true, false)));
        assert_eq!(found("\"{12}\"\r\n"), None);
        assert_eq!(found("12}\r\n"), None);
    }
}
