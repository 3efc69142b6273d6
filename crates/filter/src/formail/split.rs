//! Cuts a mailbox or a digest into messages.

use std::borrow::Cow;

use super::fields::{FROM, Lines, is_from, name_length};
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
    pub fn messages<'a>(&self, mailbox: &'a [u8]) -> Vec<Cow<'a, [u8]>> {
        let taken = |count: usize| self.skip..count.min(self.total.map_or(count, |total| self.skip.saturating_add(total)));
        if self.babyl {
            let all = babyl(mailbox);
            return taken(all.len()).filter_map(|place| all.get(place).cloned().map(Cow::Owned)).collect();
        }
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
        taken(starts.len() - 1).map(|place| Cow::Borrowed(&text[starts[place]..starts[place + 1]])).collect()
    }

    /// Whether a message begins here.
    fn begins(&self, rest: &[u8], line: &[u8]) -> bool {
        if is_from(line) {
            return is_postmark(line) && Lines::new(rest).header().len() >= self.least_fields;
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

/// What ends a message of an RMAIL file, and what divides its header from the one that is shown.
const BABYL_END: u8 = 0x1f;
const BABYL_SHOWN: &[u8] = b"*** EOOH ***\n";

/// The messages of an RMAIL file (Babyl, version 5): each begins with a line of labels and has its header twice, first as it came.
fn babyl(file: &[u8]) -> Vec<Vec<u8>> {
    let parts = file.split(|octet| *octet == BABYL_END).skip(1);
    let messages = parts.filter_map(|part| part.strip_prefix(b"\x0c\n")).filter_map(|part| {
        let text = &part[memchr::memchr(b'\n', part)? + 1..];
        let shown = memchr::memmem::find(text, BABYL_SHOWN)?;
        let (header, rest) = (&text[..shown], &text[shown + BABYL_SHOWN.len()..]);
        let body =
            if rest.starts_with(b"\n") { rest } else { &rest[memchr::memmem::find(rest, b"\n\n").map_or(rest.len(), |at| at + 1)..] };
        Some([if header.is_empty() { &rest[..rest.len() - body.len()] } else { header }, body].concat())
    });
    messages.collect()
}

/// `From address something`.
fn is_postmark(line: &[u8]) -> bool {
    let mut words = line[FROM.len()..].split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.next().is_some() && words.next().is_some()
}
