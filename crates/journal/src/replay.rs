//! From the files of a journal to its entries.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use system::{Create, Disk};

use crate::entry::{Entry, Location, Note, Place, Progress};
use crate::error::{Error, Result};
use crate::record::{FORMAT, Head, Kind, Start, generation, u32_at, u64_at};
use crate::scan::{Gap, Opening, opening, scan};
use crate::segment::{Segment, number};

/// A place where the journal is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file name.
    pub file: String,
    /// First octet.
    pub from: u64,
    /// One after the last octet.
    pub to: u64,
    /// What is known of it.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: octets {} to {}: {}", self.file, self.from, self.to, self.what)
    }
}

/// What was found in the files of a journal.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Segments that hold something.
    pub segments: usize,
    /// Segments that are free.
    pub free: usize,
    /// Sound records.
    pub records: u64,
    /// Entries that are committed and not released.
    pub entries: usize,
    /// A record at the end was cut off by a crash; it was never acknowledged.
    pub torn: bool,
    /// All damage that concerns segments still in use.
    pub damage: Vec<Damage>,
}

/// All that was read.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) entries: BTreeMap<u64, Found>,
    pub(crate) report: Report,
    /// Oldest first.
    pub(crate) live: Vec<Arc<Segment>>,
    pub(crate) free: Vec<Arc<Segment>>,
    /// Tag and end of the last segment.
    pub(crate) last: (u64, u64),
    /// Up to here the last segment is known to be durable.
    pub(crate) durable: u64,
    pub(crate) next_entry: u64,
    pub(crate) next_seq: u64,
    pub(crate) next_generation: u64,
    pub(crate) next_file: u64,
    /// The boot in which the segment that is read was written, and whether that is now.
    boot: u128,
    trusted: bool,
    /// The last checkpoint of that boot: everything of that boot up to this sequence number is firm. A checkpoint does not
    /// speak for earlier boots: what was in doubt after a restart was given back and is taken for undone.
    upto: u64,
    /// Older segments are free.
    oldest: u64,
    /// Segments that others name and that are not there, with their generation.
    missing: Vec<(u64, Damage)>,
}

/// An entry as its records tell it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) header: Vec<u8>,
    chunks: BTreeMap<u32, Location>,
    /// With their boots.
    notes: BTreeMap<u32, (Note, u128)>,
    count: Option<u32>,
    /// Sequence number and boot of its release, if it was released.
    pub(crate) released: Option<(u64, u128)>,
}

impl Default for Found {
    fn default() -> Self {
        Self { entry: Entry::open(), header: Vec::new(), chunks: BTreeMap::new(), notes: BTreeMap::new(), count: None, released: None }
    }
}

struct Candidate {
    segment: Arc<Segment>,
    opening: Opening,
}

/// Reads all segments in a folder. With `write` the files are opened for going on with them.
pub(crate) fn replay(disk: &dyn Disk, dir: &Path, write: bool) -> Result<Replayed> {
    let mut replayed = Replayed { next_generation: 1, next_seq: 1, ..Replayed::default() };
    let mut candidates = replayed.open_all(disk, dir, write)?;
    candidates.sort_by_key(|candidate| candidate.segment.generation());
    let candidates = replayed.follow_chain(candidates);
    let boot = disk.boot().filter(|boot| *boot != 0);
    for (at, candidate) in candidates.iter().enumerate() {
        let next = candidates.get(at + 1).and_then(|next| next.opening.start);
        let known_end = next.filter(|next| next.previous == candidate.opening.tag).map(|next| u64::from(next.previous_end));
        replayed.enter(candidate.opening.start.map_or(0, |start| start.boot), boot);
        replayed.read(candidate, known_end);
    }
    replayed.finish(candidates);
    Ok(replayed)
}

impl Replayed {
    fn open_all(&mut self, disk: &dyn Disk, dir: &Path, write: bool) -> Result<Vec<Candidate>> {
        let mut names = Vec::new();
        let listed = disk.list(dir, &mut |entry| names.extend(entry.name.to_str().map(str::to_owned)));
        listed.map_err(Error::disk("list its folder"))?;
        names.retain(|name| number(name).is_some());
        names.sort();
        let mut candidates = Vec::new();
        for name in names {
            self.next_file = self.next_file.max(number(&name).unwrap_or(0) + 1);
            let path = dir.join(&name);
            let file = disk.open(&path, if write { Create::Write } else { Create::Read }).map_err(Error::disk("open a segment"))?;
            let size = file.size().map_err(Error::disk("open a segment"))?;
            let found = opening(&*file, size);
            let segment = Arc::new(Segment::new(path, file, size, found.map_or(0, |opening| opening.tag)));
            let Some(opening) = found else {
                self.free.push(segment);
                continue;
            };
            if let Some(start) = opening.start.filter(|start| start.format > FORMAT) {
                return Err(Error::Newer { file: name, found: start.format, known: FORMAT });
            }
            self.next_generation = self.next_generation.max(generation(opening.tag) + 1);
            candidates.push(Candidate { segment, opening });
        }
        Ok(candidates)
    }

