//! Where the pieces of an entry are.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::generation;
use crate::segment::Segment;

/// The name of an entry: ascending, never used again in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub(crate) u64);

impl EntryId {
    /// The id as a number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id with this number, as it was kept somewhere.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A payload in a segment.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) segment: Arc<Segment>,
    /// The segment's tag when it was written.
    pub(crate) tag: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Location {
    pub(crate) fn generation(&self) -> u64 {
        generation(self.tag)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.tag == other.tag && self.offset == other.offset
    }
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Not written yet.
    Memory(Bytes),
    /// Written, though maybe not synced.
    File(Location),
}

impl Place {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(octets) => octets.len() as u64,
            Self::File(location) => u64::from(location.length),
        }
    }

    pub(crate) fn location(&self) -> Option<&Location> {
        match self {
            Self::Memory(_) => None,
            Self::File(location) => Some(location),
        }
    }
}

/// How far an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its writer is at work.
    Open,
    /// A piece of it was lost to a failed write: it cannot be committed.
    Broken,
    /// Its last record waits for the disk.
    Committing,
    /// On disk.
    Durable,
}

/// A remark about an entry.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Ascends; where notes were damaged some are missing.
    pub(crate) index: u32,
    pub(crate) seq: u64,
    pub(crate) payload: Bytes,
    /// Counts at once, and not only after a checkpoint.
    pub(crate) firm: bool,
    pub(crate) location: Option<Location>,
}

/// One entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: u8,
    pub(crate) progress: Progress,
    /// The payload of its `Entry` or `Commit` record.
    pub(crate) last: Option<Location>,
    /// What stands before the body, or the rest of the header, in that payload.
    pub(crate) header: u32,
    pub(crate) length: u64,
    /// The body if it is in pieces.
    pub(crate) chunks: Vec<Place>,
    /// The body if it is in one record and still in memory.
    pub(crate) fresh: Option<Bytes>,
    pub(crate) notes: Vec<Note>,
    /// The index of the next note. Those of notes that were in doubt are not given again.
    pub(crate) next_note: u32,
}

impl Entry {
    pub(crate) fn open() -> Self {
        Self {
            kind: 0,
            progress: Progress::Open,
            last: None,
            header: 0,
            length: 0,
            chunks: Vec::new(),
            fresh: None,
            notes: Vec::new(),
            next_note: 0,
        }
    }

    /// Octets of it that are held in memory.
    pub(crate) fn held(&self) -> usize {
        let chunks = self.chunks.iter().map(|place| if let Place::Memory(octets) = place { octets.len() } else { 0 });
        self.fresh.as_ref().map_or(0, Bytes::len) + chunks.sum::<usize>()
    }

    /// All pieces that are in segments.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        let notes = self.notes.iter().filter_map(|note| note.location.as_ref());
        self.last.iter().chain(self.chunks.iter().filter_map(Place::location)).chain(notes)
    }

    /// The oldest generation that holds a piece of it.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.locations().map(Location::generation).min()
    }

    /// The note of this index.
    pub(crate) fn note(&mut self, index: u32) -> Option<&mut Note> {
        let at = self.notes.binary_search_by_key(&index, |note| note.index).ok()?;
        self.notes.get_mut(at)
    }

    /// Octets it takes in segments.
    pub(crate) fn stored(&self) -> u64 {
        self.locations().map(|location| u64::from(location.length)).sum()
    }
}
