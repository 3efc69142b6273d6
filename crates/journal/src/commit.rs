//! The committer: takes what has gathered, writes it with few large writes, and syncs once for all that wait.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::entry::{Location, Place, Progress};
use crate::error::{Error, Result};
use crate::group::Group;
use crate::record::{FORMAT, HEAD, Head, Kind, PAGE, Start};
use crate::segment::{Segment, create};
use crate::state::{Item, Shared, State};

/// So much is gathered for one write.
const WRITE_AT: usize = 1 << 20;

/// So much is written at most before a sync, also if nobody waits: a sync at the end of a long message would take long.
const SYNC_AT: u64 = 8 << 20;

/// How long a record that nobody waits for waits for company.
pub(crate) const LINGER: Duration = Duration::from_millis(5);

/// How long records that somebody waits for wait for company at most.
const LONGEST: Duration = Duration::from_millis(1);

/// Pause after a failure before what nobody waits for is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What one round writes.
#[derive(Debug)]
pub(crate) struct Batch {
    items: VecDeque<Item>,
    group: Arc<Group>,
    waiting: usize,
    sync: bool,
    last: bool,
}

/// Whose company the next sync is worth waiting for.
///
/// Sessions that were answered by one sync come again at about the same time. If the sync began with the first of them, they
/// would fall into two groups that take turns, each half as large as it might be.
#[derive(Clone, Copy, Debug, Default)]
struct Company {
    /// So many entries were waited for when the last sync ended: those that it covered and those that came meanwhile.
    entries: usize,
    /// How long to wait for as many.
    patience: Duration,
}

impl Company {
    fn new(entries: usize, took: Duration) -> Self {
        Self { entries, patience: (took / 2).min(LONGEST) }
    }
}

impl Shared {
    /// What there is to do now.
    pub(crate) fn take_now(&self, state: &mut State, sync: bool) -> Batch {
        state.urgent = false;
        state.lazy_since = None;
        state.pending_octets = 0;
        Batch {
            items: std::mem::take(&mut state.pending),
            group: std::mem::take(&mut state.group),
            waiting: std::mem::take(&mut state.waiting),
            sync,
            last: state.kept,
        }
    }

    /// Waits until there is something to do; `loose` is when the first record was written that is not synced yet.
    fn take(&self, loose: Option<Instant>, company: Company) -> Batch {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let blocked = state.blocked_until.is_some_and(|until| now < until);
            let overdue = loose.map(|since| since + self.limits.interval);
            if state.urgent || state.kept || (overdue.is_some_and(|at| at <= now) && !blocked) {
                let mut state = self.gather(state, company);
                return self.take_now(&mut state, true);
            }
            if state.pending_octets >= WRITE_AT && !blocked {
                return self.take_now(&mut state, false);
            }
            let due = state.lazy_since.map(|since| state.blocked_until.map_or(since + LINGER, |until| until.max(since + LINGER)));
            if due.is_some_and(|due| due <= now) {
                return self.take_now(&mut state, false);
            }
            let alarm = due.into_iter().chain(overdue).min().map(|due| due.max(now + LINGER));
            (state.idle, state.alarm) = (true, alarm);
            state = match alarm {
                Some(alarm) => {
                    self.work.wait_timeout(state, alarm.saturating_duration_since(now)).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            (state.idle, state.alarm) = (false, None);
        }
    }

    /// Waits a moment for as many as were there the last time.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>, company: Company) -> MutexGuard<'a, State> {
        let end = Instant::now() + company.patience;
        state.company = (1..company.entries).contains(&state.waiting).then_some(company.entries);
        while state.company.is_some() && !state.kept {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.company = None;
        state
    }
}

/// The segment that is written to.
#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    tag: u64,
    /// Where the next record goes.
    at: u64,
    /// Where the last record ends.
    end: u64,
    /// Up to here it is durable.
    durable: u64,
}

/// A record that is in the current segment but not yet known to be durable.
#[derive(Debug)]
struct Placed {
    item: Item,
    location: Location,
}

/// Why an item was not encoded.
enum Stop {
    /// There is no room for it now.
    Refused(Error),
    /// The segment failed.
    Broken(Error),
}