    /// Each segment names the one before it. One that is passed over failed before anything in it was acknowledged.
    fn follow_chain(&mut self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let mut chain = Vec::new();
        let mut expected: Option<(u64, String, u64)> = None;
        for candidate in candidates.into_iter().rev() {
            if let Some((tag, file, to)) = expected.take().filter(|(tag, ..)| *tag != candidate.opening.tag) {
                if candidate.segment.generation() > generation(tag) {
                    expected = Some((tag, file, to));
                    self.free.push(candidate.segment);
                    continue;
                }
                self.miss(tag, file, to);
            }
            expected = candidate.opening.start.map(|start| (start.previous, name(&candidate.segment), u64::from(start.previous_end)));
            chain.push(candidate);
        }
        if let Some((tag, file, to)) = expected.filter(|(tag, ..)| *tag != 0) {
            self.miss(tag, file, to);
        }
        chain.reverse();
        chain
    }

    fn miss(&mut self, tag: u64, file: String, to: u64) {
        let what = format!("the segment of generation {} that comes before this one is missing", generation(tag));
        self.missing.push((generation(tag), Damage { file, from: 0, to, what }));
    }

    /// Goes on to a segment that was written in a boot.
    fn enter(&mut self, boot: u128, now: Option<u128>) {
        self.trusted = Some(boot) == now;
        if boot == 0 || boot != self.boot {
            self.upto = 0;
        }
        self.boot = boot;
    }

    fn read(&mut self, candidate: &Candidate, known_end: Option<u64>) {
        let Candidate { segment, opening } = candidate;
        self.durable = 0;
        let scanned = scan(&*segment.file, segment.size, opening.tag, known_end, &mut |head, offset, payload| {
            let location = Location { segment: Arc::clone(segment), tag: head.tag, offset, length: head.length };
            self.apply(head, location, payload);
        });
        self.report.records += scanned.records;
        self.report.torn |= scanned.torn;
        self.last = (opening.tag, scanned.end);
        for Gap { from, to, entry } in scanned.damage {
            let what = match entry {
                Some(entry) if entry != 0 => format!("a record of entry {entry} is damaged"),
                _ => "records are damaged".to_owned(),
            };
            self.report.damage.push(Damage { file: name(segment), from, to, what });
        }
    }

    fn apply(&mut self, head: &Head, location: Location, payload: &[u8]) {
        self.durable = self.durable.max(head.durable);
        self.next_seq = self.next_seq.max(head.seq.saturating_add(1));
        self.next_entry = self.next_entry.max(head.entry.saturating_add(1));
        match head.kind {
            Kind::Segment => {
                let next = Start::decode(payload).map_or(0, |start| start.next_entry);
                self.next_entry = self.next_entry.max(next);
            }
            Kind::Entry => self.entries.entry(head.entry).or_default().whole(head, location, payload),
            Kind::Commit => self.entries.entry(head.entry).or_default().commit(head, location, payload),
            Kind::Chunk => drop(self.entries.entry(head.entry).or_default().chunks.insert(head.extra, location)),
            Kind::Note => {
                let payload = payload.to_vec().into();
                let mut firm = head.user == 1 || self.is_firm(head.seq);
                let mut since = (head.seq, self.boot);
                let notes = &mut self.entries.entry(head.entry).or_default().notes;
                if let Some((original, boot)) = notes.get(&head.extra) {
                    // A copy counts when what it was made from does.
                    firm |= original.firm;
                    since = (original.seq, *boot);
                }
                let note = Note { index: head.extra, seq: since.0, payload, firm, location: Some(location) };
                notes.insert(head.extra, (note, since.1));
            }
            Kind::Release if self.is_firm(head.seq) => drop(self.entries.remove(&head.entry)),
            Kind::Release => {
                if let Some(found) = self.entries.get_mut(&head.entry) {
                    found.released = Some((head.seq, self.boot));
                }
            }
            Kind::Checkpoint => self.checkpoint(payload),
        }
    }

