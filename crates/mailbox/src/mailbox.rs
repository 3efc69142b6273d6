//! One mailbox of an account, shared by all its sessions and by deliveries.
//!
//! Locks are taken in this order: the account's map of mailboxes; mailboxes, two of them by address ([`lock_both`]);
//! lock files; then the leaves: marks, facts, the journal's and the index thread's queues. Nobody waits for the
//! journal with a lock held, and sessions are told of news after the lock is given back.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;
use std::time::{Duration, Instant};

use mail::Uid;

use crate::env::Env;
use crate::gather::Parcels;
use crate::index::Save;
use crate::state::State;

/// Saving a mailbox may take one part in so many of the index thread's time.
const SAVE_SHARE: u64 = 20;

/// However long saving takes, what changed is saved after that.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Called from any thread when there may be news.
pub type Notice = Arc<dyn Fn() + Send + Sync>;

/// A mailbox.
pub(crate) struct Mailbox {
    pub(crate) env: Arc<Env>,
    state: Mutex<State>,
    /// Notified when messages that were on their way are shown, or will not come.
    shown: Condvar,
    watchers: Mutex<HashMap<u64, Notice>>,
    /// Delivered messages that wait for the lock.
    pub(crate) parcels: Parcels,
    /// As [`State::gone`], to be asked without the lock.
    gone: AtomicBool,
    /// The folder may have changed.
    hinted: AtomicBool,
    /// The index thread was told that there is something to save.
    queued: AtomicBool,
    /// How long the index thread took to save it the last time, in microseconds.
    save_cost: AtomicU64,
    used: Mutex<Instant>,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

/// A locked mailbox. When it is given back, sessions are told of news and the index thread of changes.
pub(crate) struct Guard<'a> {
    mailbox: &'a Arc<Mailbox>,
    state: Option<MutexGuard<'a, State>>,
    before: Before,
}

/// What was so when the lock was taken.
struct Before {
    log_end: u64,
    generation: u64,
    parked: usize,
}

impl Deref for Guard<'_> {
    type Target = State;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &State {
        // Only `drop` takes the state out.
        self.state.as_deref().expect("the guard holds the state until it is dropped")
    }
}

impl DerefMut for Guard<'_> {
    #[allow(clippy::expect_used)]
    fn deref_mut(&mut self) -> &mut State {
        // Only `drop` takes the state out.
        self.state.as_deref_mut().expect("the guard holds the state until it is dropped")
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let Before { log_end, generation, parked } = self.before;
        let news = self.log.end() != log_end || self.gone;
        let changed = self.generation != generation;
        let shown = self.state.as_mut().filter(|state| state.parked.len() < parked || state.gone);
        let wakers = shown.map(|state| std::mem::take(&mut state.wakers));
        if self.gone {
            self.mailbox.gone.store(true, Ordering::Release);
        }
        self.state = None;
        if let Some(wakers) = wakers {
            self.mailbox.shown.notify_all();
            wakers.into_iter().for_each(Waker::wake);
        }
        if changed {
            self.mailbox.queue();
        }
        if news {
            self.mailbox.notify();
        }
    }
}

impl Mailbox {
    pub(crate) fn new(env: Arc<Env>, name: &str) -> Arc<Self> {
        let state = State { name: name.to_owned(), ..State::default() };
        let used = Mutex::new(Instant::now());
        Arc::new(Self {
            env,
            state: Mutex::new(state),
            shown: Condvar::new(),
            watchers: Mutex::default(),
            parcels: Parcels::default(),
            gone: AtomicBool::new(false),
            hinted: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            save_cost: AtomicU64::new(0),
            used,
        })
    }