/// Owns the end of the journal.
#[derive(Debug)]
pub(crate) struct Committer {
    shared: Arc<Shared>,
    current: Option<Current>,
    /// Tag and end of the segment before the current one.
    previous: (u64, u64),
    boot: u128,
    /// Encoded records that go to `write_at`.
    buffer: Vec<u8>,
    write_at: u64,
    /// Records since the last sync; the first `shown` of them are written, and the table knows where.
    window: Vec<Placed>,
    shown: usize,
    unsynced: u64,
    /// When the first of them was written.
    loose: Option<Instant>,
    /// Everything up to this sequence number is durable.
    settled: u64,
    groups: Vec<Arc<Group>>,
    /// Whether a further segment is at hand.
    spare: bool,
}

impl Committer {
    /// Goes on after the segment with this tag and end, in a new one.
    pub(crate) fn new(shared: Arc<Shared>, previous: (u64, u64), settled: u64) -> Self {
        // Where the boot is not known each start counts as one.
        let boot = shared.disk.boot().unwrap_or_else(|| u128::from(chance()) << 32 | u128::from(chance()));
        Self {
            shared,
            current: None,
            previous,
            boot,
            buffer: Vec::new(),
            write_at: 0,
            window: Vec::new(),
            shown: 0,
            unsynced: 0,
            loose: None,
            settled,
            groups: Vec::new(),
            spare: false,
        }
    }

    /// Works until the journal is closed.
    pub(crate) fn run(mut self) {
        let mut company = Company::default();
        loop {
            let batch = self.shared.take(self.loose, company);
            let (last, waiting, begun) = (batch.last, batch.waiting, Instant::now());
            self.commit(batch);
            if last {
                return;
            }
            if waiting > 0 {
                company = Company::new(waiting + self.shared.lock().waiting, begun.elapsed());
            }
        }
    }

    /// Writes one batch and tells all that wait for it.
    pub(crate) fn commit(&mut self, batch: Batch) {
        let mut items = batch.items;
        self.groups.push(batch.group);
        self.spare = !self.shared.lock().free.is_empty();
        let mut outcome = self.write(&mut items);
        if outcome.is_ok() && (batch.sync || self.unsynced > SYNC_AT) {
            outcome = self.sync();
            if outcome.is_ok() {
                self.groups.drain(..).for_each(|group| group.complete());
            }
        }
        if let Err(error) = outcome {
            self.fail(&error, items);
        }
    }

    fn write(&mut self, items: &mut VecDeque<Item>) -> Result<()> {
        let mut refused: Option<(Error, Vec<Item>)> = None;
        let mut outcome = Ok(());
        while let Some(item) = items.pop_front() {
            // Those that wait are told by their order, so that none behind a refused one may slip in.
            if let Some((_, refused)) = refused.as_mut().filter(|_| item.is_new_mail()) {
                refused.push(item);
                continue;
            }
            match self.make_room(&item) {
                Ok(()) => self.encode(item),
                Err(Stop::Refused(error)) => refused.get_or_insert_with(|| (error, Vec::new())).1.push(item),
                Err(Stop::Broken(error)) => {
                    items.push_front(item);
                    outcome = Err(error);
                    break;
                }
            }
            if self.buffer.len() >= WRITE_AT {
                outcome = self.flush();
                if outcome.is_err() {
                    break;
                }
            }
        }
        if let Some((error, items)) = refused {
            self.refuse(&error, items);
        }
        outcome.and_then(|()| self.flush())
    }

    /// Sees to it that the item fits behind what was encoded, if need be in a new segment.
    fn make_room(&mut self, item: &Item) -> std::result::Result<(), Stop> {
        let reserve = if item.is_new_mail() && !self.spare { self.shared.limits.reserve } else { 0 };
        if let Some(current) = &self.current
            && current.at + item.room() + reserve <= current.segment.size
        {
            return Ok(());
        }
        let segment = self.acquire(!item.is_new_mail()).map_err(Stop::Refused)?;
        self.change(segment).map_err(Stop::Broken)
    }

