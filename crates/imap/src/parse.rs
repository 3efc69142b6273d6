//! The words of the grammar (RFC 3501 section 9), read off a whole command. The command is one stretch of octets in which
//! literals stand as they came: `{3}`, line end, three octets. `frame` has seen to it that they are complete.
//!
//! Deviations that are tolerated, each for the client that needs it:
//! - a line that ends in LF alone: people who type into a plain connection;
//! - blanks at the end of a command, and between the items of a list: old webmail scripts;
//! - octets from 128 up in quoted strings: passwords and search words of clients that do not know they would need a literal;
//! - a day of one digit without its blank in APPEND's date: scripts that use `%e` or `%-d`.

use std::borrow::Cow;

use crate::name;
use crate::reply::Reply;

/// The command is malformed, with what is wrong. The client gets BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax(pub(crate) &'static str);

impl From<Syntax> for Reply {
    fn from(syntax: Syntax) -> Self {
        Self::bad(syntax.0)
    }
}

/// What a reader of a word gives back.
pub(crate) type Parse<T> = Result<T, Syntax>;

/// Octets of an atom; those from 128 up are no characters of an atom, but are let through to where they are refused by name.
pub(crate) fn is_atom(b: u8) -> bool {
    b > b' ' && b != 0x7f && !b"(){%*\"\\]".contains(&b)
}

/// Octets of an astring without quotes.
pub(crate) fn is_astring(b: u8) -> bool {
    is_atom(b) || b == b']'
}

