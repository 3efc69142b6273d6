//! The journal as its users see it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use system::Disk;

use crate::body::Body;
use crate::commit::Committer;
use crate::entry::{Entry, EntryId, Note};
use crate::error::{Error, Result};
use crate::group::{Durable, Group};
use crate::record::{Kind, PAGE};
use crate::replay::{Replayed, Report, replay};
use crate::segment::Segment;
use crate::state::{Checkpoint, Item, Limits, Shared, State};
use crate::writer::Writer;

/// The most notes an entry can have.
const NOTES: usize = 1 << 16;

/// A journal. Clones are cheap and stand for the same journal; it stops when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    threads: Arc<Threads>,
}

/// An entry that was committed and not released when the journal was last closed, or the machine stopped.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its id, as before.
    pub id: EntryId,
    /// What its owner called it.
    pub kind: u8,
    /// The header it was committed with.
    pub header: Vec<u8>,
    /// Notes, and marks covered by a checkpoint, in order.
    pub notes: Vec<Vec<u8>>,
    /// Marks that no checkpoint covers: what they stand for may or may not have reached the disk. Look before doing it again.
    pub doubts: Vec<Vec<u8>>,
    /// It was released, but no checkpoint covers that, and the machine was restarted since: the same doubt.
    pub released: bool,
    /// Its body.
    pub body: Body,
}

/// What `mailctl journal status` shows.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where the segments are.
    pub folder: PathBuf,
    /// Segments in use.
    pub segments: usize,
    /// Segments at hand.
    pub free: usize,
    /// Size of a segment in octets.
    pub segment_size: u64,
    /// The most segments.
    pub most_segments: usize,
    /// Entries that are not released, those that are being written included.
    pub entries: usize,
    /// Octets of them on disk.
    pub stored: u64,
    /// Octets of messages in memory.
    pub memory: usize,
    /// Octets that wait to be written.
    pub waiting: usize,
    /// Entries committed since the start.
    pub committed: u64,
    /// Syncs since the start.
    pub syncs: u64,
    /// Octets written since the start.
    pub written: u64,
    /// Checkpoints since the start.
    pub checkpoints: u64,
    /// Pieces of entries that were copied to newer segments since the start.
    pub moved: u64,
    /// What is wrong with the disk now, if anything is.
    pub failure: Option<Error>,
    /// Places that were found damaged at the start.
    pub damage: usize,
}

impl Journal {
    /// Opens the journal in a folder that exists, reading all that is in it. A process must be its only user.
    ///
    /// `checkpoint` makes durable what released entries and marks stand for; it is called from a thread of the journal at most
    /// once in `checkpoint_interval`, or when segments run short.
    ///
    /// # Errors
    /// [`Error::Disk`] if the folder or a segment cannot be read or synced, [`Error::Newer`]. Damage is no error, but reported.
    pub fn open(
        dir: &Path,
        disk: Arc<dyn Disk>,
        settings: &config::Journal,
        checkpoint: Checkpoint,
    ) -> Result<(Self, Vec<Recovered>, Report)> {
        let (shared, committer, recovered, report) = assemble(dir, disk, settings, checkpoint)?;
        let threads = Threads::start(&shared, committer).map_err(Error::disk("start its threads"))?;
        Ok((Self { shared, threads: Arc::new(threads) }, recovered, report))
    }

    /// Begins an entry whose body comes piece by piece.
    #[must_use]
    pub fn begin(&self) -> Writer {
        Writer::new(&self.shared)
    }

    /// Writes an entry at once, see [`Writer::commit`].
    pub fn entry(&self, kind: u8, header: &[u8], body: &[u8]) -> (EntryId, Durable) {
        let mut writer = self.begin();
        let id = writer.id();
        match writer.write(body) {
            Ok(_) => writer.commit(kind, header),
            Err(error) => (id, Durable::refused(&error)),
        }
    }

    /// Adds a remark to an entry that counts as soon as it is durable: for what is true whatever becomes of the Maildirs,
    /// such as that another server took the message. Callers need not wait.
    pub fn note(&self, entry: EntryId, payload: &[u8]) -> Durable {
        add_note(&self.shared, entry, payload, true).unwrap_or_else(|error| Durable::refused(&error))
    }

    /// Adds a remark that counts after the next checkpoint: for what is true once the files written before it are on disk,
    /// such as a delivery to a Maildir. If only this process ends, and not the machine, it counts as well.
    pub fn mark(&self, entry: EntryId, payload: &[u8]) -> Durable {
        add_note(&self.shared, entry, payload, false).unwrap_or_else(|error| Durable::refused(&error))
    }

    /// The body of an entry.
    ///
    /// # Errors
    /// [`Error::Gone`] if it was released or never committed.
    pub fn body(&self, entry: EntryId) -> Result<Body> {
        Body::of(&self.shared, entry.0)
    }

