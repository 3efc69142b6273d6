//! Replies of a server (RFC 5321 section 4.2): read strictly and with bounds, since it is a stranger as well.

use mail::{Enhanced, Reply};
use memchr::memchr;

/// The longest line of a reply in octets, four times what RFC 5321 section 4.5.3.1.5 allows.
const LONGEST_LINE: usize = 2048;
/// The most lines in one reply.
const MOST_LINES: usize = 128;
/// The most text that is kept for people.
const LONGEST_TEXT: usize = 1000;

/// Why octets are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not three digits and text, or not ended by CR LF.
    #[error("malformed reply")]
    Malformed,
    /// A line beyond 2048 octets.
    #[error("reply line too long")]
    LineTooLong,
    /// More than 128 lines.
    #[error("reply of too many lines")]
    TooManyLines,
    /// The lines of one reply have different codes.
    #[error("different codes in one reply")]
    MixedCodes,
}

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The lines without code and end; what is not printable is replaced.
    pub lines: Vec<String>,
}

impl ServerReply {
    /// The reply as one line; without an enhanced code it gets the general one of its class.
    #[must_use]
    pub fn summary(&self) -> Reply {
        let class = u8::try_from(self.code / 100).unwrap_or(4);
        let enhanced = self.lines.first().and_then(|line| enhanced(line)).filter(|code| code.0 == class);
        let mut text = String::new();
        for line in &self.lines {
            let line = if enhanced.is_some() { line.split_once(' ').map_or("", |(_, rest)| rest) } else { line };
            if !text.is_empty() {
                text.push(' ');
            }
            text.extend(line.chars().take(LONGEST_TEXT.saturating_sub(text.len())));
        }
        Reply::new(self.code, enhanced.unwrap_or(Enhanced(class, 0, 0)), text)
    }
}

/// The enhanced code at the beginning of a line (RFC 2034 section 3).
fn enhanced(line: &str) -> Option<Enhanced> {
    let mut parts = line.split(' ').next()?.split('.');
    let mut number = || {
        let part = parts.next()?;
        let good = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        good.then(|| part.parse::<u16>().ok()).flatten()
    };
    let code = Enhanced(u8::try_from(number()?).ok()?, number()?, number()?);
    parts.next().is_none().then_some(code)
}

/// Makes replies out of octets.
#[derive(Debug, Default)]
pub struct Replies {
    octets: Vec<u8>,
    used: usize,
    code: u16,
    lines: Vec<String>,
}

impl Replies {
    /// Adds what was read.
    pub fn add(&mut self, octets: &[u8]) {
        self.octets.drain(..self.used);
        self.used = 0;
        self.octets.extend_from_slice(octets);
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next complete reply, if there is one.
    ///
    /// # Errors
    /// [`ReplyError`]; nothing that follows can be understood.
    pub fn next_reply(&mut self) -> Result<Option<ServerReply>, ReplyError> {
        while let Some(line) = self.line()? {
            let (code, last, text) = parse(line)?;
            if !self.lines.is_empty() && code != self.code {
                return Err(ReplyError::MixedCodes);
            }
            if self.lines.len() == MOST_LINES {
                return Err(ReplyError::TooManyLines);
            }
            self.used += line_length(&self.octets[self.used..]);
            self.code = code;
            self.lines.push(text);
            if last {
                return Ok(Some(ServerReply { code, lines: std::mem::take(&mut self.lines) }));
            }
        }
        Ok(None)
    }

    /// The next line without its end, not yet used up.
    fn line(&self) -> Result<Option<&[u8]>, ReplyError> {
        let rest = &self.octets[self.used..];
        match memchr(b'\n', rest) {
            Some(end) if end >= LONGEST_LINE => Err(ReplyError::LineTooLong),
            Some(end) => rest[..end].strip_suffix(b"\r").map(Some).ok_or(ReplyError::Malformed),
            None if rest.len() >= LONGEST_LINE => Err(ReplyError::LineTooLong),
            None => Ok(None),
        }
    }
}

fn line_length(rest: &[u8]) -> usize {
    memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)
}

/// Code, whether it is the last line, and text.
fn parse(line: &[u8]) -> Result<(u16, bool, String), ReplyError> {
    let (digits, rest) = line.split_at_checked(3).ok_or(ReplyError::Malformed)?;
    let [first @ b'2'..=b'5', second @ b'0'..=b'9', third @ b'0'..=b'9'] = digits else { return Err(ReplyError::Malformed) };
    let code = [first, second, third].iter().fold(0, |code, digit| code * 10 + u16::from(**digit - b'0'));
    let (last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return Err(ReplyError::Malformed),
    };
    let printable = |c: char| if c.is_control() || c == char::REPLACEMENT_CHARACTER { '?' } else { c };
    Ok((code, last, String::from_utf8_lossy(text).chars().map(printable).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The replies in the octets, whatever the pieces.
    fn check(octets: &[u8], expected: &[&str]) {
        for step in 1..=octets.len().min(40) {
            let mut replies = Replies::default();
            let mut seen = Vec::new();
            'all: for piece in octets.chunks(step) {
                replies.add(piece);
                loop {
                    match replies.next_reply() {
                        Ok(Some(reply)) => seen.push(reply.summary().to_string()),
                        Ok(None) => break,
                        Err(error) => {
                            seen.push(error.to_string());
                            break 'all;
                        }
                    }
                }
            }
            assert_eq!(seen, expected, "{} by {step}", String::from_utf8_lossy(octets));
        }
    }

    #[test]
    fn replies_of_one_line_and_of_many() {
        check(b"250 2.1.0 Ok\r\n", &["250 2.1.0 Ok"]);
        check(b"220 mx.test ESMTP\r\n250\r\n", &["220 2.0.0 mx.test ESMTP", "250 2.0.0 "]);
        check(b"550-5.1.1 No\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n", &["550 5.1.1 No such user"]);
        check(b"250-a\r\n250-b\r\n250 c\r\n221 2.0.0 d\r\n", &["250 2.0.0 a b c", "221 2.0.0 d"]);
        check(b"450 5.1.1 odd\r\n", &["450 4.0.0 5.1.1 odd"]);
        check(b"550 5.1.1.1 odd\r\n550 5.1 odd\r\n", &["550 5.0.0 5.1.1.1 odd", "550 5.0.0 5.1 odd"]);
        check(b"550 \xff\x07\r\n", &["550 5.0.0 ??"]);
        check(b"250 half", &[]);
    }

    #[test]
    fn what_is_no_reply() {
        for octets in [&b"HTTP/1.1 200 OK\r\n"[..], b"25\r\n", b"150 x\r\n", b"600 x\r\n", b"250x\r\n", b"250 x\n", b"\r\n"] {
            check(octets, &["malformed reply"]);
        }
        check(b"250-a\r\n550 b\r\n", &["different codes in one reply"]);
        check(&[b"250 ", [b'x'; 3000].as_slice()].concat(), &["reply line too long"]);
        check(&b"250-x\r\n".repeat(200), &["reply of too many lines"]);
    }

    proptest! {
        #[test]
        fn no_server_is_too_strange(octets in prop::collection::vec(prop::sample::select(b"25- x.\r\n\xff".to_vec()), 0..60)) {
            let mut replies = Replies::default();
            replies.add(&octets);
            while let Ok(Some(reply)) = replies.next_reply() {
                let _ = reply.summary();
            }
        }
    }
}
