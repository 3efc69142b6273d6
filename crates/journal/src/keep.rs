//! The keeper: sees to it that segments are used again, on a thread of its own so that no commit waits for it.
//!
//! One pass: call the checkpoint, so that all that was released before is on disk elsewhere; write a checkpoint record that
//! says so; when that is durable, free the segments that nothing needs. Segments are freed strictly in their order, so that a
//! release always outlives what it releases. Entries that stay long are copied to the end of the journal, so that they
//! do not hold up the segments behind them.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use crate::entry::{Entry, Location, Progress};
use crate::error::{Error, Result};
use crate::group::{Durable, Group};
use crate::record::Kind;
use crate::segment::{Segment, create};
use crate::state::{Item, Limits, Shared, State};

/// Free segments that are kept at hand.
const SPARE: usize = 2;

/// A pass whose checkpoint record is on its way.
pub(crate) struct Pass {
    pub(crate) durable: Durable,
    oldest: u64,
    watchers: Vec<Arc<Group>>,
}

/// A piece to be copied.
struct Piece {
    entry: u64,
    kind: Kind,
    user: u8,
    extra: u32,
    location: Location,
}

impl State {
    fn has_work(&self, shared: &Shared) -> bool {
        self.short || self.released.is_some() || self.marked || self.wants_spare(shared) || self.has_surplus()
    }

    fn wants_spare(&self, shared: &Shared) -> bool {
        self.free.len() < SPARE && self.free.len() + self.live.len() < shared.limits.segments
    }

    fn has_surplus(&self) -> bool {
        self.free.len() > SPARE + self.demand
    }
}

impl Shared {
    /// Works until the journal is closed.
    pub(crate) fn keep(self: &Arc<Self>) {
        let mut next = Instant::now();
        while self.sleep(next) {
            next = Instant::now() + self.limits.interval;
            self.pass();
            self.tidy();
        }
        // The last record says that all before it is durable, so that damage is told from a torn end at the next start.
        self.mark_written();
        self.pass();
        for watcher in std::mem::take(&mut self.lock().watchers) {
            watcher.refuse(0, &Error::Closed);
            watcher.complete();
        }
    }

    /// Waits until a pass is due; `false` when the journal closes.
    fn sleep(&self, next: Instant) -> bool {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.closing {
                return false;
            }
            if state.short && state.failure.is_none() || (next <= now && state.has_work(self)) {
                state.short = false;
                return true;
            }
            state = if state.has_work(self) {
                self.tick.wait_timeout(state, next.saturating_duration_since(now)).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.tick.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    fn mark_written(&self) {
        let mut state = self.lock();
        state.marked |= state.counts.written > 0 || !state.pending.is_empty();
    }

    fn pass(self: &Arc<Self>) {
        let Some(Pass { durable, oldest, watchers }) = self.begin_pass() else { return };
        let outcome = durable.wait();
        self.finish_pass(oldest, watchers, outcome);
    }

    /// Ends a pass whose record is written or refused; for tests, which have no threads.
    #[cfg(test)]
    pub(crate) fn end_pass(&self, pass: Pass, outcome: Result<()>) {
        self.finish_pass(pass.oldest, pass.watchers, outcome);
    }

    /// Calls the checkpoint and queues the record of it; `None` if there is nothing to do or it failed.
    pub(crate) fn begin_pass(self: &Arc<Self>) -> Option<Pass> {
        let (upto, call, watchers) = {
            let mut state = self.lock();
            let call = state.released.is_some() || state.marked;
            let oldest = state.live.front().map_or(u64::MAX, |segment| segment.generation());
            if !call && state.oldest_needed() <= oldest && !state.is_sparse(&self.limits) {
                return None;
            }
            state.covering = state.released.take();
            state.marked = false;
            (state.next_seq.saturating_sub(1), call, std::mem::take(&mut state.watchers))
        };
        if call && let Err(cause) = (self.checkpoint)() {
            let error = Error::disk("sync what was delivered")(cause);
            tracing::error!(%error, "the journal keeps its segments");
            self.put_back(call, watchers);
            return None;
        }
        self.confirm(upto);
        if let Err(error) = self.move_old() {
            tracing::error!(%error, "the journal cannot copy an old entry");
        }
        let mut state = self.lock();
        let oldest = state.oldest_needed();
        let payload = [upto.to_le_bytes(), oldest.to_le_bytes()].concat();
        let item = Item::new(Kind::Checkpoint, 0, 0, 0, payload, Bytes::new());
        let seq = state.push(item);
        state.urgent = true;
        self.wake(&mut state);
        Some(Pass { durable: Durable::new(Arc::clone(&state.group), seq, None), oldest, watchers })
    }

    /// Marks from before the checkpoint are true now. Copies of them say so themselves, for the checkpoint record speaks of the
    /// originals only, and those are overwritten some day.
    fn confirm(&self, upto: u64) {
        let mut state = self.lock();
        for note in state.entries.values_mut().flat_map(|entry| &mut entry.notes) {
            note.firm |= note.seq <= upto;
        }
    }

    /// The checkpoint does not count: what it was to cover waits for the next.
    fn put_back(&self, call: bool, watchers: Vec<Arc<Group>>) {
        let mut state = self.lock();
        let covering = state.covering.take();
        state.released = state.released.into_iter().chain(covering).min();
        state.marked |= call;
        state.watchers.extend(watchers);
    }

    /// Frees what is not needed any more when the record is durable.
    fn finish_pass(&self, oldest: u64, watchers: Vec<Arc<Group>>, outcome: Result<()>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "the journal could not note a checkpoint");
            self.put_back(true, watchers);
            return;
        }
        let mut state = self.lock();
        state.counts.checkpoints += 1;
        state.covering = None;
        let crowded = self.held() > self.limits.memory / 2;
        for entry in state.entries.values_mut().filter(|entry| crowded && entry.progress == Progress::Durable) {
            self.let_go(entry.fresh.take().map_or(0, |octets| octets.len()));
        }
        let mut useless = Vec::new();
        while let Some(segment) = state.live.pop_front_if(|segment| segment.generation() < oldest) {
            let usable = !segment.is_bad() && segment.size == self.limits.segment;
            if usable { state.free.push(segment) } else { useless.push(segment) }
        }
        drop(state);
        watchers.iter().for_each(|watcher| watcher.complete());
        self.remove(useless);
    }

