//! What is kept of one message: a few words, and the base of its file name.

use mail::{Flag, Flags, ModSeq, Uid};
use maildir::scan::Place;

/// Flags, place and keywords of a message in one word: 5 bits of flags, 1 for `new`, 26 of keywords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(pub(crate) u32);

const NEW: u32 = 32;
const KEYWORD_SHIFT: u32 = 6;

impl Bits {
    pub(crate) fn new(flags: Flags, keywords: u32, place: Place) -> Self {
        let new = if place == Place::New { NEW } else { 0 };
        Self(u32::from(flags.bits()) | new | keywords << KEYWORD_SHIFT)
    }

    pub(crate) fn flags(self) -> Flags {
        Flags::from_bits((self.0 & 31) as u8)
    }

    pub(crate) fn keywords(self) -> u32 {
        self.0 >> KEYWORD_SHIFT
    }

    pub(crate) fn place(self) -> Place {
        if self.0 & NEW != 0 { Place::New } else { Place::Cur }
    }

    pub(crate) fn has(self, flag: Flag) -> bool {
        self.flags().has(flag)
    }
}

/// The date of a file that nobody has asked for yet.
pub(crate) const NO_DATE: i64 = i64::MIN;

/// The size of a file that nobody has counted yet; also of the few beyond 4 GiB.
pub(crate) const NO_SIZE: u32 = u32::MAX;

/// The fixed part of a message's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) modseq: ModSeq,
    /// INTERNALDATE in seconds since 1970, or [`NO_DATE`].
    pub(crate) date: i64,
    /// Size with line ends of two octets, or [`NO_SIZE`].
    pub(crate) size: u32,
    pub(crate) bits: Bits,
}

/// A message apart from the table: on its way in, or gone but not told of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) uid: Uid,
    pub(crate) row: Row,
    /// The base of the file name.
    pub(crate) name: Box<[u8]>,
}

/// A size as a row keeps it.
pub(crate) fn short_size(size: Option<u64>) -> u32 {
    size.and_then(|size| u32::try_from(size).ok()).unwrap_or(NO_SIZE)
}
