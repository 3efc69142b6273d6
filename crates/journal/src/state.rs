//! What the journal knows in memory: what waits to be written, where each entry is, which segments are in use.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use system::Disk;

use crate::commit::LINGER;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::group::{Durable, Group};
use crate::record::{Kind, PAGE, room};
use crate::segment::Segment;

/// Makes durable what released entries stand for, e.g. `syncfs` of the file system of the Maildirs.
pub type Checkpoint = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// The settings in the units that the code needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Size of a segment.
    pub(crate) segment: u64,
    /// Most segments.
    pub(crate) segments: usize,
    /// Bodies up to this stay in memory until commit, and are one record.
    pub(crate) inline: usize,
    /// The same when memory is short.
    pub(crate) small: usize,
    /// Longer bodies are written in pieces of this size.
    pub(crate) chunk: usize,
    /// Longest header or note.
    pub(crate) record: usize,
    /// Room at the end of the last segment that is kept for releases and checkpoints.
    pub(crate) reserve: u64,
    /// See `journal.memory`.
    pub(crate) memory: usize,
    /// Pause between checkpoints.
    pub(crate) interval: Duration,
}

impl Limits {
    pub(crate) fn new(settings: &config::Journal) -> Self {
        let segment = settings.segment_size.0.clamp(4 * PAGE, 1 << 30) / PAGE * PAGE;
        let part = |divisor: u64| usize::try_from(segment / divisor).unwrap_or(usize::MAX);
        Self {
            segment,
            segments: usize::try_from(settings.max_size.0 / segment).unwrap_or(usize::MAX).max(4),
            inline: part(4).min(1 << 20),
            small: part(8).min(1 << 16),
            chunk: part(8).min(1 << 18),
            record: part(4),
            reserve: segment / 8,
            memory: settings.memory.octets(),
            interval: settings.checkpoint_interval,
        }
    }
}

/// A record that waits to be written.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) user: u8,
    pub(crate) entry: u64,
    pub(crate) extra: u32,
    /// Given when it is pushed.
    pub(crate) seq: u64,
    pub(crate) crc: u32,
    pub(crate) header: Vec<u8>,
    pub(crate) body: Bytes,
    /// A copy of what stands in an old segment.
    pub(crate) moved: bool,
}

impl Item {
    pub(crate) fn new(kind: Kind, user: u8, entry: u64, extra: u32, header: Vec<u8>, body: Bytes) -> Self {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header);
        crc.update(&body);
        Self { kind, user, entry, extra, seq: 0, crc: crc.finalize(), header, body, moved: false }
    }

    pub(crate) fn length(&self) -> usize {
        self.header.len() + self.body.len()
    }

    pub(crate) fn room(&self) -> u64 {
        room(self.length())
    }

    /// Whether it is a part of something new, which may be refused; all else frees room in the end and goes first.
    pub(crate) fn is_new_mail(&self) -> bool {
        !self.moved && matches!(self.kind, Kind::Entry | Kind::Chunk | Kind::Commit)
    }
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) entries: u64,
    pub(crate) syncs: u64,
    pub(crate) written: u64,
    pub(crate) checkpoints: u64,
    pub(crate) moved: u64,
}