    /// A free segment, or a new one. The last free one is kept for what frees room in the end.
    fn acquire(&self, urgent: bool) -> Result<Arc<Segment>> {
        let shared = &self.shared;
        let number = {
            let mut state = shared.lock();
            state.taken += 1;
            let kept = usize::from(!urgent);
            if state.free.len() <= kept + 1 {
                state.short = true;
                shared.tick.notify_one();
            }
            if state.free.len() > kept
                && let Some(segment) = state.free.pop()
            {
                return Ok(segment);
            }
            // What frees room is not held to the limit: a journal that was full when the machine stopped begins without a
            // free segment.
            if !urgent && state.free.len() + state.live.len() >= shared.limits.segments {
                return Err(Error::Full);
            }
            state.next_file += 1;
            state.next_file - 1
        };
        let made = create(&*shared.disk, &shared.dir, number, shared.limits.segment, false);
        made.map(Arc::new).map_err(Error::disk("make a segment"))
    }

    /// Ends the current segment and begins another.
    fn change(&mut self, segment: Arc<Segment>) -> Result<()> {
        if let Err(error) = self.flush().and_then(|()| self.sync()) {
            self.shared.lock().free.push(segment);
            return Err(error);
        }
        if let Some(old) = self.current.take() {
            self.previous = (old.tag, old.end);
        }
        let mut state = self.shared.lock();
        let tag = state.next_generation << 32 | chance();
        state.next_generation += 1;
        segment.begin(tag);
        state.live.push_back(Arc::clone(&segment));
        let start = Start {
            format: FORMAT,
            previous_end: u32::try_from(self.previous.1).unwrap_or(u32::MAX),
            previous: self.previous.0,
            next_entry: state.next_entry,
            boot: self.boot,
        };
        self.spare = !state.free.is_empty();
        drop(state);
        self.current = Some(Current { segment, tag, at: 0, end: 0, durable: 0 });
        self.write_at = 0;
        let mut item = Item::new(Kind::Segment, 0, 0, 0, start.encode(), bytes::Bytes::new());
        item.seq = self.settled;
        self.append(&item);
        Ok(())
    }

    /// Puts an item behind what is in the buffer.
    fn encode(&mut self, item: Item) {
        if let Some(location) = self.append(&item) {
            self.window.push(Placed { item, location });
        }
    }

    fn append(&mut self, item: &Item) -> Option<Location> {
        let current = self.current.as_mut()?;
        let length = u32::try_from(item.length()).unwrap_or(u32::MAX);
        let head = Head {
            kind: item.kind,
            user: item.user,
            length,
            payload_crc: item.crc,
            tag: current.tag,
            seq: item.seq,
            entry: item.entry,
            durable: current.durable,
            extra: item.extra,
            previous_end: u32::try_from(current.end).unwrap_or(u32::MAX),
        };
        if self.buffer.is_empty() {
            self.write_at = current.at;
        }
        self.buffer.extend_from_slice(&head.encode());
        self.buffer.extend_from_slice(&item.header);
        self.buffer.extend_from_slice(&item.body);
        self.buffer.resize(self.buffer.len().next_multiple_of(8), 0);
        let offset = current.at + HEAD as u64;
        current.at += item.room();
        current.end = current.at;
        Some(Location { segment: Arc::clone(&current.segment), tag: current.tag, offset, length })
    }

    /// Writes the buffer, and lets readers know where the pieces are.
    fn flush(&mut self) -> Result<()> {
        let Some(current) = self.current.as_ref().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        current.segment.file.write_at(&self.buffer, self.write_at).map_err(Error::disk("write"))?;
        self.unsynced += self.buffer.len() as u64;
        self.loose.get_or_insert_with(Instant::now);
        let written = self.buffer.len() as u64;
        self.buffer.clear();
        let mut state = self.shared.lock();
        state.counts.written += written;
        for placed in &mut self.window[self.shown..] {
            if !placed.item.moved {
                let freed = show(&mut state, &placed.item, &placed.location);
                self.shared.let_go(freed);
            }
            if placed.item.kind == Kind::Chunk {
                placed.item.body = bytes::Bytes::new();
            }
        }
        self.shown = self.window.len();
        Ok(())
    }

    /// Makes all that was written durable.
    fn sync(&mut self) -> Result<()> {
        let Some(current) = self.current.as_mut().filter(|_| self.unsynced > 0) else { return Ok(()) };
        current.segment.file.sync().map_err(Error::disk("sync"))?;
        current.durable = current.end;
        current.at = current.end.next_multiple_of(PAGE);
        self.unsynced = 0;
        self.loose = None;
        self.shown = 0;
        self.settled = self.window.iter().map(|placed| placed.item.seq).fold(self.settled, u64::max);
        let mut state = self.shared.lock();
        state.counts.syncs += 1;
        state.failure = None;
        state.blocked_until = None;
        let crowded = self.shared.held() > self.shared.limits.memory;
        for placed in self.window.drain(..) {
            let freed = settle(&mut state, &placed, crowded);
            self.shared.let_go(freed);
        }
        Ok(())
    }

