//! The index: a cache of what the folders say, in one SQLite file per account. One thread of its own reads and writes the
//! indexes of all accounts, so that no session ever waits for a write; changes reach it a moment later and in batches.

mod db;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use mail::Uid;

use crate::mailbox::Mailbox;
use crate::table::Pages;

/// Facts on their way to the index, at most; more are dropped, for they are only a cache.
const MOST_FACTS: usize = 4_096;

/// What is kept of a mailbox.
#[derive(Debug)]
pub(crate) struct Save {
    /// The mailbox's name.
    pub(crate) name: String,
    pub(crate) slot: u32,
    /// The state's generation that this is.
    pub(crate) generation: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) pages: Pages,
    /// Older pages are to be removed first.
    pub(crate) all: bool,
    /// UIDs whose facts are to be removed.
    pub(crate) forgotten: Vec<Uid>,
}

/// A mailbox's head as it was kept.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) slot: u32,
    pub(crate) head: Option<Vec<u8>>,
}

/// Pages or facts by number.
pub(crate) type Blobs = Vec<(u32, Vec<u8>)>;

/// What the thread is asked to do.
pub(crate) enum Job {
    Head {
        db: Arc<Path>,
        name: String,
        reply: SyncSender<Option<Stored>>,
    },
    Pages {
        db: Arc<Path>,
        slot: u32,
        from: u32,
        reply: SyncSender<Option<Blobs>>,
    },
    Facts {
        db: Arc<Path>,
        slot: u32,
        first: Uid,
        last: Uid,
        reply: SyncSender<Option<Blobs>>,
    },
    Keep {
        db: Arc<Path>,
        limit: u64,
        slot: u32,
        uid: Uid,
        facts: Arc<[u8]>,
    },
    Forget {
        db: Arc<Path>,
        slot: u32,
    },
    Rename {
        db: Arc<Path>,
        from: String,
        to: String,
    },
    Delete {
        db: Arc<Path>,
        name: String,
    },
    Dirty(Weak<Mailbox>, Duration),
    /// Save these now, and with `close` end the use of the file; say whether all is kept durably.
    Flush {
        db: Arc<Path>,
        mailboxes: Vec<Arc<Mailbox>>,
        close: bool,
        reply: SyncSender<bool>,
    },
    /// End; with `save` everything is saved first.
    Stop {
        save: bool,
    },
}

/// The thread that keeps the indexes of all accounts. Clones stand for the same thread; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Indexer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    jobs: Sender<Job>,
    facts: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Indexer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let facts = Arc::new(AtomicUsize::new(0));
        let pending = Arc::clone(&facts);
        let thread = std::thread::Builder::new().name("index".to_owned()).spawn(move || thread::run(&queue, &pending))?;
        Ok(Self { shared: Arc::new(Shared { jobs, facts, thread: Mutex::new(Some(thread)) }) })
    }

    /// Ends the thread as the end of the process would: what waits is not saved.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        self.shared.stop(false);
    }

    pub(crate) fn store(&self, path: PathBuf, facts_limit: u64) -> Store {
        Store { indexer: self.clone(), db: path.into(), facts_limit }
    }
}

impl Shared {
    fn stop(&self, save: bool) {
        let _ = self.jobs.send(Job::Stop { save });
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread itself may hold the last mailbox, and with it the last handle.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop(true);
    }
}

/// The index of one account. Nothing here fails: an index that cannot be read is as good as none.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    indexer: Indexer,
    db: Arc<Path>,
    facts_limit: u64,
}

impl Store {
    fn send(&self, job: Job) {
        // It ends only with us; a panic there would leave us without an index, which is allowed.
        let _ = self.indexer.shared.jobs.send(job);
    }

    fn ask<T>(&self, job: impl FnOnce(Arc<Path>, SyncSender<Option<T>>) -> Job) -> Option<T> {
        let (reply, answer) = sync_channel(1);
        self.send(job(Arc::clone(&self.db), reply));
        answer.recv().ok().flatten()
    }

    pub(crate) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.db)
    }

    /// The head of a mailbox, which gets a slot if it has none.
    pub(crate) fn head(&self, name: &str) -> Option<Stored> {
        let name = name.to_owned();
        self.ask(|db, reply| Job::Head { db, name, reply })
    }

    /// Some pages of a mailbox from a number on; none when there are no more.
    pub(crate) fn pages(&self, slot: u32, from: u32) -> Option<Blobs> {
        if slot == 0 { None } else { self.ask(|db, reply| Job::Pages { db, slot, from, reply }) }
    }

    /// The facts of a range of messages.
    pub(crate) fn facts(&self, slot: u32, first: Uid, last: Uid) -> Blobs {
        self.ask(|db, reply| Job::Facts { db, slot, first, last, reply }).unwrap_or_default()
    }

    pub(crate) fn keep_facts(&self, slot: u32, uid: Uid, facts: Arc<[u8]>) {
        let pending = &self.indexer.shared.facts;
        if pending.fetch_add(1, Ordering::AcqRel) < MOST_FACTS {
            self.send(Job::Keep { db: Arc::clone(&self.db), limit: self.facts_limit, slot, uid, facts });
        } else {
            pending.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn forget_facts(&self, slot: u32) {
        self.send(Job::Forget { db: Arc::clone(&self.db), slot });
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.send(Job::Rename { db: Arc::clone(&self.db), from: from.to_owned(), to: to.to_owned() });
    }

    pub(crate) fn delete(&self, name: &str) {
        self.send(Job::Delete { db: Arc::clone(&self.db), name: name.to_owned() });
    }

    /// There is something to save after the configured delay.
    pub(crate) fn dirty(&self, mailbox: &Arc<Mailbox>) {
        let delay = mailbox.env.world.mailbox.index_delay;
        self.send(Job::Dirty(Arc::downgrade(mailbox), delay));
    }

    /// Saves these mailboxes now; says whether everything is kept durably.
    pub(crate) fn flush(&self, mailboxes: Vec<Arc<Mailbox>>, close: bool) -> bool {
        let (reply, answer) = sync_channel(1);
        self.send(Job::Flush { db: Arc::clone(&self.db), mailboxes, close, reply });
        answer.recv().unwrap_or(false)
    }
}
