//! The small words of header fields (RFC 5322 section 3.2, RFC 2045 section 5.1): blanks and comments, atoms, tokens,
//! quoted strings, phrases, domains. Each reader takes what it reads and the blanks behind it.
//!
//! A reader answers whether anything is left, or [`Broken`] if what should be there is not. It never goes back; a caller
//! that wants to try another reading saves `pos`.

use crate::limits;

/// The text is not what the grammar wants here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// `Ok(true)`: read, and something follows. `Ok(false)`: read, and the text is at its end.
pub(crate) type More = Result<bool, Broken>;

/// A place in a field's value.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    pub(crate) pos: usize,
    /// The content of the comment read last.
    pub(crate) comment: Vec<u8>,
    broken: usize,
}

/// `atext` of RFC 5322, and every octet beyond ASCII (RFC 6532).
pub(crate) fn is_atext(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&b)
}

/// What a MIME token may hold; laxer than RFC 2045 only beyond ASCII.
fn is_token(b: u8) -> bool {
    b == b'.' || (is_atext(b) && !b"/?=".contains(&b))
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0, comment: Vec::new(), broken: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    pub(crate) fn at(&self, b: u8) -> bool {
        self.peek() == Some(b)
    }

    /// Takes one octet, if there is one.
    pub(crate) fn bump(&mut self) {
        self.pos = (self.pos + 1).min(self.text.len());
    }

    pub(crate) fn more(&self) -> bool {
        self.pos < self.text.len()
    }

    /// Takes blanks, line ends and comments.
    pub(crate) fn skip(&mut self) -> More {
        while let Some(b) = self.peek() {
            match b {
                b' ' | b'\t' | b'\r' | b'\n' => self.pos += 1,
                b'(' => self.comment()?,
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Takes a comment with the comments within it, and remembers its text.
    fn comment(&mut self) -> Result<(), Broken> {
        self.comment.clear();
        let mut level = 1;
        self.pos += 1;
        while let Some(b) = self.peek() {
            self.pos += 1;
            match b {
                b'(' => level += 1,
                b')' => level -= 1,
                b'\r' | b'\n' => continue,
                b'\\' => {
                    self.comment.extend(self.peek());
                    self.bump();
                    continue;
                }
                _ => {}
            }
            if level == 0 {
                return Ok(());
            }
            self.comment.push(b);
        }
        self.give_up()
    }

    /// Notes something that has no end. After some of them the rest of the text is not read, so that the cost stays linear.
    fn give_up<T>(&mut self) -> Result<T, Broken> {
        self.comment.clear();
        self.broken += 1;
        if self.broken > limits::BROKEN {
            self.pos = self.text.len();
        }
        Err(Broken)
    }

    /// Takes the longest run of octets that `wanted` likes, without the blanks behind it.
    fn run(&mut self, out: &mut Vec<u8>, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text[self.pos..];
        let length = rest.iter().position(|&b| !wanted(b)).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..length]);
        self.pos += length;
        length
    }

    /// At least one `atext`.
    pub(crate) fn atom(&mut self, out: &mut Vec<u8>) -> More {
        if self.run(out, is_atext) == 0 {
            return Err(Broken);
        }
        self.skip()
    }

    /// A MIME token; it may be empty.
    pub(crate) fn token(&mut self, out: &mut Vec<u8>) -> More {
        self.run(out, is_token);
        self.skip()
    }

    /// A parameter's value without quotes. What begins with `=` is an encoded word that should not be here: it goes on
    /// as far as the next blank or semicolon.
    pub(crate) fn value(&mut self, out: &mut Vec<u8>) -> More {
        if self.at(b'=') {
            self.run(out, |b| !b"; \t\r\n".contains(&b));
            return self.skip();
        }
        self.token(out)
    }

    /// Atoms with dots between, blanks allowed around the dots (obs-domain).
    fn dot_atom(&mut self, out: &mut Vec<u8>) -> More {
        loop {
            if !self.atom(out)? {
                return Ok(false);
            }
            if !self.at(b'.') {
                return Ok(true);
            }
            out.push(b'.');
            self.bump();
            self.skip()?;
        }
    }

    /// Atoms and dots in any order, as far as an `@` or anything else: people do write `first.@example.org`.
    pub(crate) fn loose_dot_atom(&mut self, out: &mut Vec<u8>) -> More {
        let mut read = false;
        loop {
            if self.run(out, |b| b == b'.') > 0 {
                read = true;
                if !self.more() {
                    return Ok(false);
                }
            }
            if read && self.at(b'@') {
                return Ok(true);
            }
            if !self.atom(out)? {
                return Ok(false);
            }
            read = true;
            if !self.at(b'.') {
                return Ok(true);
            }
        }
    }

    /// A quoted string, without its quotes, escapes and line ends.
    pub(crate) fn quoted(&mut self, out: &mut Vec<u8>) -> More {
        self.bump();
        loop {
            self.run(out, |b| !b"\"\\\r\n".contains(&b));
            let Some(b) = self.peek() else { return self.give_up() };
            self.pos += 1;
            match b {
                b'"' => return self.skip(),
                b'\\' => {
                    out.extend(self.peek());
                    self.bump();
                }
                b'\r' if !self.at(b'\n') => out.push(b),
                _ => {}
            }
        }
    }

    /// Words with one space between each two, blanks and comments left out. May be empty before `<` and the like.
    pub(crate) fn phrase(&mut self, out: &mut Vec<u8>) -> More {
        if self.at(b'.') {
            return Err(Broken);
        }
        loop {
            let more = if self.at(b'"') {
                self.quoted(out)?
            } else {
                self.run(out, |b| is_atext(b) || b == b'.');
                self.skip()?
            };
            match self.peek() {
                Some(b) if more && (is_atext(b) || b == b'"' || b == b'.') => out.push(b' '),
                _ => return Ok(more),
            }
        }
    }

    /// `@` and a domain or domain literal.
    pub(crate) fn domain(&mut self, out: &mut Vec<u8>) -> More {
        self.bump();
        if !self.skip()? {
            return Err(Broken);
        }
        if self.at(b'[') { self.domain_literal(out) } else { self.dot_atom(out) }
    }

    fn domain_literal(&mut self, out: &mut Vec<u8>) -> More {
        let start = self.pos;
        while let Some(b) = self.peek() {
            self.pos += 1;
            match b {
                b'\\' => self.bump(),
                b']' => {
                    out.extend_from_slice(&self.text[start..self.pos]);
                    return self.skip();
                }
                _ => {}
            }
        }
        self.give_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, read: impl Fn(&mut Lexer<'_>, &mut Vec<u8>) -> More, expected: &str, more: More, rest: &str) {
        let mut lexer = Lexer::new(text.as_bytes());
        let mut out = Vec::new();
        assert_eq!(read(&mut lexer, &mut out), more, "{text:?}");
        assert_eq!(String::from_utf8_lossy(&out), expected, "{text:?}");
        assert_eq!(String::from_utf8_lossy(&text.as_bytes()[lexer.pos..]), rest, "{text:?}");
    }

    #[test]
    fn reads_words() {
        check("a (c (d)) b", |l, o| l.phrase(o), "a b", Ok(false), "");
        check("\"a \\\"b\\\"\r\n c\" d <", |l, o| l.phrase(o), "a \"b\" c d", Ok(true), "<");
        check("<x", |l, o| l.phrase(o), "", Ok(true), "<x");
        check("text/plain", |l, o| l.token(o), "text", Ok(true), "/plain");
        check("a. @b", |l, o| l.loose_dot_atom(o), "a.", Err(Broken), " @b");
        check("a..b@c", |l, o| l.loose_dot_atom(o), "a..b", Ok(true), "@c");
        check("@ a . b , c", |l, o| l.domain(o), "a.b", Ok(true), ", c");
        check("@[1.2] x", |l, o| l.domain(o), "[1.2]", Ok(true), "x");
        check("\"open", |l, o| l.quoted(o), "open", Err(Broken), "");
    }

    #[test]
    fn endless_comments_cost_no_more_than_a_few_looks() {
        let text = "(".repeat(100_000);
        let mut lexer = Lexer::new(text.as_bytes());
        let mut tries = 0;
        while lexer.more() && tries < 100 {
            let start = lexer.pos;
            let _ = lexer.skip();
            if lexer.broken <= limits::BROKEN {
                lexer.pos = start + 1;
            }
            tries += 1;
        }
        assert!(tries <= limits::BROKEN + 1);
    }
}