/// A place in a command.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The beginning of a text.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Leaves out `count` octets, which must be there.
    pub(crate) fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// The next octet.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads `octet` if it is next.
    pub(crate) fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.skip(1);
        }
        found
    }

    /// Reads `octet`, which must be next.
    pub(crate) fn expect(&mut self, octet: u8) -> Parse<()> {
        let missing = match octet {
            b' ' => "Missing argument",
            b'(' => "Missing (",
            b')' => "Missing )",
            _ => "Malformed argument",
        };
        if self.take(octet) { Ok(()) } else { Err(Syntax(missing)) }
    }

    /// The blank between two arguments.
    pub(crate) fn space(&mut self) -> Parse<()> {
        self.expect(b' ')?;
        while self.take(b' ') {}
        Ok(())
    }

    /// The end of the command.
    pub(crate) fn end(&mut self) -> Parse<()> {
        while self.take(b' ') {}
        if self.at_end() { Ok(()) } else { Err(Syntax("Unexpected argument")) }
    }

    /// Whether nothing but the line end is left.
    pub(crate) fn at_end(&self) -> bool {
        matches!(self.rest, [] | [b'\n'] | [b'\r', b'\n'])
    }

    /// The longest stretch of octets that satisfy `good`, perhaps empty.
    pub(crate) fn span(&mut self, good: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|b| !good(*b)).unwrap_or(self.rest.len());
        let (span, rest) = self.rest.split_at(length);
        self.rest = rest;
        span
    }

    /// An atom.
    pub(crate) fn atom(&mut self) -> Parse<&'a [u8]> {
        let atom = self.span(is_atom);
        if atom.is_empty() { Err(Syntax("Missing atom")) } else { Ok(atom) }
    }

    /// A word of letters, digits, dots and hyphens: the name of a command, an item or an option.
    pub(crate) fn word(&mut self) -> Parse<&'a [u8]> {
        let word = self.span(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'=');
        if word.is_empty() { Err(Syntax("Missing word")) } else { Ok(word) }
    }

    /// A number below 2^63, which is the most that any number of IMAP may be.
    pub(crate) fn number(&mut self) -> Parse<u64> {
        let digits = self.span(|b| b.is_ascii_digit());
        let grow = |number: u64, digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        let number = digits.iter().try_fold(0u64, grow).filter(|number| *number <= i64::MAX as u64);
        number.filter(|_| !digits.is_empty()).ok_or(Syntax("Invalid number"))
    }

    /// A number below 2^32.
    pub(crate) fn number32(&mut self) -> Parse<u32> {
        u32::try_from(self.number()?).map_err(|_| Syntax("Number too large"))
    }

    /// A number from 1 to 2^32 - 1.
    pub(crate) fn nonzero(&mut self) -> Parse<u32> {
        let number = self.number32()?;
        if number == 0 { Err(Syntax("Number must not be 0")) } else { Ok(number) }
    }

    /// A quoted string or a literal.
    pub(crate) fn string(&mut self) -> Parse<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Syntax("Missing string")),
        }
    }

    fn quoted(&mut self) -> Parse<Cow<'a, [u8]>> {
        self.skip(1);
        let plain = self.span(|b| !b"\"\\\r\n\0".contains(&b));
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.rest {
                [b'"', ..] => {
                    self.skip(1);
                    return Ok(Cow::Owned(text));
                }
                [b'\\', escaped @ (b'"' | b'\\'), ..] => {
                    text.push(*escaped);
                    self.skip(2);
                }
                [b'\\' | b'\r' | b'\n' | b'\0', ..] | [] => return Err(Syntax("Malformed quoted string")),
                [..] => text.extend_from_slice(self.span(|b| !b"\"\\\r\n\0".contains(&b))),
            }
        }
    }

    fn literal(&mut self) -> Parse<&'a [u8]> {
        const WRONG: Syntax = Syntax("Malformed literal");
        self.skip(1);
        let size = usize::try_from(self.number()?).map_err(|_| WRONG)?;
        self.take(b'+');
        self.expect(b'}').map_err(|_| WRONG)?;
        self.take(b'\r');
        self.expect(b'\n').map_err(|_| WRONG)?;
        let octets = self.rest.get(..size).ok_or(WRONG)?;
        self.skip(size);
        if octets.contains(&0) { Err(Syntax("NUL in a literal")) } else { Ok(octets) }
    }

    /// An atom (in which `]` may stand) or a string.
    pub(crate) fn astring(&mut self) -> Parse<Cow<'a, [u8]>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        let atom = self.span(is_astring);
        if atom.is_empty() { Err(Syntax("Missing argument")) } else { Ok(Cow::Borrowed(atom)) }
    }

    /// A string or NIL.
    pub(crate) fn nstring(&mut self) -> Parse<Option<Cow<'a, [u8]>>> {
        if self.rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"NIL")) {
            self.skip(3);
            return Ok(None);
        }
        self.string().map(Some)
    }

    /// A list in parentheses, perhaps empty, whose entries `entry` reads.
    pub(crate) fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        self.expect(b'(')?;
        let mut entries = Vec::new();
        loop {
            while self.take(b' ') {}
            if self.take(b')') {
                return Ok(entries);
            }
            entries.push(entry(self)?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(Syntax("Malformed list"));
            }
        }
    }

    /// A mailbox name, in the store's form.
    pub(crate) fn mailbox(&mut self) -> Result<String, Reply> {
        let wire = self.astring()?;
        let name = name::decode(&wire).filter(|name| !name.is_empty());
        name.map(name::canonical).ok_or_else(|| Reply::no("Invalid mailbox name").code("CANNOT"))
    }

    /// `list-mailbox`: a name in which wildcards may stand. In UTF-8; text that is no name matches nothing.
    pub(crate) fn pattern(&mut self) -> Parse<String> {
        let wire = if matches!(self.peek(), Some(b'"' | b'{')) {
            self.string()?
        } else {
            Cow::Borrowed(self.span(|b| is_astring(b) || b == b'%' || b == b'*'))
        };
        Ok(name::decode(&wire).unwrap_or_else(|| "\0".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = Cursor::new(text.as_bytes()).astring().map(|s| String::from_utf8_lossy(&s).into_owned());
        assert_eq!(found.as_deref().map_err(|e| e.0), expected, "{text}");
    }

    #[test]
    fn astrings() {
        check("abc def", Ok("abc"));
        check("a]b)", Ok("a]b"));
        check("\"a \\\"b\\\\\" c", Ok("a \"b\\"));
        check("\"\"", Ok(""));
        check("{3}\r\na b rest", Ok("a b"));
        check("{3+}\r\na b", Ok("a b"));
        check("{3}\na b", Ok("a b"));
        check("\"caf\u{e9}\"", Ok("café"));
        check("{3}\r\nab", Err("Malformed literal"));
        check("\"abc", Err("Malformed quoted string"));
        check("\"a\\b\"", Err("Malformed quoted string"));
        check("(a)", Err("Missing argument"));
        check("", Err("Missing argument"));
    }

    #[test]
    fn numbers_have_their_range() {
        for (text, expected) in [
            ("0", Some(0)),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("9223372036854775808", None),
            ("99999999999999999999999", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(Cursor::new(text.as_bytes()).number().ok(), expected, "{text}");
        }
        assert!(Cursor::new(b"4294967296").number32().is_err());
        assert!(Cursor::new(b"0").nonzero().is_err());
    }

    #[test]
    fn lists_bear_blanks_and_nothing_else() {
        let atoms = |text: &str| Cursor::new(text.as_bytes()).list(|c| c.atom().map(<[u8]>::to_vec)).map(|l| l.len()).ok();
        assert_eq!(atoms("()"), Some(0));
        assert_eq!(atoms("(a b  c )"), Some(3));
        assert_eq!(atoms("(a\"b\")"), None);
        assert_eq!(atoms("(a"), None);
    }
}
