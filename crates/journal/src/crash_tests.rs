//! The journal against a disk that forgets and fails: seeded runs without threads, so that each can be repeated.
//!
//! After every crash: what was acknowledged is there once with the same octets; what was refused or never begun is not there;
//! the rest is there whole or not at all; what was released and covered by a checkpoint does not come back.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use system::{Disk, Random, SimDisk};

use crate::commit::Committer;
use crate::entry::EntryId;
use crate::group::Durable;
use crate::journal::{Recovered, add_note, assemble, release};
use crate::keep::Pass;
use crate::state::Shared;
use crate::{Body, Writer};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Waiting,
    Acknowledged,
    /// It may come back until a later segment says that it does not count.
    Refused,
    Gone,
}

#[derive(Debug, PartialEq)]
enum Released {
    No,
    Asked,
    /// Written, though maybe not synced.
    Written,
    Covered,
}

#[derive(Debug)]
struct KnownNote {
    payload: Vec<u8>,
    firm: bool,
    durable: Option<Durable>,
    acknowledged: bool,
    written: bool,
    covered: bool,
    /// It came back as a doubt.
    doubted: bool,
}

#[derive(Debug)]
struct Known {
    kind: u8,
    header: Vec<u8>,
    body: Vec<u8>,
    fate: Fate,
    durable: Option<Durable>,
    notes: Vec<KnownNote>,
    released: Released,
    /// It came back as released.
    doubted: bool,
}

struct World {
    disk: SimDisk,
    random: Random,
    settings: config::Journal,
    shared: Arc<Shared>,
    committer: Committer,
    refuse_checkpoint: Arc<AtomicBool>,
    pass: Option<Pass>,
    /// What the pass covers: released entries, and notes by entry and place.
    covering: (Vec<u64>, Vec<(u64, usize)>),
    known: BTreeMap<u64, Known>,
    writers: Vec<(Writer, Vec<u8>)>,
    /// The disk after a power cut in the middle of something. What that went on to say was never heard.
    crashed: Option<SimDisk>,
}

fn octets(random: &mut Random, length: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    while (octets.len() as u64) < length {
        octets.extend(random.number().to_le_bytes());
    }
    octets.truncate(usize::try_from(length).unwrap());
    octets
}

