//! The journal on a disk that lies: whatever is overwritten or cannot be read, the rest is found, and what is lost is reported.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use system::{Disk, Random, SimDisk};

use crate::{Journal, Recovered, Report, verify};

const DIR: &str = "/j";

fn open(disk: &SimDisk) -> (Journal, Vec<Recovered>, Report) {
    let settings = config::Journal {
        segment_size: config::Size::kib(32),
        max_size: config::Size::mib(1),
        checkpoint_interval: Duration::from_millis(1),
        ..config::Journal::default()
    };
    Journal::open(Path::new(DIR), Arc::new(disk.clone()), &settings, Arc::new(|| Ok(()))).unwrap()
}

fn body(id: u64) -> Vec<u8> {
    let length = Random::new(id).below(12_000);
    (0..length).map(|at| (at * 7 + id) as u8).collect()
}

/// A journal with twenty entries that was closed, and the entries.
fn filled() -> (SimDisk, BTreeMap<u64, Vec<u8>>) {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(DIR)).unwrap();
    let (journal, ..) = open(&disk);
    let mut entries = BTreeMap::new();
    for number in 0..20 {
        let (id, durable) = journal.entry(1, &[7; 50], &body(number));
        durable.wait().unwrap();
        journal.note(id, b"a note").wait().unwrap();
        entries.insert(id.number(), body(number));
    }
    journal.close();
    (disk, entries)
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    disk.list(Path::new(DIR), &mut |entry| paths.push(Path::new(DIR).join(entry.name))).unwrap();
    paths
}

/// Opens what is left and compares; gives how many entries are lost.
fn check(disk: &SimDisk, entries: &BTreeMap<u64, Vec<u8>>, what: &str) -> usize {
    let seen = verify(Path::new(DIR), disk).unwrap();
    let (journal, recovered, report) = open(disk);
    assert_eq!(seen.damage, report.damage);
    for entry in &recovered {
        let id = entry.id.number();
        assert_eq!(&entry.body.whole(1 << 20).unwrap()[..], entries[&id], "{what}: entry {id}");
        assert_eq!(entry.header, [7; 50]);
    }
    let lost = entries.len() - recovered.len();
    let notes = recovered.iter().filter(|entry| entry.notes.is_empty()).count();
    assert!(lost + notes == 0 || !report.damage.is_empty(), "{what}: {lost} entries are lost without a word");
    journal.entry(1, b"", b"it goes on").1.wait().unwrap();
    lost
}

#[test]
fn damage_anywhere_is_reported_and_costs_only_what_it_hits() {
    let (disk, entries) = filled();
    let paths = segments(&disk);
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let broken = disk.crash(1);
        let path = &paths[usize::try_from(random.below(paths.len() as u64)).unwrap()];
        let (offset, length) = (random.below(32 << 10), 1 + random.below(600));
        let noise: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
        let length = noise.len().min(usize::try_from((32 << 10) - offset).unwrap());
        broken.damage(path, offset, &noise[..length]).unwrap();
        let lost = check(&broken, &entries, &format!("seed {seed}: {} at {offset}", path.display()));
        assert!(lost <= 3, "seed {seed}: {lost} entries are lost");
    }
}

#[test]
fn a_sector_that_cannot_be_read_is_damage() {
    let (disk, entries) = filled();
    for path in segments(&disk) {
        let broken = disk.crash(1);
        broken.make_unreadable(&path, 8192, 8704).unwrap();
        assert!(check(&broken, &entries, "unreadable") <= 3);
    }
}

/// Each segment names the one before it; nothing names the last.
#[test]
fn a_missing_segment_is_reported_unless_it_is_the_last() {
    let (disk, entries) = filled();
    let generation = |path: &PathBuf| {
        let octets = disk.open(path, system::Create::Read).unwrap().read_all(1 << 20).unwrap();
        u32::from_le_bytes([octets[20], octets[21], octets[22], octets[23]])
    };
    let mut paths = segments(&disk);
    paths.sort_by_key(generation);
    paths.pop();
    let mut lost = 0;
    for path in &paths {
        let broken = disk.crash(1);
        broken.remove(path).unwrap();
        lost += check(&broken, &entries, "missing");
    }
    assert!(lost > 0);
}

/// What a stranger sends must not pass for records, also where the journal has to search for the next one.
#[test]
fn records_within_a_body_are_not_taken_for_records() {
    let (disk, _) = filled();
    let copied = disk.open(&segments(&disk)[0], system::Create::Read).unwrap().read_all(1 << 20).unwrap();
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(DIR)).unwrap();
    let (journal, ..) = open(&disk);
    let (_, durable) = journal.entry(1, &[], &copied[..7000]);
    durable.wait().unwrap();
    journal.close();
    let path = segments(&disk).into_iter().find(|path| disk.open(path, system::Create::Read).unwrap().read_all(1 << 20).unwrap()[0] != 0);
    disk.damage(&path.unwrap(), 110, b"x").unwrap();
    let (_, recovered, report) = open(&disk);
    assert!(recovered.is_empty());
    assert_eq!(report.damage.len(), 1, "{report:?}");
}
