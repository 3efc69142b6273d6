//! The thread: takes jobs, keeps a few files open, saves what has waited long enough.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::index::Job;
use crate::index::db::Db;
use crate::mailbox::Mailbox;

/// So many files stay open.
const MOST_OPEN: usize = 8;

/// How often idle mailboxes are looked for.
const COOL_EVERY: Duration = Duration::from_secs(15);

/// How long facts wait for company.
const FACTS_DELAY: Duration = Duration::from_secs(2);

/// So many facts are written at once.
const FACTS_BATCH: usize = 512;

struct Keeper<'a> {
    runtime: Runtime,
    files: HashMap<Arc<Path>, Db>,
    /// Mailboxes with something to save, and when; in the order of their coming.
    dirty: Vec<(Instant, Weak<Mailbox>)>,
    /// Mailboxes with a table in memory.
    warm: Vec<Weak<Mailbox>>,
    cooled: Instant,
    facts_due: Option<Instant>,
    pending_facts: &'a AtomicUsize,
}

/// Works until told to stop.
pub(super) fn run(queue: &Receiver<Job>, pending_facts: &AtomicUsize) {
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the index thread; there will be no index");
            return;
        }
    };
    let now = Instant::now();
    let (files, dirty, warm) = (HashMap::new(), Vec::new(), Vec::new());
    let mut keeper = Keeper { runtime, files, dirty, warm, cooled: now, facts_due: None, pending_facts };
    loop {
        match queue.recv_timeout(keeper.patience()) {
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(job) => keeper.perform(job),
            Err(RecvTimeoutError::Timeout) => {}
        }
        keeper.housekeeping();
    }
    keeper.save_due(None);
    keeper.write_facts();
}

impl Keeper<'_> {
    /// How long there is nothing to do by itself.
    fn patience(&self) -> Duration {
        let dirty = self.dirty.iter().map(|(due, _)| *due).min();
        let cool = if self.warm.is_empty() { None } else { Some(self.cooled + COOL_EVERY) };
        let next = dirty.into_iter().chain(self.facts_due).chain(cool).min();
        next.map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(Instant::now()))
    }

    fn housekeeping(&mut self) {
        let now = Instant::now();
        self.save_due(Some(now));
        if self.facts_due.is_some_and(|due| due <= now) {
            self.write_facts();
        }
        if now.duration_since(self.cooled) >= COOL_EVERY {
            self.cooled = now;
            self.warm.retain(|mailbox| mailbox.upgrade().is_some_and(|mailbox| !mailbox.cool()));
        }
    }

    fn perform(&mut self, job: Job) {
        // Whoever asked and went away does not want the answer.
        match job {
            Job::Head { db, name, reply } => drop(reply.send(self.with(&db, |db, runtime| db.head(runtime, &name)))),
            Job::Pages { db, slot, from, reply } => drop(reply.send(self.with(&db, |db, runtime| db.pages(runtime, slot, from)))),
            Job::Facts { db, slot, first, last, reply } => {
                drop(reply.send(self.with(&db, |db, runtime| db.facts(runtime, slot, first, last))));
            }
            Job::Keep { db, limit, slot, uid, facts } => self.keep(&db, limit, (slot, uid), facts),
            Job::Forget { db, slot } => drop(self.with(&db, |db, runtime| db.forget(runtime, slot))),
            Job::Rename { db, from, to } => drop(self.with(&db, |db, runtime| db.rename(runtime, &from, &to))),
            Job::Delete { db, name } => drop(self.with(&db, |db, runtime| db.delete(runtime, &name))),
            Job::Dirty(mailbox, delay) => self.dirty.push((Instant::now() + delay, mailbox)),
            Job::Flush { db, mailboxes, close, reply } => drop(reply.send(self.flush(&db, &mailboxes, close))),
            Job::Stop => {}
        }
    }

    fn with<T>(&mut self, path: &Arc<Path>, work: impl FnOnce(&mut Db, &Runtime) -> Option<T>) -> Option<T> {
        if self.files.len() > MOST_OPEN && !self.files.get(path).is_some_and(Db::is_open) {
            for db in self.files.values_mut() {
                db.close(&self.runtime);
            }
        }
        let db = self.files.entry(Arc::clone(path)).or_insert_with(|| Db::new(path));
        work(db, &self.runtime)
    }

    fn keep(&mut self, path: &Arc<Path>, limit: u64, key: (u32, u32), facts: Arc<[u8]>) {
        let waiting = self.with(path, |db, _| Some(db.keep(limit, key, facts)));
        self.facts_due.get_or_insert_with(|| Instant::now() + FACTS_DELAY);
        if waiting.is_some_and(|count| count >= FACTS_BATCH) {
            self.write_facts();
        }
    }

    fn write_facts(&mut self) {
        self.facts_due = None;
        for db in self.files.values_mut() {
            let written = db.write_facts(&self.runtime);
            self.pending_facts.fetch_sub(written, Ordering::AcqRel);
        }
    }

    /// Saves what is due, or everything.
    fn save_due(&mut self, now: Option<Instant>) {
        let due = |at: &Instant| now.is_none_or(|now| *at <= now);
        let (ready, waiting) = std::mem::take(&mut self.dirty).into_iter().partition(|(at, _)| due(at));
        self.dirty = waiting;
        let ready: Vec<(Instant, Weak<Mailbox>)> = ready;
        for mailbox in ready.iter().filter_map(|(_, mailbox)| mailbox.upgrade()) {
            self.save(&mailbox);
        }
    }

    fn save(&mut self, mailbox: &Arc<Mailbox>) -> bool {
        let Some(save) = mailbox.take_save() else { return true };
        let path = mailbox.env.store.path();
        let name = mailbox.lock().name.clone();
        let done = self.with(&path, |db, runtime| db.save(runtime, &name, &save)).is_some();
        mailbox.saved(save.generation, done);
        if !self.warm.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(mailbox))) {
            self.warm.push(Arc::downgrade(mailbox));
        }
        done
    }

    fn flush(&mut self, path: &Arc<Path>, mailboxes: &[Arc<Mailbox>], close: bool) -> bool {
        let mut saved = true;
        for mailbox in mailboxes {
            saved &= self.save(mailbox);
        }
        self.write_facts();
        if close {
            saved &= self.with(path, |db, runtime| db.checkpoint(runtime)).is_some();
            if let Some(mut db) = self.files.remove(path) {
                db.close(&self.runtime);
            }
        }
        saved
    }
}