    /// The entry is done with: what it stands for was written elsewhere, though it need not be synced. Its room is used again
    /// after the next checkpoint. As with [`Journal::mark`], this counts after the checkpoint, or if the machine did not stop.
    pub fn release(&self, entry: EntryId) {
        release(&self.shared, entry.0);
    }

    /// Resolves when a checkpoint that begins after this call is durable: all releases and marks from before are firm then, and
    /// what was written elsewhere before is on disk. Until then, or for ever after an error, only a restart of the machine
    /// can undo them. For removing what a crash would still need.
    pub fn covered(&self) -> Durable {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.closing {
            return Durable::refused(&Error::Closed);
        }
        // All that ask between two passes share one group.
        let group = match state.watchers.first() {
            Some(group) => Arc::clone(group),
            None => {
                let group = Arc::new(Group::default());
                state.watchers.push(Arc::clone(&group));
                group
            }
        };
        state.marked = true;
        drop(state);
        shared.tick.notify_one();
        Durable::new(group, 0, None)
    }

    /// Numbers about the journal.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let state = shared.lock();
        Status {
            folder: shared.dir.clone(),
            segments: state.live.len(),
            free: state.free.len(),
            segment_size: shared.limits.segment,
            most_segments: shared.limits.segments,
            entries: state.entries.len(),
            stored: state.entries.values().map(Entry::stored).sum(),
            memory: shared.held(),
            waiting: state.pending_octets,
            committed: state.counts.entries,
            syncs: state.counts.syncs,
            written: state.counts.written,
            checkpoints: state.counts.checkpoints,
            moved: state.counts.moved,
            failure: state.failure.clone(),
            damage: state.damage,
        }
    }

    /// Writes what waits, makes a last checkpoint and stops. Everything else fails with [`Error::Closed`] from now on.
    pub fn close(&self) {
        self.threads.stop();
    }
}

/// Reads a journal without changing it. While the daemon runs, the end may seem torn.
///
/// # Errors
/// As [`Journal::open`].
pub fn verify(dir: &Path, disk: &dyn Disk) -> Result<Report> {
    Ok(replay(disk, dir, false)?.report)
}

pub(crate) type Assembled = (Arc<Shared>, Committer, Vec<Recovered>, Report);

/// Everything but the threads.
pub(crate) fn assemble(dir: &Path, disk: Arc<dyn Disk>, settings: &config::Journal, checkpoint: Checkpoint) -> Result<Assembled> {
    let limits = Limits::new(settings);
    let mut replayed = replay(&*disk, dir, true)?;
    // A segment that was being made when the process stopped may not have its name for good.
    disk.sync_dir(dir).map_err(Error::disk("sync its folder"))?;
    if let Some(segment) = replayed.live.last() {
        secure(segment, replayed.durable, replayed.last.1).map_err(Error::disk("sync"))?;
    }
    let (free, useless) = std::mem::take(&mut replayed.free).into_iter().partition(|segment| segment.size == limits.segment);
    replayed.free = free;
    for segment in useless {
        disk.remove(&segment.path).map_err(Error::disk("remove a segment"))?;
    }
    let report = std::mem::take(&mut replayed.report);
    for damage in &report.damage {
        tracing::error!(%damage, "the journal is damaged");
    }
    let (last, settled) = (replayed.last, replayed.next_seq - 1);
    let (state, parts) = take_over(replayed, report.damage.len());
    let shared = Arc::new(Shared::new(disk, dir.to_owned(), limits, checkpoint, state));
    let committer = Committer::new(Arc::clone(&shared), last, settled);
    let recovered = parts.into_iter().map(|part| part.with_body(&shared)).collect::<Result<_>>()?;
    Ok((shared, committer, recovered, report))
}

/// Makes the end of the last segment durable before anything in it is acted upon. After a crash of the process alone it may
/// hold what was never synced, or what a sync failed for: the page cache then calls clean what is not on disk. Writing the
/// same octets again makes the next sync honest, and harms nothing if it is cut short.
fn secure(segment: &Segment, from: u64, to: u64) -> io::Result<()> {
    let mut at = from / PAGE * PAGE;
    let mut buffer = vec![0; 1 << 16];
    while at < to {
        let count = buffer.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
        segment.read(segment.tag(), &mut buffer[..count], at)?;
        segment.file.write_at(&buffer[..count], at)?;
        at += count as u64;
    }
    segment.file.sync()
}

/// What is given back of an entry, but for the body.
struct Part {
    id: u64,
    kind: u8,
    header: Vec<u8>,
    notes: Vec<Vec<u8>>,
    doubts: Vec<Vec<u8>>,
    released: bool,
}

