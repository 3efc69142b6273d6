//! What a change costs does not depend on how large the mailbox is: the calls to the disk are counted.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mail::{Flag, Flags};
use system::{Create, Disk, Entry, File, HostDisk, Stat};

use crate::testing::World;
use crate::{StoreChange, StoreMode, View};

/// The real disk; counts calls, and names read from folders.
#[derive(Debug, Default)]
struct Counting {
    calls: AtomicU64,
    names: AtomicU64,
}

impl Counting {
    fn count<T>(&self, result: T) -> T {
        self.calls.fetch_add(1, Ordering::Relaxed);
        result
    }
}

impl Disk for Counting {
    fn open(&self, path: &Path, create: Create) -> io::Result<Box<dyn File>> {
        self.count(HostDisk.open(path, create))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.count(HostDisk.stat(path))
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        self.count(HostDisk.list(folder, &mut |entry| {
            self.names.fetch_add(1, Ordering::Relaxed);
            each(entry);
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count(HostDisk.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count(HostDisk.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.count(HostDisk.remove(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.count(HostDisk.create_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.count(HostDisk.remove_dir(path))
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.count(HostDisk.sync_dir(folder))
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.count(HostDisk.sync_all(path))
    }

    fn boot(&self) -> Option<u128> {
        HostDisk.boot()
    }
}

fn store(view: &mut View, uid: u32, flag: Flag) {
    let flags = Flags::NONE.with(flag, true);
    view.store(&[uid], &StoreChange { mode: StoreMode::Add, flags, keywords: &[], unchanged_since: None, silent: false }).unwrap();
}

/// Calls and names for each kind of work in a mailbox of this size.
fn costs(size: u32) -> Vec<(&'static str, u64, u64)> {
    let disk = Arc::new(Counting::default());
    let world = World::with(disk.clone());
    for _ in 0..size {
        world.deliver("a message\n");
    }
    let (mut one, mut two) = (world.view(), world.view());
    // The first change after a save writes the mark; here it is written already.
    store(&mut one, 1, Flag::Answered);
    let mut all = Vec::new();
    let mut measure = |what, work: &mut dyn FnMut()| {
        let before = (disk.calls.load(Ordering::Relaxed), disk.names.load(Ordering::Relaxed));
        work();
        all.push((what, disk.calls.load(Ordering::Relaxed) - before.0, disk.names.load(Ordering::Relaxed) - before.1));
    };
    measure("deliver", &mut || assert_eq!(world.deliver("another\n"), size + 1));
    measure("new mail told", &mut || assert_eq!(one.poll(true).unwrap().len(), 2));
    measure("nothing told", &mut || assert_eq!(one.poll(true).unwrap().len(), 0));
    measure("store", &mut || store(&mut one, size / 2, Flag::Deleted));
    measure("expunge", &mut || one.expunge(None).unwrap());
    measure("changes told", &mut || assert!(two.poll(true).unwrap().len() >= 2));
    measure("status", &mut || assert_eq!(world.account.status("INBOX", true).unwrap().messages, size));
    all
}

#[test]
fn changes_cost_the_same_in_a_mailbox_of_any_size() {
    let (small, large) = (costs(20), costs(1_000));
    assert_eq!(small, large);
    assert!(small.iter().all(|(_, calls, names)| *calls <= 24 && *names == 0), "{small:?}");
}