fn open(disk: &SimDisk, settings: &config::Journal, refuse: &Arc<AtomicBool>) -> (Arc<Shared>, Committer, Vec<Recovered>) {
    let refuse = Arc::clone(refuse);
    let checkpoint = Arc::new(move || if refuse.load(Ordering::Relaxed) { Err(io::ErrorKind::Other.into()) } else { Ok(()) });
    let (shared, committer, recovered, report) = assemble(Path::new("/j"), Arc::new(disk.clone()), settings, checkpoint).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    (shared, committer, recovered)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(seed);
        disk.create_dir(Path::new("/j")).unwrap();
        disk.sync_all(Path::new("/")).unwrap();
        let settings = config::Journal {
            segment_size: config::Size::kib(16 << random.below(3)),
            max_size: config::Size::kib(64 + random.below(400)),
            memory: config::Size::kib(8 + random.below(400)),
            ..config::Journal::default()
        };
        let refuse_checkpoint = Arc::new(AtomicBool::new(false));
        let (shared, committer, _) = open(&disk, &settings, &refuse_checkpoint);
        let (known, writers) = (BTreeMap::new(), Vec::new());
        Self {
            disk,
            random,
            settings,
            shared,
            committer,
            refuse_checkpoint,
            pass: None,
            covering: Default::default(),
            known,
            writers,
            crashed: None,
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=3 => self.write_at_once(),
            4..=6 => self.write_on(),
            7 => self.end_writer(),
            8..=9 => self.note(),
            10..=11 => self.release(),
            12..=15 => self.commit(),
            16 => self.begin_pass(),
            17 => self.finish_pass(),
            18 => self.shared.tidy(),
            _ => self.read(),
        }
    }

    fn write_at_once(&mut self) {
        let writer = Writer::new(&self.shared);
        let most = if self.random.once_in(4) { 20_000 } else { 1500 };
        let length = self.random.below(most);
        let body = octets(&mut self.random, length);
        self.writers.push((writer, Vec::new()));
        let last = self.writers.len() - 1;
        self.append(last, &body);
        if self.writers.len() > last {
            self.finish_writer(last);
        }
    }

    fn append(&mut self, which: usize, octets: &[u8]) {
        let (writer, body) = &mut self.writers[which];
        match writer.write(octets) {
            Ok(_) => body.extend_from_slice(octets),
            Err(_) => drop(self.writers.swap_remove(which)),
        }
    }

    fn write_on(&mut self) {
        if self.writers.len() < 3 {
            self.writers.push((Writer::new(&self.shared), Vec::new()));
        }
        let which = self.pick(self.writers.len());
        let length = self.random.below(9000);
        let part = octets(&mut self.random, length);
        self.append(which, &part);
    }

    fn end_writer(&mut self) {
        if self.writers.is_empty() {
            return;
        }
        let which = self.pick(self.writers.len());
        if self.random.once_in(3) {
            drop(self.writers.swap_remove(which));
        } else {
            self.finish_writer(which);
        }
    }

    fn finish_writer(&mut self, which: usize) {
        let (writer, body) = self.writers.swap_remove(which);
        let (kind, length) = (self.random.below(200) as u8, self.random.below(300));
        let header = octets(&mut self.random, length);
        let (id, durable) = writer.commit(kind, &header);
        let known = Known {
            kind,
            header,
            body,
            fate: Fate::Waiting,
            durable: Some(durable),
            notes: Vec::new(),
            released: Released::No,
            doubted: false,
        };
        self.known.insert(id.0, known);
        self.learn();
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.random.below(count as u64)).unwrap()
    }

    /// Some acknowledged entry that was not released.
    fn some_entry(&mut self) -> Option<u64> {
        let present = |known: &Known| known.fate == Fate::Acknowledged && known.released == Released::No;
        let ids: Vec<u64> = self.known.iter().filter(|(_, known)| present(known)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[self.pick(ids.len())])
    }

    fn note(&mut self) {
        let Some(id) = self.some_entry() else { return };
        let (firm, length) = (self.random.once_in(2), self.random.below(200));
        let payload = octets(&mut self.random, length);
        let durable = add_note(&self.shared, EntryId(id), &payload, firm).unwrap();
        let note = KnownNote { payload, firm, durable: Some(durable), acknowledged: false, written: false, covered: false, doubted: false };
        self.known.get_mut(&id).unwrap().notes.push(note);
    }

    fn release(&mut self) {
        let Some(id) = self.some_entry() else { return };
        release(&self.shared, id);
        self.known.get_mut(&id).unwrap().released = Released::Asked;
    }

    fn commit(&mut self) {
        let batch = {
            let mut state = self.shared.lock();
            let sync = state.urgent || self.random.once_in(2);
            self.shared.take_now(&mut state, sync)
        };
        self.committer.commit(batch);
        self.crashed = self.disk.take_crashed();
        if self.crashed.is_some() {
            return;
        }
        let (all_written, failed) = {
            let state = self.shared.lock();
            (state.pending.is_empty(), state.failure.is_some())
        };
        for known in self.known.values_mut() {
            match known.released {
                Released::Asked if all_written && !failed => known.released = Released::Written,
                Released::Written if failed => known.released = Released::Asked,
                _ => {}
            }
            known.notes.iter_mut().for_each(|note| note.written = all_written && !failed);
        }
        self.learn();
    }

    /// Looks at what was told to those that wait.
    fn learn(&mut self) {
        let mut acknowledged = false;
        let refused: Vec<u64> = self.known.iter().filter(|(_, known)| known.fate == Fate::Refused).map(|(id, _)| *id).collect();
        for known in self.known.values_mut() {
            if let Some(outcome) = known.durable.as_ref().and_then(Durable::outcome) {
                known.durable = None;
                known.fate = if outcome.is_ok() { Fate::Acknowledged } else { Fate::Refused };
                acknowledged |= outcome.is_ok();
            }
            for note in &mut known.notes {
                note.acknowledged |= note.durable.as_ref().is_some_and(|durable| matches!(durable.outcome(), Some(Ok(()))));
            }
        }
        if acknowledged {
            self.known.retain(|id, _| !refused.contains(id));
        }
    }

    fn begin_pass(&mut self) {
        if self.pass.is_some() {
            return;
        }
        let released = self.known.iter().filter(|(_, known)| matches!(known.released, Released::Asked | Released::Written));
        let released = released.map(|(id, _)| *id).collect();
        let notes = self.known.iter().flat_map(|(id, known)| (0..known.notes.len()).map(|at| (*id, at))).collect();
        self.refuse_checkpoint.store(self.random.once_in(5), Ordering::Relaxed);
        self.pass = self.shared.begin_pass();
        self.covering = (released, notes);
    }

    fn finish_pass(&mut self) {
        let Some(Some(outcome)) = self.pass.as_ref().map(|pass| pass.durable.outcome()) else { return };
        let done = outcome.is_ok();
        self.shared.end_pass(self.pass.take().unwrap(), outcome);
        let (released, notes) = std::mem::take(&mut self.covering);
        if !done {
            return;
        }
        for id in released {
            if let Some(known) = self.known.get_mut(&id) {
                // In a journal that is full a release can wait in memory for the room that the checkpoint makes.
                known.released = if known.released == Released::Asked { Released::Asked } else { Released::Covered };
            }
        }
        for (id, at) in notes {
            if let Some(note) = self.known.get_mut(&id).and_then(|known| known.notes.get_mut(at)) {
                note.covered = note.written;
            }
        }
    }

    fn read(&mut self) {
        let Some(id) = self.some_entry() else { return };
        let body = Body::of(&self.shared, id).unwrap();
        assert_eq!(body.whole(1 << 20).unwrap(), self.known[&id].body, "entry {id}");
    }

    /// The process ends, and with `power` the machine.
    fn restart(&mut self, disk: SimDisk, power: bool) {
        self.writers.clear();
        self.pass = None;
        self.disk = disk;
        self.disk.heal();
        self.disk.set_capacity(None);
        let (shared, committer, recovered) = open(&self.disk, &self.settings, &self.refuse_checkpoint);
        (self.shared, self.committer) = (shared, committer);
        let mut found = BTreeMap::new();
        for entry in recovered {
            let id = entry.id.0;
            let known = self.known.remove(&id).unwrap_or_else(|| panic!("entry {id} comes from nowhere"));
            assert!(found.insert(id, check(entry, known, power)).is_none(), "entry {id} is there twice");
        }
        for (id, known) in std::mem::take(&mut self.known) {
            let lost = known.fate == Fate::Acknowledged && known.released == Released::No;
            assert!(!lost, "entry {id} is lost");
            if !power && matches!(known.released, Released::Asked | Released::Written) {
                // Its release is not on disk: it comes back if the power goes before the next checkpoint.
                found.insert(id, Known { durable: None, released: Released::Written, ..known });
            }
        }
        self.known = found;
    }

    /// After all troubles the journal takes mail again by itself.
    fn check_health(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
        self.writers.clear();
        while let Some(id) = self.some_entry() {
            release(&self.shared, id);
            self.known.get_mut(&id).unwrap().released = Released::Asked;
        }
        for _ in 0..12 {
            self.commit();
            self.finish_pass();
            self.begin_pass();
            self.refuse_checkpoint.store(false, Ordering::Relaxed);
        }
        let mut writer = Writer::new(&self.shared);
        drop(writer.write(&[1; 3000]).unwrap());
        let (_, durable) = writer.commit(1, b"after all");
        let batch = self.shared.take_now(&mut self.shared.lock(), true);
        self.committer.commit(batch);
        let outcome = durable.outcome().unwrap();
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// Compares an entry that came back with what is known of it.
fn check(entry: Recovered, known: Known, power: bool) -> Known {
    let id = entry.id.0;
    assert_ne!(known.fate, Fate::Gone);
    assert_eq!((entry.kind, &entry.header), (known.kind, &known.header), "entry {id}");
    assert_eq!(entry.body.whole(1 << 20).unwrap(), known.body, "entry {id}");
    let back = match known.released {
        Released::No => !entry.released || known.doubted,
        Released::Asked => true,
        Released::Written => power,
        Released::Covered => false,
    };
    assert!(back, "entry {id} was {:?} and came back as {}", known.released, entry.released);
    check_notes(&entry, &known, power);
    let here = |note: &KnownNote| entry.notes.contains(&note.payload) || entry.doubts.contains(&note.payload);
    let mut notes: Vec<_> = known.notes.into_iter().filter(here).collect();
    for note in &mut notes {
        (note.acknowledged, note.written) = (true, true);
        note.durable = None;
        note.doubted |= entry.doubts.contains(&note.payload);
    }
    let doubted = known.doubted || entry.released;
    Known { fate: Fate::Acknowledged, durable: None, notes, released: Released::No, doubted, ..known }
}

fn check_notes(entry: &Recovered, known: &Known, power: bool) {
    let all: Vec<_> = known.notes.iter().map(|note| &note.payload).collect();
    let in_order = |found: &[Vec<u8>]| {
        let mut rest = all.iter();
        found.iter().all(|payload| rest.any(|other| *other == payload))
    };
    assert!(in_order(&entry.notes) && in_order(&entry.doubts), "notes of {:?}", entry.id);
    for note in &known.notes {
        if note.doubted {
            assert!(!entry.notes.contains(&note.payload), "a doubt of {:?} became firm", entry.id);
            continue;
        }
        let durable = note.acknowledged;
        let here = if durable || (!power && note.written) { entry.notes.contains(&note.payload) } else { true };
        let sure = note.firm || note.covered || (!power && note.written);
        let doubted = !durable || entry.doubts.contains(&note.payload);
        assert!(if sure { here } else { here || doubted }, "a note of {:?} is lost", entry.id);
        assert!(!sure || !entry.doubts.contains(&note.payload), "a note of {:?} is in doubt", entry.id);
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let faults = seed % 3;
    for round in 0..3 {
        let steps = 10 + world.random.below(60);
        if faults == 1 {
            let (skip, count) = (world.random.below(30), 1 + world.random.below(4));
            let error = if world.random.once_in(2) { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
            world.disk.fail(skip, count, error);
        }
        if faults == 2 {
            let capacity = world.random.below(300_000);
            world.disk.set_capacity(Some(capacity));
        }
        let power = !world.random.once_in(4);
        if power {
            let skip = world.random.below(40);
            world.disk.crash_later(skip, seed ^ round);
        }
        for _ in 0..steps {
            world.step();
            world.crashed = world.crashed.take().or_else(|| world.disk.take_crashed());
            if world.crashed.is_some() {
                break;
            }
        }
        let disk = match (world.crashed.take(), power) {
            (Some(disk), _) => disk,
            (None, true) => world.disk.crash(seed ^ round),
            (None, false) => world.disk.clone(),
        };
        world.restart(disk, power);
    }
    world.check_health();
}

#[test]
fn ten_thousand_crashes() {
    let threads = 4;
    std::thread::scope(|scope| {
        for part in 0..threads {
            scope.spawn(move || (0..10_000).filter(|seed| seed % threads == part).for_each(run_named));
        }
    });
}

fn run_named(seed: u64) {
    if std::panic::catch_unwind(|| run(seed)).is_err() {
        panic!("seed {seed}");
    }
}

/// Entries that stay are copied to make room, and not round and round.
#[test]
fn a_journal_at_rest_comes_to_rest() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        for _ in 0..40 {
            world.write_at_once();
            world.commit();
            if world.random.once_in(2) {
                world.release();
            }
        }
        let mut moved = Vec::new();
        for _ in 0..60 {
            world.commit();
            world.begin_pass();
            world.commit();
            world.finish_pass();
            moved.push(world.shared.lock().counts.moved);
        }
        assert_eq!(moved[40], moved[59], "seed {seed}: {moved:?}");
    }
}