    /// Tells those whose items found no room; what is no new mail is tried again.
    fn refuse(&mut self, error: &Error, items: Vec<Item>) {
        let lowest = items.iter().map(|item| item.seq).min();
        if let (Some(seq), Some(group)) = (lowest, self.groups.last()) {
            group.refuse(seq, error);
        }
        let mut state = self.shared.lock();
        self.give_up(&mut state, error, items);
    }

    /// After a failed write or sync nothing is known of what was written since the last sync, and the page cache cannot be
    /// trusted. The segment ends where it was durable, and the next batch begins another.
    fn fail(&mut self, error: &Error, rest: VecDeque<Item>) {
        tracing::error!(%error, "the journal cannot write");
        let items: Vec<Item> = self.window.drain(..).map(|placed| placed.item).chain(rest).collect();
        self.buffer.clear();
        self.shown = 0;
        self.unsynced = 0;
        self.loose = None;
        let mut state = self.shared.lock();
        let failed = self.current.take();
        if let Some(current) = &failed {
            current.segment.mark_bad();
            if current.durable == 0 {
                state.live.pop_back();
            } else {
                self.previous = (current.tag, current.durable);
            }
        }
        self.give_up(&mut state, error, items);
        drop(state);
        if let Some(current) = failed.filter(|current| current.durable == 0) {
            // If it stays, the next start finds it: nothing in it was acknowledged.
            let _ = self.shared.disk.remove(&current.segment.path);
        }
        for group in self.groups.drain(..) {
            group.refuse(self.settled + 1, error);
            group.complete();
        }
    }

    fn give_up(&self, state: &mut State, error: &Error, items: Vec<Item>) {
        state.failure = Some(error.clone());
        state.blocked_until = Some(Instant::now() + PAUSE);
        for item in items.into_iter().rev() {
            if item.is_new_mail() {
                let freed = abandon(state, &item);
                self.shared.let_go(freed);
            } else if !item.moved {
                state.pending_octets += item.length();
                state.pending.push_front(item);
                state.lazy_since.get_or_insert_with(Instant::now);
            }
        }
    }
}

/// The lower half of a tag. Who sends mail must not be able to guess it, or a body could pass for records in a damaged segment.
fn chance() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) & 0xFFFF_FFFF
}

/// Notes where a piece was written; gives how many octets of memory became free.
fn show(state: &mut State, item: &Item, location: &Location) -> usize {
    let Some(entry) = state.entries.get_mut(&item.entry) else { return 0 };
    match item.kind {
        Kind::Entry | Kind::Commit => entry.last = Some(location.clone()),
        Kind::Chunk => {
            if let Some(place) = entry.chunks.get_mut(item.extra as usize) {
                let freed = if let Place::Memory(octets) = place { octets.len() } else { 0 };
                *place = Place::File(location.clone());
                return freed;
            }
        }
        Kind::Note => {
            if let Some(note) = entry.note(item.extra) {
                note.location = Some(location.clone());
            }
        }
        _ => {}
    }
    0
}

/// A record is durable; gives how many octets of memory became free.
fn settle(state: &mut State, placed: &Placed, crowded: bool) -> usize {
    if placed.item.moved {
        state.counts.moved += 1;
        return show(state, &placed.item, &placed.location);
    }
    if !matches!(placed.item.kind, Kind::Entry | Kind::Commit) {
        return 0;
    }
    state.counts.entries += 1;
    let Some(entry) = state.entries.get_mut(&placed.item.entry) else { return 0 };
    entry.progress = Progress::Durable;
    if crowded { entry.fresh.take().map_or(0, |octets| octets.len()) } else { 0 }
}

/// A record of new mail did not reach the disk; gives how many octets of memory became free.
fn abandon(state: &mut State, item: &Item) -> usize {
    if item.kind == Kind::Chunk {
        if let Some(entry) = state.entries.get_mut(&item.entry) {
            entry.progress = Progress::Broken;
        }
        return 0;
    }
    state.entries.remove(&item.entry).map_or(0, |entry| entry.held())
}
