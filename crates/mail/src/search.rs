//! What to look for in a mailbox (RFC 3501 section 6.4.4): parsed by `imap`, answered by `mailbox`.

use crate::{Flag, Keyword, ModSeq, UidSet};

/// A day as people write it; comparisons leave time and zone out (RFC 3501 section 6.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// How a message's day compares with the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Earlier than the day.
    Before,
    /// On the day.
    On,
    /// On the day or later.
    Since,
}

/// Which of a message's dates is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Date {
    /// When it was stored (INTERNALDATE).
    Internal,
    /// Its `Date:` header, in the zone written there.
    Sent,
    /// When it came into this mailbox (RFC 8514).
    Saved,
}

/// One condition. Sequence numbers, `RECENT`, `NEW` and `OLD` are turned into UIDs by the session, which alone knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Every message.
    All,
    /// Has the flag.
    Flag(Flag),
    /// Has the keyword.
    Keyword(Keyword),
    /// Has one of these UIDs.
    Uids(UidSet),
    /// A date compares so with a day.
    Day(Date, When, Day),
    /// Stored at most so many seconds ago (RFC 5032 `YOUNGER`).
    Younger(u32),
    /// Larger than so many octets, line ends counted as two.
    Larger(u64),
    /// Smaller than so many octets, line ends counted as two.
    Smaller(u64),
    /// The named header field is there and holds the text, decoded, case aside; the empty text asks for presence alone.
    Header {
        /// The field's name, in any case.
        name: String,
        /// What its value holds.
        text: String,
    },
    /// The text is in the body (not in the header), decoded, case aside.
    Body(String),
    /// The text is in header or body, decoded, case aside.
    Text(String),
    /// Changed at or after this modification sequence (RFC 7162 section 3.1.5).
    ModSeq(ModSeq),
    /// All of them hold.
    And(Vec<Key>),
    /// One of the two holds.
    Or(Box<Key>, Box<Key>),
    /// It does not hold.
    Not(Box<Key>),
}
