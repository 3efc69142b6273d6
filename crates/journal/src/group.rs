//! Waiting: one group for all records that become durable with the same sync.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::state::Shared;

/// All that became durable, or did not, in one go.
#[derive(Debug, Default)]
pub(crate) struct Group {
    outcome: Mutex<Outcome>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Outcome {
    done: bool,
    /// Records from this sequence number on were not taken, and why.
    refused: Option<(u64, Error)>,
    wakers: Vec<Waker>,
}

impl Outcome {
    fn of(&self, seq: u64) -> Result<()> {
        match &self.refused {
            Some((from, error)) if seq >= *from => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl Group {
    fn lock(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records from `seq` on will be told `error`; the first call counts, later ones only lower the bound.
    pub(crate) fn refuse(&self, seq: u64, error: &Error) {
        let mut outcome = self.lock();
        match &mut outcome.refused {
            Some((from, _)) => *from = seq.min(*from),
            none => *none = Some((seq, error.clone())),
        }
    }

    /// Tells all that wait.
    pub(crate) fn complete(&self) {
        let wakers = {
            let mut outcome = self.lock();
            outcome.done = true;
            std::mem::take(&mut outcome.wakers)
        };
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Resolves when a record is on disk, or was not taken. Dropping it changes nothing: the record is written all the same.
///
/// A plain future with its own list of wakers: it can be awaited in any runtime, or waited for with [`Durable::wait`].
#[derive(Debug)]
#[must_use = "nothing is known to be on disk before this resolves"]
pub struct Durable {
    group: Arc<Group>,
    seq: u64,
    /// Set while the record was not asked to be synced at once.
    lazy: Option<Arc<Shared>>,
    slot: Option<usize>,
}

impl Durable {
    pub(crate) fn new(group: Arc<Group>, seq: u64, lazy: Option<Arc<Shared>>) -> Self {
        Self { group, seq, lazy, slot: None }
    }

    pub(crate) fn refused(error: &Error) -> Self {
        let group = Arc::new(Group::default());
        group.refuse(0, error);
        group.complete();
        Self::new(group, 0, None)
    }

    /// Blocks the thread until it is known.
    ///
    /// # Errors
    /// Why the record is not on disk. An entry is then not in the journal. A note, mark or release stays in memory
    /// and is tried again with what comes next.
    pub fn wait(mut self) -> Result<()> {
        self.urge();
        let mut outcome = self.group.lock();
        while !outcome.done {
            outcome = self.group.changed.wait(outcome).unwrap_or_else(PoisonError::into_inner);
        }
        outcome.of(self.seq)
    }

    /// What is known now, without waiting; `None` while it is open.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<()>> {
        let outcome = self.group.lock();
        outcome.done.then(|| outcome.of(self.seq))
    }

    /// Somebody waits: what could wait for company is now urgent.
    fn urge(&mut self) {
        if let Some(shared) = self.lazy.take() {
            shared.urge();
        }
    }
}

impl Future for Durable {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.urge();
        let this = &mut *self;
        let mut outcome = this.group.lock();
        if outcome.done {
            return Poll::Ready(outcome.of(this.seq));
        }
        match this.slot.and_then(|slot| outcome.wakers.get_mut(slot)) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                this.slot = Some(outcome.wakers.len());
                outcome.wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}

/// Whether a writer may go on at once. Awaiting it pauses until the journal has caught up; who does not may be refused later.
#[derive(Debug)]
#[must_use = "going on without waiting fills the memory until the journal refuses"]
pub struct Room(pub(crate) Option<Durable>);

impl Room {
    /// Whether there is no need to wait.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.0.is_none()
    }

    /// Blocks the thread until there is room.
    ///
    /// # Errors
    /// The disk failed meanwhile: the entry cannot be committed any more.
    pub fn wait(self) -> Result<()> {
        self.0.map_or(Ok(()), Durable::wait)
    }
}

impl Future for Room {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.as_mut().map_or(Poll::Ready(Ok(())), |durable| Pin::new(durable).poll(context))
    }
}
