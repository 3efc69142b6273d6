//! The whole way of a message against a disk that forgets: journal, queue, and a delivery that syncs nothing itself.
//!
//! After every power cut and restart each accepted message reaches each recipient once, whole. The journal's threads are real, so
//! a seed does not repeat a run exactly; the demands hold for every interleaving.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use mail::MessageId;
use system::{Create, Disk, FixedClock, Random, SimDisk};

use crate::envelope::tests::envelope;
use crate::tests::wait;
use crate::{Job, Queue};

struct House {
    disk: SimDisk,
    clock: Arc<FixedClock>,
    journal: Journal,
    queue: Queue,
}

fn open(disk: SimDisk, clock: Arc<FixedClock>) -> House {
    let settings = config::Journal {
        segment_size: config::Size::kib(32),
        max_size: config::Size::kib(512),
        checkpoint_interval: Duration::from_millis(2),
        ..Default::default()
    };
    let checkpointed = disk.clone();
    let checkpoint = Arc::new(move || checkpointed.sync_all(Path::new("/")));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (journal, recovered, report) = Journal::open(Path::new("/journal"), shared.clone(), &settings, checkpoint).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    let settings = config::Queue { spool_after: Duration::from_micros(50), ..Default::default() };
    let (queue, remarks) = Queue::open(&journal, (shared, clock.clone()), Path::new("/queue"), &settings, recovered).unwrap();
    assert!(remarks.is_empty(), "{remarks:?}");
    House { disk, clock, journal, queue }
}

fn new_house(seed: u64) -> House {
    let disk = SimDisk::new(seed);
    for folder in ["/journal", "/queue", "/mail"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    disk.sync_all(Path::new("/")).unwrap();
    open(disk, Arc::new(FixedClock::at(1_000)))
}

fn body(id: u64) -> Vec<u8> {
    let length = Random::new(id).below(4000);
    (0..length).map(|at| (at * 31 + id) as u8).collect()
}

fn target(id: MessageId, number: u32) -> PathBuf {
    PathBuf::from(format!("/mail/{id}-{number}"))
}

fn read(disk: &SimDisk, path: &Path) -> Option<Vec<u8>> {
    disk.open(path, Create::Read).ok().map(|file| file.read_all(1 << 20).unwrap())
}

impl House {
    /// Whether the message was accepted.
    fn accept(&self, id: u64) -> bool {
        let Ok(mut incoming) = self.queue.begin() else { return false };
        wait(incoming.write(&body(id))).is_ok() && wait(incoming.accept(envelope(id, &["joe@b.example", "ann@b.example"]))).is_ok()
    }

    /// Delivers under a name that the message decides; in doubt it looks first, at the content as well.
    fn deliver(&self, job: Job) {
        let path = target(job.envelope().id, job.number());
        let content = job.content().unwrap();
        if job.doubtful && read(&self.disk, &path).is_some_and(|found| found[..] == content[..]) {
            job.delivered().unwrap();
            return;
        }
        assert!(job.doubtful || read(&self.disk, &path).is_none(), "{} is delivered twice", path.display());
        let file = self.disk.open(&path, Create::Missing).unwrap();
        file.set_size(0).unwrap();
        file.write_at(&content, 0).unwrap();
        job.delivered().unwrap();
    }

    fn step(&self, random: &mut Random) {
        let Some(job) = self.queue.take(Duration::ZERO) else { return };
        match random.below(8) {
            0 => job.deferred("not now").unwrap(),
            1 => drop(job),
            _ => self.deliver(job),
        }
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let mut house = new_house(seed);
    let mut accepted = BTreeSet::new();
    let mut id = 100;
    for _ in 0..3 {
        house.disk.crash_later(random.below(60), seed);
        let mut crashed = None;
        for _ in 0..30 {
            id += 1;
            let taken = random.once_in(2) && house.accept(id);
            crashed = house.disk.take_crashed();
            if crashed.is_some() {
                break;
            }
            accepted.extend(taken.then_some(id));
            house.step(&mut random);
            house.clock.set(1_000 + id * 20);
        }
        let disk = crashed.or_else(|| house.disk.take_crashed()).unwrap_or_else(|| house.disk.crash(seed));
        house = open(disk, house.clock.clone());
    }
    house.clock.set(1_000_000_000_000);
    for message in house.queue.list() {
        house.queue.retry(message.envelope.id).unwrap();
    }
    while let Some(job) = house.queue.take(Duration::ZERO) {
        house.deliver(job);
    }
    assert_eq!(house.queue.count(), 0);
    for (id, number) in accepted.iter().flat_map(|id| [(*id, 0), (*id, 1)]) {
        let found = read(&house.disk, &target(MessageId::from_number(id), number));
        assert!(found == Some(body(id)), "seed {seed}: message {id} did not reach recipient {number}");
    }
    house.queue.close();
    house.journal.close();
    let mut left = Vec::new();
    house.disk.list(Path::new("/queue"), &mut |entry| left.push(entry.name.to_owned())).unwrap();
    assert!(left.is_empty(), "seed {seed}: {left:?}");
}

#[test]
fn nothing_is_lost_or_doubled_by_a_power_cut() {
    for seed in 0..1000 {
        run(seed);
    }
}
