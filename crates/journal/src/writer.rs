//! Making an entry.

use std::sync::Arc;

use bytes::Bytes;

use crate::entry::{Entry, EntryId, Place, Progress};
use crate::error::{Error, Result};
use crate::group::{Durable, Room};
use crate::record::Kind;
use crate::state::{Item, Shared, State};

/// An entry that is being written. Dropping it without [`Writer::commit`] leaves no trace.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    id: u64,
    buffer: Vec<u8>,
    length: u64,
    /// Pieces that went to the journal already; while there are any, the entry is in the table.
    chunks: u32,
    committed: bool,
    /// A piece was not taken.
    failed: Option<Error>,
}

impl Writer {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let id = {
            let mut state = shared.lock();
            state.next_entry += 1;
            state.next_entry - 1
        };
        Self { shared: Arc::clone(shared), id, buffer: Vec::new(), length: 0, chunks: 0, committed: false, failed: None }
    }

    /// The entry's id; it has no meaning before the entry is committed.
    #[must_use]
    pub fn id(&self) -> EntryId {
        EntryId(self.id)
    }

    /// Octets written so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing was written so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends to the body. Bodies of up to a MiB (64 KiB when memory is short) stay in memory until commit; longer ones go
    /// to the journal piece by piece.
    ///
    /// # Errors
    /// [`Error::Busy`] if the disk is far behind, [`Error::Disk`] if a piece could not be written: the entry is lost.
    pub fn write(&mut self, octets: &[u8]) -> Result<Room> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.shared.hold(octets.len());
        self.buffer.extend_from_slice(octets);
        self.length += octets.len() as u64;
        let limits = &self.shared.limits;
        let most = match self.chunks {
            0 if self.shared.held() > limits.memory / 2 => limits.small,
            0 => limits.inline,
            _ => limits.chunk,
        };
        if self.buffer.len() <= most { Ok(Room(None)) } else { self.spill(false) }
    }

    /// Hands the buffer over in pieces; without `all` the last short piece stays.
    fn spill(&mut self, all: bool) -> Result<Room> {
        let chunk = self.shared.limits.chunk;
        let mut rest = Bytes::from(std::mem::take(&mut self.buffer));
        let mut items = Vec::new();
        while rest.len() >= chunk || (all && !rest.is_empty()) {
            let piece = rest.split_to(rest.len().min(chunk));
            items.push(Item::new(Kind::Chunk, 0, self.id, self.chunks, Vec::new(), piece));
            self.chunks += 1;
        }
        self.buffer.extend_from_slice(&rest);
        let octets = items.iter().map(Item::length).sum();
        self.hand_over(items).inspect_err(|error| {
            self.shared.let_go(octets);
            self.failed = Some(error.clone());
        })
    }

    fn hand_over(&self, items: Vec<Item>) -> Result<Room> {
        let shared = &self.shared;
        let mut state = shared.lock();
        shared.admit(&state)?;
        let failure = broken(&state);
        let entry = state.entries.entry(self.id).or_insert_with(Entry::open);
        if entry.progress == Progress::Broken {
            return Err(failure);
        }
        entry.chunks.extend(items.iter().map(|item| Place::Memory(item.body.clone())));
        let mut last = None;
        for item in items {
            last = Some(shared.push_lazily(&mut state, item));
        }
        shared.wake(&mut state);
        Ok(Room(last.filter(|_| state.pending_octets > shared.limits.memory / 2)))
    }

    /// Ends the entry. `kind` and `header` are the caller's; the header may have a quarter of a segment.
    ///
    /// The entry counts when [`Durable`] resolves without an error; after an error it is not in the journal.
    /// Its body can be read from now on.
    pub fn commit(mut self, kind: u8, header: &[u8]) -> (EntryId, Durable) {
        let id = EntryId(self.id);
        let durable = self.try_commit(kind, header).unwrap_or_else(|error| Durable::refused(&error));
        (id, durable)
    }

    fn try_commit(&mut self, kind: u8, header: &[u8]) -> Result<Durable> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let limit = self.shared.limits.record;
        if header.len() > limit {
            return Err(Error::TooLong(header.len()));
        }
        if self.chunks == 0 && header.len() + self.buffer.len() <= limit {
            return self.commit_whole(kind, header);
        }
        // Going on without waiting for room is right here: this is the end.
        drop(self.spill(true)?);
        let mut payload = Vec::with_capacity(12 + header.len());
        payload.extend(self.length.to_le_bytes());
        payload.extend(self.chunks.to_le_bytes());
        payload.extend_from_slice(header);
        let item = Item::new(Kind::Commit, kind, self.id, 0, payload, Bytes::new());
        let mut state = self.shared.lock();
        self.shared.admit(&state)?;
        let failure = broken(&state);
        let entry = state.entries.get_mut(&self.id).ok_or(Error::Gone)?;
        if entry.progress == Progress::Broken {
            return Err(failure);
        }
        entry.kind = kind;
        entry.progress = Progress::Committing;
        entry.length = self.length;
        entry.header = 12;
        self.committed = true;
        Ok(finish(&self.shared, &mut state, item))
    }

    fn commit_whole(&mut self, kind: u8, header: &[u8]) -> Result<Durable> {
        let body = Bytes::from(std::mem::take(&mut self.buffer));
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        let item = Item::new(Kind::Entry, kind, self.id, length, header.to_vec(), body.clone());
        let entry = Entry { kind, progress: Progress::Committing, header: length, length: self.length, fresh: Some(body), ..Entry::open() };
        let mut state = self.shared.lock();
        if let Err(error) = self.shared.admit(&state) {
            self.shared.let_go(entry.held());
            return Err(error);
        }
        state.entries.insert(self.id, entry);
        self.committed = true;
        Ok(finish(&self.shared, &mut state, item))
    }
}

/// Queues the last record of an entry and has it written at once.
fn finish(shared: &Shared, state: &mut State, item: Item) -> Durable {
    let seq = state.push(item);
    state.urgent = true;
    state.waiting += 1;
    if state.company.is_some_and(|company| state.waiting >= company) {
        state.company = None;
        shared.work.notify_one();
    }
    shared.wake(state);
    Durable::new(Arc::clone(&state.group), seq, None)
}

/// Why pieces are missing.
fn broken(state: &State) -> Error {
    state.failure.clone().unwrap_or(Error::Gone)
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.let_go(self.buffer.len());
        if self.chunks > 0 && !self.committed {
            let removed = self.shared.lock().entries.remove(&self.id);
            self.shared.let_go(removed.map_or(0, |entry| entry.held()));
        }
    }
}