/// Everything behind the one lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) pending: VecDeque<Item>,
    pub(crate) pending_octets: usize,
    pub(crate) group: Arc<Group>,
    /// Somebody waits.
    pub(crate) urgent: bool,
    /// Entries among `pending` that somebody waits for.
    pub(crate) waiting: usize,
    /// The committer waits a moment for so many of them.
    pub(crate) company: Option<usize>,
    /// The committer sleeps and has to be woken.
    pub(crate) idle: bool,
    /// It wakes by itself then.
    pub(crate) alarm: Option<Instant>,
    /// When the first record that nobody waits for came.
    pub(crate) lazy_since: Option<Instant>,
    /// After a failure what nobody waits for is not tried before this.
    pub(crate) blocked_until: Option<Instant>,
    pub(crate) entries: HashMap<u64, Entry>,
    pub(crate) next_entry: u64,
    pub(crate) next_seq: u64,
    pub(crate) next_generation: u64,
    pub(crate) next_file: u64,
    /// Oldest first; the last is written to.
    pub(crate) live: VecDeque<Arc<Segment>>,
    pub(crate) free: Vec<Arc<Segment>>,
    /// Segments taken from `free` since the keeper looked, and its estimate of how many it needs.
    pub(crate) taken: usize,
    pub(crate) demand: usize,
    /// The oldest generation with pieces of entries that were released and not yet covered by a checkpoint.
    pub(crate) released: Option<u64>,
    /// Marks wait for a checkpoint.
    pub(crate) marked: bool,
    /// Who waits for the next checkpoint.
    pub(crate) watchers: Vec<Arc<Group>>,
    /// As `released`, of the checkpoint that runs.
    pub(crate) covering: Option<u64>,
    /// Segments run short: do not wait for the interval.
    pub(crate) short: bool,
    /// Nothing new is taken.
    pub(crate) closing: bool,
    /// The keeper is done, so that the committer may end.
    pub(crate) kept: bool,
    pub(crate) failure: Option<Error>,
    pub(crate) damage: usize,
    pub(crate) counts: Counts,
}

impl State {
    /// Queues a record; gives its sequence number.
    pub(crate) fn push(&mut self, mut item: Item) -> u64 {
        let seq = self.next_seq;
        item.seq = seq;
        self.next_seq += 1;
        self.pending_octets += item.length();
        self.pending.push_back(item);
        seq
    }

    /// The oldest generation that something still needs, what `covering` stands for aside.
    pub(crate) fn oldest_needed(&self) -> u64 {
        let current = self.live.back().map_or(self.next_generation, |segment| segment.generation());
        let entries = self.entries.values().filter_map(Entry::oldest).min();
        [entries, self.released].into_iter().flatten().fold(current, u64::min)
    }
}

/// What all handles and both threads share.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) checkpoint: Checkpoint,
    state: Mutex<State>,
    /// Wakes the committer.
    pub(crate) work: Condvar,
    /// Wakes the keeper.
    pub(crate) tick: Condvar,
    /// Octets of messages held in memory.
    memory: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, limits: Limits, checkpoint: Checkpoint, state: State) -> Self {
        Self {
            disk,
            dir,
            limits,
            checkpoint,
            state: Mutex::new(state),
            work: Condvar::new(),
            tick: Condvar::new(),
            memory: AtomicUsize::new(0),
        }
    }

    /// A panic while the lock was held cannot leave the state half changed in a way that matters: go on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the committer if it sleeps.
    pub(crate) fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
    }

    /// Somebody waits for what was left to wait for company.
    pub(crate) fn urge(&self) {
        let mut state = self.lock();
        state.urgent = true;
        self.wake(&mut state);
    }

    /// Queues a record that nobody is known to wait for.
    pub(crate) fn push_lazily(self: &Arc<Self>, state: &mut State, item: Item) -> Durable {
        let seq = state.push(item);
        if state.lazy_since.is_none() {
            let now = Instant::now();
            state.lazy_since = Some(now);
            // A committer that wakes soon anyway is not woken for this.
            if state.alarm.is_none_or(|alarm| alarm > now + 2 * LINGER) {
                self.wake(state);
            }
        }
        Durable::new(Arc::clone(&state.group), seq, Some(Arc::clone(self)))
    }

    pub(crate) fn hold(&self, octets: usize) {
        self.memory.fetch_add(octets, Ordering::Relaxed);
    }

    pub(crate) fn let_go(&self, octets: usize) {
        self.memory.fetch_sub(octets, Ordering::Relaxed);
    }

    pub(crate) fn held(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Whether new mail may come in.
    pub(crate) fn admit(&self, state: &State) -> Result<()> {
        if state.closing {
            return Err(Error::Closed);
        }
        if state.pending_octets > self.limits.memory.saturating_mul(2) { Err(Error::Busy) } else { Ok(()) }
    }
}
