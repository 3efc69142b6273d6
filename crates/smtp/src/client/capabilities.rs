//! What a server offers in its reply to EHLO.

use super::reply::ServerReply;

/// The extensions that are made use of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) pipelining: bool,
    pub(super) starttls: bool,
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
    pub(super) reports: bool,
    /// SIZE is offered.
    pub(super) size: bool,
    /// The largest message; 0 if that is not said (RFC 1870 section 3).
    pub(super) max_size: u64,
}

impl Capabilities {
    /// Reads the lines after the first. What is not known is skipped.
    pub(super) fn of(reply: &ServerReply) -> Self {
        let mut found = Self::default();
        for line in reply.lines.iter().skip(1) {
            let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "STARTTLS" => found.starttls = true,
                "8BITMIME" => found.eight_bit = true,
                "SMTPUTF8" => found.utf8 = true,
                "DSN" => found.reports = true,
                "SIZE" => {
                    found.size = true;
                    found.max_size = rest.trim().parse().unwrap_or(0);
                }
                _ => {}
            }
        }
        found
    }
}