    /// Files that cannot be removed are tried again at the next start.
    fn remove(&self, segments: Vec<Arc<Segment>>) {
        for segment in segments {
            if let Err(error) = self.disk.remove(&segment.path) {
                tracing::warn!(%error, path = %segment.path.display(), "a journal segment cannot be removed");
            }
        }
    }

    /// Makes segments ahead and removes what was needed in a rush only.
    pub(crate) fn tidy(&self) {
        let (number, surplus) = {
            let mut state = self.lock();
            state.demand = std::mem::take(&mut state.taken).max(state.demand * 3 / 4);
            let surplus = if state.has_surplus() { state.free.pop() } else { None };
            let number = state.wants_spare(self).then_some(state.next_file);
            state.next_file += u64::from(number.is_some());
            (number, surplus)
        };
        self.remove(surplus.into_iter().collect());
        let Some(number) = number else { return };
        match create(&*self.disk, &self.dir, number, self.limits.segment, true) {
            Ok(segment) => self.lock().free.push(Arc::new(segment)),
            Err(error) => tracing::warn!(%error, "the journal cannot make a segment ahead"),
        }
    }

    /// Copies what is left in the oldest segment to the end, if the journal is mostly empty.
    fn move_old(self: &Arc<Self>) -> Result<()> {
        let pieces = {
            let state = self.lock();
            if !state.is_sparse(&self.limits) {
                return Ok(());
            }
            let oldest = state.live.front().map_or(0, |segment| segment.generation());
            state.pieces_in(oldest)
        };
        let mut octets = 0;
        for piece in pieces {
            octets += piece.location.length as usize;
            if octets > self.limits.memory / 4 {
                // The rest goes with the next pass.
                self.lock().short = true;
                break;
            }
            self.move_piece(&piece)?;
        }
        Ok(())
    }

    fn move_piece(self: &Arc<Self>, piece: &Piece) -> Result<()> {
        let location = &piece.location;
        let mut payload = vec![0; location.length as usize];
        let read = location.segment.read(location.tag, &mut payload, location.offset);
        if read.map_err(Error::disk("read"))?.is_none() {
            return Ok(());
        }
        let mut item = Item::new(piece.kind, piece.user, piece.entry, piece.extra, payload, Bytes::new());
        item.moved = true;
        let mut state = self.lock();
        // It may have been released meanwhile: a copy behind its release would bring it back.
        let current = state.entries.get(&piece.entry).is_some_and(|entry| entry.locations().any(|other| other.is(location)));
        if current {
            drop(self.push_lazily(&mut state, item));
        }
        Ok(())
    }
}

impl State {
    /// Whether copying the oldest segment's entries is worth it: more than twice as many segments are in use as their entries
    /// would fill, or more than that when there are hardly any others. Below that, copying would go round and round without
    /// freeing anything.
    fn is_sparse(&self, limits: &Limits) -> bool {
        let stored: u64 = self.entries.values().map(Entry::stored).sum();
        let filled = usize::try_from(stored.div_ceil(limits.segment)).unwrap_or(usize::MAX).saturating_add(1);
        self.live.len() > filled.max(limits.segments - 2).min(filled.saturating_mul(2))
    }

    fn pieces_in(&self, generation: u64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (id, entry) in &self.entries {
            if entry.oldest() != Some(generation) {
                continue;
            }
            let mut add = |kind, user, extra: u32, location: Option<&Location>| {
                if let Some(location) = location.filter(|location| location.generation() == generation) {
                    pieces.push(Piece { entry: *id, kind, user, extra, location: location.clone() });
                }
            };
            for (index, place) in (0..).zip(&entry.chunks) {
                add(Kind::Chunk, 0, index, place.location());
            }
            for note in &entry.notes {
                add(Kind::Note, u8::from(note.firm), note.index, note.location.as_ref());
            }
            // An entry that is not durable yet is in the segment that is written to.
            if entry.progress == Progress::Durable {
                let whole = entry.chunks.is_empty();
                let kind = if whole { Kind::Entry } else { Kind::Commit };
                add(kind, entry.kind, if whole { entry.header } else { 0 }, entry.last.as_ref());
            }
        }
        pieces
    }
}
