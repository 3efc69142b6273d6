//! Reading what was written.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::entry::{Entry, Place};
use crate::error::{Error, Result};
use crate::state::Shared;

/// The body of an entry. Small bodies that came a moment ago are in memory; all others are read from their segments.
///
/// It can be read until the entry is released, also before it is committed. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Body {
    shared: Arc<Shared>,
    id: u64,
    length: u64,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(Bytes),
    /// Pieces with the place in the body at which each begins.
    Parts(Arc<[(u64, Place)]>),
}

/// How often pieces may be moved while they are read.
const MOVES: usize = 100;

/// How much is read at once.
const STEP: usize = 1 << 16;

impl Body {
    pub(crate) fn of(shared: &Arc<Shared>, id: u64) -> Result<Self> {
        let state = shared.lock();
        let entry = state.entries.get(&id).ok_or(Error::Gone)?;
        let source = Source::of(entry);
        Ok(Self { shared: Arc::clone(shared), id, length: source.length(), source })
    }

    /// Length in octets.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads into `buffer` at `offset`; gives the number of octets, 0 at the end. May give less than there is.
    ///
    /// # Errors
    /// [`Error::Gone`] after release, [`Error::Disk`] if it cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if offset >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        if let Some(count) = self.source.read_at(buffer, offset)? {
            return Ok(count);
        }
        // Its pieces were moved to a newer segment since: look again. A thread that is kept waiting may find them moved once more.
        for _ in 0..MOVES {
            if let Some(count) = Self::of(&self.shared, self.id)?.source.read_at(buffer, offset)? {
                return Ok(count);
            }
        }
        Err(Error::Gone)
    }

    /// The whole body in one piece, without a copy if it is in memory.
    ///
    /// # Errors
    /// As [`Body::read_at`]; [`Error::TooLong`] if it is longer than `limit`.
    pub fn whole(&self, limit: usize) -> Result<Bytes> {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        if length > limit {
            return Err(Error::TooLong(length));
        }
        if let Source::Memory(octets) = &self.source {
            return Ok(octets.clone());
        }
        let mut octets = vec![0; length];
        let mut filled = 0;
        while filled < length {
            filled += self.read_some(&mut octets[filled..], filled as u64)?;
        }
        Ok(octets.into())
    }

    /// The body piece by piece, each at most 64 KiB if it has to be read.
    pub fn chunks(&self) -> impl Iterator<Item = Result<Bytes>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = self.length.checked_sub(at).filter(|rest| *rest > 0)?;
            let piece = match &self.source {
                Source::Memory(octets) => Ok(octets.clone()),
                Source::Parts(_) => self.step(at, rest),
            };
            at = piece.as_ref().map_or(u64::MAX, |octets| at + octets.len() as u64);
            Some(piece)
        })
    }

    fn step(&self, at: u64, rest: u64) -> Result<Bytes> {
        let mut octets = vec![0; usize::try_from(rest).unwrap_or(STEP).min(STEP)];
        let count = self.read_some(&mut octets, at)?;
        octets.truncate(count);
        Ok(octets.into())
    }

    /// At least one octet.
    fn read_some(&self, buffer: &mut [u8], at: u64) -> Result<usize> {
        match self.read_at(buffer, at)? {
            0 => Err(Error::Gone),
            count => Ok(count),
        }
    }

    /// The body as a stream.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { body: self.clone(), at: 0 }
    }
}

impl Source {
    fn of(entry: &Entry) -> Self {
        if let Some(fresh) = &entry.fresh {
            return Self::Memory(fresh.clone());
        }
        if entry.chunks.is_empty() {
            let inline = entry.last.clone().map(|mut location| {
                location.offset += u64::from(entry.header);
                location.length = location.length.saturating_sub(entry.header);
                (0, Place::File(location))
            });
            return Self::Parts(inline.into_iter().collect());
        }
        let mut at = 0;
        let parts = entry.chunks.iter().map(|place| {
            let start = at;
            at += place.length();
            (start, place.clone())
        });
        Self::Parts(parts.collect())
    }

    fn length(&self) -> u64 {
        match self {
            Self::Memory(octets) => octets.len() as u64,
            Self::Parts(parts) => parts.last().map_or(0, |(start, place)| start + place.length()),
        }
    }

    /// `None` if what was there has been moved.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<Option<usize>> {
        let (start, place) = match self {
            Self::Memory(octets) => return Ok(Some(copy(octets, buffer, offset))),
            Self::Parts(parts) => match parts[..parts.partition_point(|part| part.0 <= offset)].last() {
                Some((start, place)) => (start, place),
                None => return Ok(Some(0)),
            },
        };
        let within = offset - start;
        match place {
            Place::Memory(octets) => Ok(Some(copy(octets, buffer, within))),
            Place::File(location) => {
                let rest = u64::from(location.length).saturating_sub(within);
                let count = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
                let read = location.segment.read(location.tag, &mut buffer[..count], location.offset + within);
                Ok(read.map_err(Error::disk("read"))?.map(|()| count))
            }
        }
    }
}

fn copy(octets: &[u8], buffer: &mut [u8], offset: u64) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|at| octets.get(at..)).unwrap_or_default();
    let count = rest.len().min(buffer.len());
    buffer[..count].copy_from_slice(&rest[..count]);
    count
}

/// Reads a body from its beginning to its end.
#[derive(Debug)]
pub struct Reader {
    body: Body,
    at: u64,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read_at(buffer, self.at).map_err(io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}