    pub(crate) fn lock(self: &Arc<Self>) -> Guard<'_> {
        self.guard(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, if nobody else has it.
    fn try_lock(self: &Arc<Self>) -> Option<Guard<'_>> {
        match self.state.try_lock() {
            Ok(state) => Some(self.guard(state)),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.guard(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn guard<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> Guard<'a> {
        if self.hinted.swap(false, Ordering::AcqRel) {
            state.watch.hinted = true;
        }
        let before = Before { log_end: state.log.end(), generation: state.generation, parked: state.parked.len() };
        Guard { mailbox: self, state: Some(state), before }
    }

    /// Something may have changed in the folder. Waits for nobody.
    pub(crate) fn hint(&self) {
        self.hinted.store(true, Ordering::Release);
        self.notify();
    }

    /// Waits until a message that has come is shown: those with lower UIDs may still be on their way, for as long as the
    /// journal takes. Who hears of a UID must find it. To be called without a lock.
    pub(crate) fn wait_shown(&self, uid: Uid) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.parked.range(..=uid).next().is_some() && !state.gone {
            state = self.shown.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same without blocking: if it has to be waited for, `waker` is woken when something was shown.
    pub(crate) fn is_shown(&self, uid: Uid, waker: &Waker) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = state.parked.range(..=uid).next().is_none() || state.gone;
        if !shown {
            state.wakers.push(waker.clone());
        }
        shown
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Remembers that somebody needs it.
    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn queue(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.env.store.dirty(self);
        }
    }

    fn watchers(&self) -> MutexGuard<'_, HashMap<u64, Notice>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(&self, view: u64, notice: Option<Notice>) {
        match notice {
            Some(notice) => self.watchers().insert(view, notice),
            None => self.watchers().remove(&view),
        };
    }

    pub(crate) fn notify(&self) {
        let notices: Vec<Notice> = self.watchers().values().cloned().collect();
        notices.into_iter().for_each(|notice| notice());
    }

    /// What the index is to keep now. The index thread must never wait for a mailbox, since whoever has it may be waiting for
    /// the index.
    pub(crate) fn take_save(self: &Arc<Self>) -> Taken {
        let Some(mut state) = self.try_lock() else { return Taken::Busy };
        self.queued.store(false, Ordering::Release);
        state.save(&self.env).map_or(Taken::Nothing, |save| Taken::Save(Box::new(save)))
    }

    /// It took so long to save it.
    pub(crate) fn took(&self, cost: Duration) {
        self.save_cost.store(u64::try_from(cost.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long the index thread is to leave it alone: scattered changes in a large mailbox write most of its pages anew.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_micros(self.save_cost.load(Ordering::Relaxed).saturating_mul(SAVE_SHARE)).min(LONGEST_PAUSE)
    }

    /// The index has what [`Mailbox::take_save`] gave, or not. False if the mailbox is busy, and is to be told later.
    pub(crate) fn saved(self: &Arc<Self>, generation: u64, done: bool) -> bool {
        let Some(mut state) = self.try_lock() else { return false };
        if !done {
            state.save_failed();
        } else if state.generation == generation && state.behind {
            state.behind = false;
            self.env.marks.set(state.slot, state.highest, false);
        }
        true
    }

    /// Gives memory back if nobody has used the mailbox for a while; says whether there is none to give.
    pub(crate) fn cool(self: &Arc<Self>, now: Instant) -> bool {
        self.env.facts.cool(now);
        self.env.texts.cool(now);
        let idle = self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= self.env.world.mailbox.idle_time;
        let Some(mut state) = self.try_lock() else { return false };
        let saved = state.slot > 0 && !state.behind && !self.queued.load(Ordering::Acquire) && !state.rebuilt;
        if idle && saved && !state.log.has_readers() && state.parked.is_empty() {
            state.unload();
        }
        state.table.is_none()
    }
}

/// An attempt to take what the index is to keep.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Somebody has the mailbox.
    Busy,
    /// There is nothing to keep.
    Nothing,
    Save(Box<Save>),
}

/// Locks two mailboxes, which may be the same one, in an order that cannot deadlock.
pub(crate) fn lock_both<'a>(one: &'a Arc<Mailbox>, two: &'a Arc<Mailbox>) -> (Guard<'a>, Option<Guard<'a>>) {
    if Arc::ptr_eq(one, two) {
        return (one.lock(), None);
    }
    if Arc::as_ptr(one) < Arc::as_ptr(two) {
        let first = one.lock();
        let second = two.lock();
        return (first, Some(second));
    }
    let second = two.lock();
    let first = one.lock();
    (first, Some(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn what_takes_long_to_save_is_left_alone_for_longer() {
        let world = World::new();
        let mailbox = world.account.mailbox("INBOX").unwrap();
        for (cost, pause) in [(0, 0), (3, 60), (500, 10_000), (9_000, 60_000)] {
            mailbox.took(Duration::from_millis(cost));
            assert_eq!(mailbox.pause(), Duration::from_millis(pause), "{cost}");
        }
    }
}
