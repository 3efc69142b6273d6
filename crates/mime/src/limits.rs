//! What a stranger's message may cost. What is beyond a limit stays in the message and is delivered byte for byte;
//! it is only no longer taken apart.

/// Levels of parts within parts. A container at this depth is shown as `application/octet-stream`.
pub const DEPTH: usize = 100;

/// Parts of one message. Boundaries that would open another part are then taken for text.
pub const PARTS: usize = 10_000;

/// Octets of one header field's value that are looked at.
pub const FIELD: usize = 1 << 20;

/// Addresses of one kind (`To`, `Cc`, ...) that the envelope shows.
pub const ADDRESSES: usize = 20_000;

/// Parameters of one `Content-Type` or `Content-Disposition`.
pub const PARAMETERS: usize = 500;

/// Tags of one `Content-Language`.
pub const LANGUAGES: usize = 100;

/// Message-IDs of one `References` field, the newest counted first.
pub const REFERENCES: usize = 1_000;

/// Octets of a boundary that are compared, as Dovecot does (RFC 2046 section 5.1.1 allows 70).
pub const BOUNDARY: usize = 80;

/// Comments and quoted strings without end in one field, after which the rest of it is not read. Each may cost a look
/// at the whole field, so their number must not grow with it.
pub const BROKEN: usize = 16;

/// Octets of a decoded subject that sorting and threading look at.
pub const SUBJECT: usize = 4096;

/// Octets of an address or a name that sorting looks at.
pub const SORT_KEY: usize = 512;

/// How far up a thread is searched for a loop before the link in question is left out.
pub const THREAD_DEPTH: usize = 10_000;

/// Octets of common header fields that the facts about a message keep. Where they are more, the message is opened.
pub const KEPT: usize = 4096;