impl Part {
    fn with_body(self, shared: &Arc<Shared>) -> Result<Recovered> {
        let Self { id, kind, header, notes, doubts, released } = self;
        Ok(Recovered { id: EntryId(id), kind, header, notes, doubts, released, body: Body::of(shared, id)? })
    }
}

fn take_over(replayed: Replayed, damage: usize) -> (State, Vec<Part>) {
    let mut state = State {
        next_entry: replayed.next_entry.max(1),
        next_seq: replayed.next_seq,
        next_generation: replayed.next_generation,
        next_file: replayed.next_file,
        // What was released before this start is covered by the first checkpoint.
        released: (replayed.next_seq > 1).then_some(0),
        live: replayed.live.into(),
        free: replayed.free,
        damage,
        ..State::default()
    };
    let mut parts = Vec::new();
    for (id, mut found) in replayed.entries {
        let (notes, doubts) = (found.notes(true), found.notes(false));
        // Whose doubts are resolved is written anew; a later checkpoint must not make the old marks firm.
        found.entry.notes.retain(|note| note.firm);
        let released = found.released.is_some();
        parts.push(Part { id, kind: found.entry.kind, header: found.header, notes, doubts, released });
        state.entries.insert(id, found.entry);
    }
    (state, parts)
}

pub(crate) fn add_note(shared: &Arc<Shared>, entry: EntryId, payload: &[u8], firm: bool) -> Result<Durable> {
    if payload.len() > shared.limits.record {
        return Err(Error::TooLong(payload.len()));
    }
    let payload = Bytes::copy_from_slice(payload);
    let mut state = shared.lock();
    if state.closing {
        return Err(Error::Closed);
    }
    let next = state.next_seq;
    let found = state.entries.get_mut(&entry.0).ok_or(Error::Gone)?;
    if found.notes.len() >= NOTES {
        return Err(Error::TooLong(found.notes.len()));
    }
    let index = found.next_note;
    found.next_note = index.saturating_add(1);
    // Its sequence number is the next one: the lock is held until it is pushed.
    found.notes.push(Note { index, seq: next, payload: payload.clone(), firm, location: None });
    // The keeper that has work already wakes when its pass is due.
    let first = !firm && !state.marked;
    state.marked |= !firm;
    let item = Item::new(Kind::Note, u8::from(firm), entry.0, index, Vec::new(), payload);
    let durable = shared.push_lazily(&mut state, item);
    drop(state);
    if first {
        shared.tick.notify_one();
    }
    Ok(durable)
}

pub(crate) fn release(shared: &Arc<Shared>, entry: u64) {
    let mut state = shared.lock();
    let Some(removed) = state.entries.remove(&entry) else { return };
    shared.let_go(removed.held());
    let current = state.live.back().map_or(0, |segment| segment.generation());
    let oldest = removed.oldest().unwrap_or(current).min(current);
    let first = state.released.is_none();
    state.released = Some(state.released.map_or(oldest, |other| other.min(oldest)));
    drop(shared.push_lazily(&mut state, Item::new(Kind::Release, 0, entry, 0, Vec::new(), Bytes::new())));
    drop(state);
    if first {
        shared.tick.notify_one();
    }
}

/// The committer and the keeper.
#[derive(Debug)]
struct Threads {
    shared: Arc<Shared>,
    handles: Mutex<Option<(JoinHandle<()>, JoinHandle<()>)>>,
}

impl Threads {
    fn start(shared: &Arc<Shared>, committer: Committer) -> std::io::Result<Self> {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let keeper = Arc::clone(shared);
        let committer = spawn("journal", Box::new(move || committer.run()))?;
        let keeper = spawn("journal-keeper", Box::new(move || keeper.keep()))?;
        Ok(Self { shared: Arc::clone(shared), handles: Mutex::new(Some((keeper, committer))) })
    }

