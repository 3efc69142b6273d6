//! The journal's replay of damaged segments: no panic, and what comes back is what was written.
#![no_main]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use journal::{Checkpoint, Journal};
use libfuzzer_sys::fuzz_target;
use system::{Create, Disk, SimDisk};

const FOLDER: &str = "/journal";

fn settings() -> config::Journal {
    config::Journal { segment_size: config::Size::kib(64), max_size: config::Size::kib(1024), ..config::Journal::default() }
}

fn checkpoint() -> Checkpoint {
    Arc::new(|| Ok(()))
}

/// The segments of a journal with entries, notes, marks and releases, as they are after it was closed.
static SEGMENTS: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let disk = Arc::new(SimDisk::new(1));
    disk.create_dir(Path::new(FOLDER)).unwrap();
    let (journal, _, _) = Journal::open(Path::new(FOLDER), Arc::clone(&disk) as Arc<dyn Disk>, &settings(), checkpoint()).unwrap();
    for number in 0..20u8 {
        let (entry, durable) = journal.entry(number % 3, &header(number), &body(number));
        durable.wait().unwrap();
        if number % 4 == 0 {
            drop(journal.note(entry, b"a note"));
            drop(journal.mark(entry, b"a mark"));
        }
        if number % 5 == 0 {
            journal.release(entry);
        }
    }
    journal.close();
    let mut paths = Vec::new();
    disk.list(Path::new(FOLDER), &mut |entry| paths.push(Path::new(FOLDER).join(entry.name))).unwrap();
    let read = |path: PathBuf| {
        let octets = disk.open(&path, Create::Read).unwrap().read_all(1 << 20).unwrap();
        (path, octets)
    };
    paths.into_iter().map(read).collect()
});

fn header(number: u8) -> Vec<u8> {
    format!("header {number}").into_bytes()
}

fn body(number: u8) -> Vec<u8> {
    vec![number; usize::from(number) * 300]
}

/// A disk with those segments, damaged as the input says: four octets of place, one of length, then the octets to be put there. With an odd
/// first octet the first segment is the input itself.
fn damaged(choice: u8, mut data: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(FOLDER)).unwrap();
    for (number, (path, octets)) in SEGMENTS.iter().enumerate() {
        let file = disk.open(path, Create::New).unwrap();
        let raw = number == 0 && choice & 1 == 1;
        file.write_at(if raw { data } else { octets }, 0).unwrap();
    }
    if choice & 1 == 1 {
        return disk;
    }
    while let [a, b, c, which, length, rest @ ..] = data {
        let (path, octets) = &SEGMENTS[usize::from(*which) % SEGMENTS.len()];
        let place = u32::from_be_bytes([0, *a, *b, *c]) as usize % octets.len().max(1);
        let (patch, after) = rest.split_at(usize::from(*length % 32).min(rest.len()));
        let end = octets.len().min(place + patch.len());
        disk.damage(path, place as u64, &patch[..end - place]).unwrap();
        data = after;
    }
    disk
}

fuzz_target!(|data: &[u8]| {
    let (choice, data) = fuzz::choice(data);
    let disk = damaged(choice, data);
    let _ = journal::verify(Path::new(FOLDER), &disk);
    let Ok((journal, recovered, _)) = Journal::open(Path::new(FOLDER), Arc::new(disk), &settings(), checkpoint()) else { return };
    let mut seen = HashSet::new();
    for entry in recovered {
        assert!(seen.insert(entry.id), "an entry came back twice");
        if let Some(number) = (0..20).find(|number| header(*number) == entry.header) {
            let mut text = vec![0; 8192];
            if let Ok(length) = entry.body.read_at(&mut text, 0) {
                assert!(body(number).starts_with(&text[..length]), "an altered body came back");
            }
        }
    }
    journal.close();
});
