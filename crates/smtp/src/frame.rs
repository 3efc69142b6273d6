//! The frame before the parse: command lines out of octets. Only CR LF ends a line, and no line is kept beyond its limit.

use memchr::memchr;

/// The next thing in the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A whole line without its CR LF.
    Line(&'a [u8]),
    /// A line was longer than the limit; it is gone, end included.
    TooLong,
    /// A line holds LF without CR. The session cannot go on, since nobody knows what the client means by it.
    BareLf,
    /// The line has not ended yet.
    Partial,
}

/// Octets from the client that are not yet used up. They are not shown: there may be a password among them.
#[derive(Default)]
pub(crate) struct Input {
    octets: Vec<u8>,
    used: usize,
    /// An overlong line is being thrown away.
    skipping: bool,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({} octets)", self.rest().len())
    }
}

/// An empty buffer of more than this is given back, so that idle sessions cost little.
const SMALL: usize = 4096;

impl Input {
    /// Adds what was read.
    pub(crate) fn add(&mut self, octets: &[u8]) {
        if self.used > 0 {
            self.octets.drain(..self.used);
            self.used = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    /// What is there.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.octets[self.used..]
    }

    /// Uses up `count` octets.
    pub(crate) fn take(&mut self, count: usize) {
        self.used = (self.used + count).min(self.octets.len());
        if self.used == self.octets.len() {
            self.octets.clear();
            self.used = 0;
        }
    }

    /// Throws everything away.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives memory back if nothing is waiting here.
    pub(crate) fn shrink(&mut self) {
        if self.rest().is_empty() && self.octets.capacity() > SMALL {
            // What is skipped goes on being skipped.
            (self.octets, self.used) = (Vec::new(), 0);
        }
    }

    /// Overwrites the lines that were used up: they may have held a password.
    pub(crate) fn wipe(&mut self) {
        self.octets[..self.used].fill(0);
    }

    /// The next line of at most `limit` octets, its end included.
    pub(crate) fn line(&mut self, limit: usize) -> Frame<'_> {
        let Some(end) = memchr(b'\n', self.rest()) else {
            if self.skipping || self.rest().len() >= limit {
                self.skip();
            }
            return Frame::Partial;
        };
        let begin = self.used;
        let line_end = begin + end;
        self.used = line_end + 1;
        if end == 0 || self.octets[line_end - 1] != b'\r' {
            return Frame::BareLf;
        }
        if std::mem::take(&mut self.skipping) || end + 1 > limit {
            return Frame::TooLong;
        }
        Frame::Line(&self.octets[begin..line_end - 1])
    }

    /// Throws away all but a final CR, which may belong to the line's end.
    fn skip(&mut self) {
        self.skipping = true;
        let keep = usize::from(self.rest().last() == Some(&b'\r'));
        self.take(self.rest().len() - keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces one by one and writes down the frames.
    fn check(pieces: &[&[u8]], expected: &str) {
        let mut input = Input::default();
        let mut seen = Vec::new();
        for piece in pieces {
            input.add(piece);
            loop {
                match input.line(8) {
                    Frame::Line(line) => seen.push(String::from_utf8_lossy(line).into_owned()),
                    Frame::TooLong => seen.push("long".to_owned()),
                    Frame::BareLf => seen.push("lf".to_owned()),
                    Frame::Partial => break,
                }
            }
            // As a session does before it waits.
            input.shrink();
        }
        assert_eq!(seen.join("|"), expected, "{pieces:?}");
    }

    #[test]
    fn only_cr_lf_ends_a_line() {
        check(&[b"NOOP\r\nQUIT\r\n"], "NOOP|QUIT");
        check(&[b"NO", b"OP\r", b"\n", b"\r\n"], "NOOP|");
        check(&[b"NOOP\nNOOP\r\n"], "lf|NOOP");
        check(&[b"\nx\r\n"], "lf|x");
        check(&[b"a\rb\r\n"], "a\rb");
    }

    #[test]
    fn a_long_line_costs_no_memory_and_only_itself() {
        check(&[b"123456\r\n"], "123456");
        check(&[b"1234567\r\n12\r\n"], "long|12");
        check(&[b"12345678", b"9", b"\r", b"\n12\r\n"], "long|12");
        check(&[b"123456789\r", b"x\n"], "lf");
        check(&[&[b'x'; 2 * SMALL], b"NOOP\r\n12\r\n"], "long|12");
        let mut input = Input::default();
        for _ in 0..100 {
            input.add(&[b'x'; 1000]);
            assert_eq!(input.line(8), Frame::Partial);
            assert!(input.rest().len() <= 8);
        }
    }

    #[test]
    fn what_was_used_can_be_wiped() {
        let mut input = Input::default();
        input.add(b"secret\r\nnext");
        assert_eq!(input.line(80), Frame::Line(b"secret"));
        input.wipe();
        assert_eq!(&input.octets, b"\0\0\0\0\0\0\0\0next");
    }
}
