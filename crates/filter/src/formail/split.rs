//! Cuts a mailbox or a digest into messages.

use super::fields::{FROM, Lines, name_length};
use super::options::Split;

/// Fields that the header of a message in a digest may have.
const DIGEST_FIELDS: [&[u8]; 17] = [
    b"From:",
    b"Sender:",
    b"Date:",
    b"Subject:",
    b"To:",
    b"Cc:",
    b"Reply-To:",
    b"Message-ID:",
    b"References:",
    b"In-Reply-To:",
    b"Organization:",
    b"Newsgroups:",
    b"Keywords:",
    b"Summary:",
    b"Path:",
    b"Received:",
    b"Return-Path:",
];

impl Split {
    /// The messages of a mailbox, without those passed over.
    #[must_use]
    pub fn messages<'a>(&self, mailbox: &'a [u8]) -> Vec<&'a [u8]> {
        let start = mailbox.iter().take_while(|octet| **octet == b'\n').count();
        let text = &mailbox[start..];
        if text.is_empty() {
            return Vec::new();
        }
        let mut starts = vec![0];
        let mut lines = Lines::new(text);
        lines.header();
        let mut empty = true;
        let mut first = true;
        while let Some(line) = lines.peek() {
            let at = text.len() - lines.rest().len();
            if !first && (empty || self.anywhere) && self.begins(lines.rest(), line) {
                starts.push(at);
                lines.header();
                empty = true;
                continue;
            }
            first = false;
            empty = line == b"\n";
            lines.next();
        }
        starts.push(text.len());
        let messages = starts.windows(2).map(|pair| &text[pair[0]..pair[1]]);
        messages.skip(self.skip).take(self.total.unwrap_or(usize::MAX)).collect()
    }

    /// Whether a message begins here.
    fn begins(&self, rest: &[u8], line: &[u8]) -> bool {
        if line.starts_with(FROM) {
            return is_postmark(line);
        }
        if !self.digest {
            return false;
        }
        let fields = Lines::new(rest).header();
        let known = fields.iter().take_while(|field| {
            let name = field.name();
            DIGEST_FIELDS.iter().any(|known| name.eq_ignore_ascii_case(known)) || name.starts_with(b"X-") || name.starts_with(b"Old-")
        });
        name_length(line).is_some() && known.count() >= self.least_fields
    }
}

/// `From address something`.
fn is_postmark(line: &[u8]) -> bool {
    let mut words = line[FROM.len()..].split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.next().is_some() && words.next().is_some()
}