    /// Whether what must not count at once counts. A record that had to be written again can stand behind its checkpoint.
    fn is_firm(&self, seq: u64) -> bool {
        self.trusted || seq <= self.upto
    }

    fn checkpoint(&mut self, payload: &[u8]) {
        self.upto = self.upto.max(u64_at(payload, 0).unwrap_or(0));
        self.oldest = self.oldest.max(u64_at(payload, 8).unwrap_or(0));
        let firm = |seq: u64, boot: u128| seq <= self.upto && boot == self.boot;
        self.entries.retain(|_, found| found.released.is_none_or(|(seq, boot)| !firm(seq, boot)));
        for (note, boot) in self.entries.values_mut().flat_map(|found| found.notes.values_mut()) {
            note.firm |= firm(note.seq, *boot);
        }
    }

    /// Leaves only what is whole and still counts.
    fn finish(&mut self, candidates: Vec<Candidate>) {
        let oldest = self.oldest;
        for Candidate { segment, .. } in candidates {
            if segment.generation() < oldest { self.free.push(segment) } else { self.live.push(segment) }
        }
        let gone: Vec<_> = self.free.iter().map(|segment| name(segment)).collect();
        self.report.damage.retain(|damage| !gone.contains(&damage.file));
        let missing = std::mem::take(&mut self.missing).into_iter().filter(|(generation, _)| *generation >= oldest);
        self.report.damage.extend(missing.map(|(_, damage)| damage));
        let entries = std::mem::take(&mut self.entries);
        for (id, mut found) in entries {
            // What is only in free segments was released, though the record of that may be overwritten already.
            let freed = found.entry.last.as_ref().is_none_or(|last| last.generation() < oldest);
            if freed {
                continue;
            }
            if let Some(what) = found.assemble() {
                let (file, from) = found.entry.last.as_ref().map_or((String::new(), 0), |l| (name(&l.segment), l.offset));
                self.report.damage.push(Damage { file, from, to: from, what: format!("entry {id} is lost: {what}") });
            } else {
                self.entries.insert(id, found);
            }
        }
        self.report.segments = self.live.len();
        self.report.free = self.free.len();
        self.report.entries = self.entries.len();
    }
}

impl Found {
    fn whole(&mut self, head: &Head, location: Location, payload: &[u8]) {
        let header = payload.get(..head.extra as usize).unwrap_or_default();
        self.header = header.to_vec();
        self.entry.header = u32::try_from(header.len()).unwrap_or(0);
        self.entry.length = (payload.len() - header.len()) as u64;
        self.last(head, location);
    }

    fn commit(&mut self, head: &Head, location: Location, payload: &[u8]) {
        let (Some(length), Some(count)) = (u64_at(payload, 0), u32_at(payload, 8)) else { return };
        self.header = payload[12..].to_vec();
        self.entry.header = 12;
        self.entry.length = length;
        self.count = Some(count);
        self.last(head, location);
    }

    fn last(&mut self, head: &Head, location: Location) {
        self.entry.kind = head.user;
        self.entry.progress = Progress::Durable;
        self.entry.last = Some(location);
    }

    /// Puts the pieces together; says what is wrong if they are not all there.
    fn assemble(&mut self) -> Option<String> {
        let chunks = std::mem::take(&mut self.chunks);
        let count = self.count.unwrap_or(0);
        let have = chunks.range(..count).count();
        if have != count as usize {
            return Some(format!("{} of {count} pieces of its body are missing", count as usize - have));
        }
        self.entry.chunks = chunks.into_values().take(count as usize).map(Place::File).collect();
        let length: u64 = self.entry.chunks.iter().map(Place::length).sum();
        if self.count.is_some() && length != self.entry.length {
            return Some(format!("its body has {length} octets instead of {}", self.entry.length));
        }
        let notes = std::mem::take(&mut self.notes);
        self.entry.next_note = notes.last_key_value().map_or(0, |(index, _)| index.saturating_add(1));
        self.entry.notes = notes.into_values().map(|(note, _)| note).collect();
        None
    }

    pub(crate) fn notes(&self, firm: bool) -> Vec<Vec<u8>> {
        let notes = self.entry.notes.iter().filter(|note| note.firm == firm);
        notes.map(|note| note.payload.to_vec()).collect()
    }
}

pub(crate) fn name(segment: &Segment) -> String {
    segment.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
