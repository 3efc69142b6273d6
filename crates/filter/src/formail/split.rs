//! Cuts a mailbox or a digest into messages.

use std::borrow::Cow;

use super::edit::content_length;
use super::fields::{FROM, Lines, is_from};
use super::options::Split;

/// Fields that make a header of a message, as formail from Debian was seen to know them; others are no sign of one.
const KNOWN_FIELDS: [&str; 105] = [
    "Acknowledge-To",
    "Alternate-Recipient",
    "Apparently-To",
    "Approved",
    "Auto-Submitted",
    "Autoforwarded",
    "Bcc",
    "Cc",
    "Comments",
    "Content-Description",
    "Content-Disposition",
    "Content-ID",
    "Content-Identifier",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Return",
    "Content-Transfer-Encoding",
    "Content-Type",
    "Control",
    "Conversion",
    "Conversion-With-Loss",
    "DL-Expansion-History",
    "Date",
    "Deferred-Delivery",
    "Delivered-To",
    "Delivery-Date",
    "Disclose-Recipients",
    "Discarded-X400-IPMS-Extensions",
    "Distribution",
    "Encoding",
    "Encrypted",
    "Envelope-To",
    "Errors-To",
    "Expires",
    "Expiry-Date",
    "Followup-To",
    "From",
    "Full-Name",
    "Generate-Delivery-Report",
    "Importance",
    "In-Reply-To",
    "Incomplete-Copy",
    "Keywords",
    "Language",
    "Latest-Delivery-Time",
    "Lines",
    "MIME-Version",
    "Mail-From",
    "Mailing-List",
    "Message-ID",
    "Message-Type",
    "NNTP-Posting-Date",
    "NNTP-Posting-Host",
    "Newsgroups",
    "Obsoletes",
    "Organisation",
    "Organization",
    "Original-Cc",
    "Original-Date",
    "Original-From",
    "Original-Received",
    "Original-To",
    "Originator",
    "Path",
    "Posted",
    "Posted-Date",
    "Precedence",
    "Prevent-NonDelivery-Report",
    "Priority",
    "Received",
    "Reference",
    "References",
    "Relay-Version",
    "Reply-By",
    "Reply-To",
    "Resent-Bcc",
    "Resent-Cc",
    "Resent-Date",
    "Resent-From",
    "Resent-Message-ID",
    "Resent-Reply-To",
    "Resent-Sender",
    "Resent-To",
    "Return-Path",
    "Return-Receipt-Requested",
    "Return-Receipt-To",
    "Sender",
    "Sensitivity",
    "Sent-By",
    "Status",
    "Subject",
    "Summary",
    "Supersedes",
    "Title",
    "To",
    "User-Agent",
    "Version",
    "Via",
    "X400-Content-Type",
    "X400-MTS-Identifier",
    "X400-Originator",
    "X400-Received",
    "X400-Recipients",
    "Xref",
];
/// So do all fields that begin with these.
const KNOWN_PREFIXES: [&str; 2] = ["X-", "Old-"];

/// What stands at a place in a mailbox where a message may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A header.
    Begins,
    /// It looks like a header, but has too few fields: so many octets of it. Neither they nor the line behind them begin a message.
    Short(usize),
    /// Neither.
    Text,
}

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
        let mut covered = self.covered(&mut lines);
        // The line behind a header begins nothing, whether it is empty or not.
        let (mut empty, mut settled) = (true, true);
        while let Some(line) = lines.peek() {
            let at = text.len() - lines.rest().len();
            let possible = !settled && (empty || self.anywhere) && lines.rest().len() <= covered;
            match if possible { self.place(lines.rest()) } else { Place::Text } {
                Place::Begins => {
                    starts.push(at);
                    covered = self.covered(&mut lines);
                    (empty, settled) = (true, true);
                }
                Place::Short(length) => {
                    lines.skip(length);
                    settled = true;
                }
                Place::Text => {
                    empty = line == b"\n";
                    settled = false;
                    lines.next();
                }
            }
        }
        starts.push(text.len());
        taken(starts.len() - 1).map(|place| Cow::Borrowed(&text[starts[place]..starts[place + 1]])).collect()
    }

    /// Reads a header; gives how many octets are left of the mailbox behind what its Content-Length covers.
    fn covered(&self, lines: &mut Lines<'_>) -> usize {
        let fields = lines.header();
        let length = if self.ignores_length { 0 } else { content_length(&fields) };
        let separator = usize::from(lines.peek() == Some(b"\n"));
        lines.rest().len().saturating_sub(separator).saturating_sub(length)
    }

    /// What stands in front of `rest`, where a message may begin.
    pub(super) fn place(&self, rest: &[u8]) -> Place {
        let mut lines = Lines::new(rest);
        let postmark = lines.peek().is_some_and(is_postmark);
        if !postmark && !self.digest {
            return Place::Text;
        }
        let mut count = 0;
        let mut length = 0;
        while let Some(field) = lines.field(count == 0) {
            let counts = is_known(field.name()) || (count == 0 && postmark);
            if !counts {
                break;
            }
            count += 1;
            length = rest.len() - lines.rest().len();
            if count >= self.least_fields {
                return Place::Begins;
            }
        }
        if count == 0 { Place::Text } else { Place::Short(length) }
    }
}

fn is_known(name: &[u8]) -> bool {
    let bare = name.strip_suffix(b":").unwrap_or(name);
    KNOWN_FIELDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(bare))
        || KNOWN_PREFIXES.iter().any(|prefix| bare.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())))
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
    if !is_from(line) {
        return false;
    }
    let mut words = line[FROM.len()..].split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.next().is_some() && words.next().is_some()
}
