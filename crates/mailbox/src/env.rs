//! What all mailboxes of an account share: disk, clock, journal, settings, the account's root, marks and index.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::Journal;
use mail::MessageId;
use maildir::Locks;
use maildir::folder::Root;
use system::{Clock, Disk};

use crate::error::Result;
use crate::facts::FactsCache;
use crate::index::{Indexer, Store};
use crate::marks::Marks;

/// So many copies may depend on their sources before the disk is made to hold them all.
const MOST_COPIES: usize = 100_000;

/// What accounts need of the world; made once by the daemon, cloned for each account.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The file system of the Maildirs.
    pub disk: Arc<dyn Disk>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The journal, whose checkpoint syncs the file system of the Maildirs.
    pub journal: Journal,
    /// The thread that reads and writes the indexes.
    pub indexer: Indexer,
    /// The section `maildir` of the configuration.
    pub maildir: config::Maildir,
    /// The section `mailbox` of the configuration.
    pub mailbox: config::Mailbox,
    /// The host name in file names.
    pub host: String,
}

/// Where the files of an account are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The Maildir, made when needed.
    pub maildir: PathBuf,
    /// A folder of the account's own outside the Maildir for `index.sqlite`, `marks` and `special-use`, made when needed.
    pub index: PathBuf,
}

/// One account's share of the world.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) account: String,
    pub(crate) world: Environment,
    pub(crate) root: Root,
    pub(crate) locks: Locks,
    pub(crate) paths: Paths,
    pub(crate) marks: Marks,
    pub(crate) store: Store,
    pub(crate) facts: FactsCache,
    /// Texts of messages that were searched.
    pub(crate) texts: FactsCache,
    /// Bases of files that acknowledged copies depend on until the disk has the copies.
    copied: Mutex<HashSet<Box<[u8]>>>,
    numbers: AtomicU64,
}

impl Env {
    pub(crate) fn new(account: &str, world: Environment, paths: Paths) -> Self {
        let root = Root::new(Arc::clone(&world.disk), paths.maildir.clone());
        let (disk, clock) = (Arc::clone(&world.disk), Arc::clone(&world.clock));
        let locks = Locks::new(disk, clock, &paths.maildir, world.maildir.lock_timeout);
        let marks = Marks::open(Arc::clone(&world.disk), &paths.index);
        let store = world.indexer.store(paths.index.join("index.sqlite"), world.mailbox.facts_disk.0);
        let facts = FactsCache::new(world.mailbox.facts_memory.octets());
        let texts = FactsCache::new(world.mailbox.search_memory.octets());
        let account = account.to_owned();
        Self { account, world, root, locks, paths, marks, store, facts, texts, copied: Mutex::default(), numbers: AtomicU64::new(1) }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.world.disk
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.world.clock
    }

    /// The time in seconds since 1970.
    pub(crate) fn seconds(&self) -> i64 {
        i64::try_from(self.world.clock.seconds()).unwrap_or(i64::MAX)
    }

    /// The unique part of a new file name.
    pub(crate) fn unique(&self) -> String {
        let id = MessageId::new(self.world.clock.micros());
        maildir::name::unique(self.world.clock.seconds(), id, 0, &self.world.host)
    }

    /// A number that no other view of this account has.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets what is kept in memory of the content of a mailbox's messages.
    pub(crate) fn forget_content(&self, slot: u32) {
        self.facts.forget(slot);
        self.texts.forget(slot);
    }

    fn copied(&self) -> MutexGuard<'_, HashSet<Box<[u8]>>> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies of these files were acknowledged, though only the journal knows of them for certain, and it has no body of
    /// them: the sources must not go before the disk has the copies.
    pub(crate) fn note_copied<'a>(&self, bases: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let mut copied = self.copied();
        copied.extend(bases.map(Into::into));
        let crowded = copied.len() > MOST_COPIES;
        drop(copied);
        if crowded { self.settle_copies() } else { Ok(()) }
    }

    /// Makes copies durable if one of these files, which are about to go, is the source of one.
    pub(crate) fn before_removal<'a>(&self, mut bases: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let needed = {
            let copied = self.copied();
            !copied.is_empty() && bases.any(|base| copied.contains(base))
        };
        if needed { self.settle_copies() } else { Ok(()) }
    }

    /// Makes copies durable before many files go.
    pub(crate) fn before_any_removal(&self) -> Result<()> {
        if self.copied().is_empty() { Ok(()) } else { self.settle_copies() }
    }

    fn settle_copies(&self) -> Result<()> {
        // Those noted while the disk works are not covered.
        let settled = self.copied().clone();
        self.disk().sync_all(self.root.path()).map_err(crate::error::disk("sync copies", 0))?;
        self.copied().retain(|base| !settled.contains(base));
        Ok(())
    }
}
