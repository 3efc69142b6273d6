//! The form of records on disk.
//!
//! A segment is a run of records, each of a [`Head`] of 64 octets and a payload, padded to a multiple of eight octets. After a
//! sync the next record begins at the next page, so that a later write never touches a sector that holds acknowledged
//! data; `previous_end` in the head tells such a space from a lost record. All numbers are little-endian.
//!
//! | at | octets | meaning |
//! |---|---|---|
//! | 0 | 4 | magic `PBJ1` |
//! | 4 | 1 | [`Kind`] |
//! | 5 | 1 | the entry's kind as its owner numbers it; for a note 1 if it counts at once |
//! | 6 | 2 | zero |
//! | 8 | 4 | length of the payload |
//! | 12 | 4 | CRC-32 of the payload |
//! | 16 | 8 | tag of the segment: generation in the upper half, chance in the lower: old bytes of a file that is used again never match |
//! | 24 | 8 | sequence number, ascending through all segments |
//! | 32 | 8 | entry |
//! | 40 | 8 | everything before this place in the segment was durable when the record was written |
//! | 48 | 4 | `Entry`: length of the header; `Chunk`, `Note`: index |
//! | 52 | 4 | where the record before this one ends in the segment |
//! | 56 | 4 | zero |
//! | 60 | 4 | CRC-32 of the 60 octets before |

/// Length of a head in octets.
pub(crate) const HEAD: usize = 64;

/// Records begin at such a boundary after a sync.
pub(crate) const PAGE: u64 = 4096;

/// The first octets of every record.
pub(crate) const MAGIC: [u8; 4] = *b"PBJ1";

/// The format that is written, and the newest that can be read.
pub(crate) const FORMAT: u32 = 1;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// First in each segment: a [`Start`].
    Segment = 1,
    /// A whole entry: header and body.
    Entry = 2,
    /// A piece of a long body.
    Chunk = 3,
    /// The end of an entry whose body is in chunks: length of the body (8), number of chunks (4), header.
    Commit = 4,
    /// A remark about an entry.
    Note = 5,
    /// The entry is done with, if a checkpoint follows or the machine was not restarted since.
    Release = 6,
    /// What stands at or before a sequence number (8) is on disk; segments older than a generation (8) are free.
    Checkpoint = 7,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        let all = [Self::Segment, Self::Entry, Self::Chunk, Self::Commit, Self::Note, Self::Release, Self::Checkpoint];
        all.into_iter().find(|kind| *kind as u8 == octet)
    }
}

/// The first 64 octets of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) user: u8,
    pub(crate) length: u32,
    pub(crate) payload_crc: u32,
    pub(crate) tag: u64,
    pub(crate) seq: u64,
    pub(crate) entry: u64,
    pub(crate) durable: u64,
    pub(crate) extra: u32,
    pub(crate) previous_end: u32,
}

impl Head {
    pub(crate) fn encode(&self) -> [u8; HEAD] {
        let mut octets = [0; HEAD];
        octets[0..4].copy_from_slice(&MAGIC);
        octets[4] = self.kind as u8;
        octets[5] = self.user;
        octets[8..12].copy_from_slice(&self.length.to_le_bytes());
        octets[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        octets[16..24].copy_from_slice(&self.tag.to_le_bytes());
        octets[24..32].copy_from_slice(&self.seq.to_le_bytes());
        octets[32..40].copy_from_slice(&self.entry.to_le_bytes());
        octets[40..48].copy_from_slice(&self.durable.to_le_bytes());
        octets[48..52].copy_from_slice(&self.extra.to_le_bytes());
        octets[52..56].copy_from_slice(&self.previous_end.to_le_bytes());
        let crc = crc32fast::hash(&octets[..60]);
        octets[60..64].copy_from_slice(&crc.to_le_bytes());
        octets
    }

    /// The head, if these are the first octets of a sound one.
    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let octets = octets.get(..HEAD)?;
        if octets[..4] != MAGIC || crc32fast::hash(&octets[..60]) != u32_at(octets, 60)? {
            return None;
        }
        Some(Self {
            kind: Kind::from_octet(octets[4])?,
            user: octets[5],
            length: u32_at(octets, 8)?,
            payload_crc: u32_at(octets, 12)?,
            tag: u64_at(octets, 16)?,
            seq: u64_at(octets, 24)?,
            entry: u64_at(octets, 32)?,
            durable: u64_at(octets, 40)?,
            extra: u32_at(octets, 48)?,
            previous_end: u32_at(octets, 52)?,
        })
    }

    /// The room the whole record takes.
    pub(crate) fn room(&self) -> u64 {
        room(self.length as usize)
    }
}

/// The room a record with a payload of `length` octets takes.
pub(crate) fn room(length: usize) -> u64 {
    ((HEAD + length) as u64).next_multiple_of(8)
}

/// The generation in a tag.
pub(crate) fn generation(tag: u64) -> u64 {
    tag >> 32
}

/// The payload of a segment's first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The format of all records of the segment.
    pub(crate) format: u32,
    /// Where the segment before this one ends: records behind it were given up.
    pub(crate) previous_end: u32,
    /// The tag of the segment before this one; 0 if there is none.
    pub(crate) previous: u64,
    /// The number the next entry gets.
    pub(crate) next_entry: u64,
    /// See `Disk::boot`; a number by chance if that is not known.
    pub(crate) boot: u128,
}

impl Start {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(40);
        octets.extend(self.format.to_le_bytes());
        octets.extend(self.previous_end.to_le_bytes());
        octets.extend(self.previous.to_le_bytes());
        octets.extend(self.next_entry.to_le_bytes());
        octets.extend(self.boot.to_le_bytes());
        octets
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        Some(Self {
            format: u32_at(octets, 0)?,
            previous_end: u32_at(octets, 4)?,
            previous: u64_at(octets, 8)?,
            next_entry: u64_at(octets, 16)?,
            boot: u128::from_le_bytes(octets.get(24..40)?.try_into().ok()?),
        })
    }
}

pub(crate) fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_read_back_and_no_changed_bit_passes() {
        let head = Head {
            kind: Kind::Note,
            user: 7,
            length: 1,
            payload_crc: 2,
            tag: 3 << 32 | 4,
            seq: 5,
            entry: 6,
            durable: 4,
            extra: 8,
            previous_end: 9,
        };
        let octets = head.encode();
        assert_eq!(Head::decode(&octets), Some(head));
        for bit in 0..HEAD * 8 {
            let mut changed = octets;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&changed), None, "bit {bit}");
        }
        assert_eq!(Head::decode(&octets[..63]), None);
    }

    #[test]
    fn starts_read_back() {
        let start = Start { format: 1, previous_end: 2, previous: 3, next_entry: 4, boot: 5 };
        assert_eq!(Start::decode(&start.encode()), Some(start));
        assert_eq!(Start::decode(&start.encode()[..39]), None);
    }
}