    /// The keeper goes first, because it needs the committer for its last checkpoint.
    fn stop(&self) {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((keeper, committer)) = handles else { return };
        self.shared.lock().closing = true;
        self.shared.tick.notify_all();
        // A panic of either was reported by the thread itself.
        let _ = keeper.join();
        self.shared.lock().kept = true;
        self.shared.work.notify_all();
        let _ = committer.join();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use system::HostDisk;

    use super::*;

    fn small() -> config::Journal {
        config::Journal { segment_size: config::Size::kib(64), max_size: config::Size::mib(1), ..config::Journal::default() }
    }

    fn open(dir: &Path) -> (Journal, Vec<Recovered>, Report) {
        Journal::open(dir, Arc::new(HostDisk), &small(), Arc::new(|| Ok(()))).unwrap()
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, recovered, _) = open(folder.path());
        assert!(recovered.is_empty());
        let (first, durable) = journal.entry(1, b"one", b"body of one");
        durable.wait().unwrap();
        let (second, durable) = journal.entry(2, b"two", b"");
        durable.wait().unwrap();
        let (third, durable) = journal.entry(3, b"", b"three");
        durable.wait().unwrap();
        journal.note(first, b"a").wait().unwrap();
        journal.mark(first, b"b").wait().unwrap();
        journal.release(second);
        journal.close();
        assert!(matches!(journal.note(first, b"c").outcome(), Some(Err(Error::Closed))));
        let (_, recovered, report) = open(folder.path());
        assert!(report.damage.is_empty() && !report.torn, "{report:?}");
        let ids: Vec<_> = recovered.iter().map(|entry| (entry.id, entry.kind, &*entry.header)).collect();
        assert_eq!(ids, [(first, 1, &b"one"[..]), (third, 3, b"")]);
        assert_eq!(recovered[0].notes, [b"a", b"b"]);
        assert_eq!(recovered[0].body.whole(100).unwrap(), &b"body of one"[..]);
        assert_eq!(recovered[1].body.whole(100).unwrap(), &b"three"[..]);
    }

    #[test]
    fn a_long_body_is_streamed_and_can_be_read_before_and_after_commit() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, ..) = open(folder.path());
        let whole: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let mut writer = journal.begin();
        for part in whole.chunks(1000) {
            writer.write(part).unwrap().wait().unwrap();
        }
        let (id, durable) = writer.commit(1, b"long");
        let read = |body: &Body| {
            let mut octets = Vec::new();
            body.reader().read_to_end(&mut octets).unwrap();
            octets
        };
        assert_eq!(read(&journal.body(id).unwrap()), whole);
        durable.wait().unwrap();
        let body = journal.body(id).unwrap();
        assert_eq!(body.len(), 300_000);
        assert_eq!(body.whole(300_000).unwrap(), whole);
        assert!(matches!(body.whole(299_999), Err(Error::TooLong(_))));
        assert_eq!(body.chunks().map(|chunk| chunk.unwrap().to_vec()).collect::<Vec<_>>().concat(), whole);
        let mut some = [0; 10];
        assert_eq!(body.read_at(&mut some, 299_995).unwrap(), 5);
        assert_eq!(body.read_at(&mut some, 300_000).unwrap(), 0);
        drop((journal, body));
        let (_, recovered, _) = open(folder.path());
        assert_eq!(read(&recovered[0].body), whole);
    }

    #[test]
    fn a_dropped_writer_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, ..) = open(folder.path());
        let mut writer = journal.begin();
        drop(writer.write(&[1; 200_000]).unwrap());
        let id = writer.id();
        drop(writer);
        assert!(matches!(journal.body(id), Err(Error::Gone)));
        assert_eq!(journal.status().entries, 0);
        drop(journal);
        assert!(open(folder.path()).1.is_empty());
    }

    #[test]
    fn who_waits_for_a_checkpoint_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, ..) = open(folder.path());
        let checkpoints = journal.status().checkpoints;
        journal.covered().wait().unwrap();
        assert!(journal.status().checkpoints > checkpoints);
        let last = journal.covered();
        journal.close();
        assert!(matches!(last.outcome(), Some(Ok(()))), "closing makes a checkpoint");
        assert!(matches!(journal.covered().wait(), Err(Error::Closed)));
    }

    #[test]
    fn a_header_that_is_too_long_is_refused_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, ..) = open(folder.path());
        let (_, durable) = journal.entry(1, &[0; 20_000], b"");
        assert!(matches!(durable.wait(), Err(Error::TooLong(20_000))));
        journal.entry(1, &[0; 16_000], &[1; 16_000]).1.wait().unwrap();
        assert_eq!(journal.status().entries, 1);
    }

    #[test]
    fn segments_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, ..) = open(folder.path());
        let (kept, durable) = journal.entry(9, b"stays", b"all the time");
        durable.wait().unwrap();
        for _ in 0..2000 {
            loop {
                let (id, durable) = journal.entry(1, b"", &[7; 4000]);
                let outcome = durable.wait();
                journal.release(id);
                match outcome {
                    Ok(()) => break,
                    Err(error) => assert!(matches!(error, Error::Full), "{error}"),
                }
                std::thread::yield_now();
            }
        }
        assert!(journal.status().moved > 0);
        assert_eq!(journal.body(kept).unwrap().whole(100).unwrap(), &b"all the time"[..]);
        drop(journal);
        assert!(std::fs::read_dir(folder.path()).unwrap().count() <= 18);
        let (_, recovered, report) = open(folder.path());
        assert_eq!(recovered.len(), 1, "{report:?}");
        assert_eq!(recovered[0].header, b"stays");
        assert!(verify(folder.path(), &HostDisk).unwrap().damage.is_empty());
    }
}
