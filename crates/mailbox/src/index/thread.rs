//! The thread: takes jobs, keeps a few files open, saves what has waited long enough.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::index::Job;
use crate::index::db::Db;
use crate::mailbox::{Mailbox, Taken};

/// So many files stay open.
const MOST_OPEN: usize = 8;

/// How often idle mailboxes are looked for.
const COOL_EVERY: Duration = Duration::from_secs(15);

/// How long until a mailbox that is busy is asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long facts wait for company.
const FACTS_DELAY: Duration = Duration::from_secs(2);

/// So many facts are written at once.
const FACTS_BATCH: usize = 512;

struct Keeper<'a> {
    runtime: Runtime,
    files: HashMap<Arc<Path>, Db>,
    /// Mailboxes with something to save, and when; in the order of their coming.
    dirty: Vec<(Instant, Weak<Mailbox>)>,
    /// Mailboxes that are to hear whether a generation of theirs was saved, as soon as nobody else has them.
    unheard: Vec<(Arc<Mailbox>, u64, bool)>,
    /// Who waits until everything is saved.
    flushes: Vec<Flush>,
    /// Mailboxes with a table in memory.
    warm: Vec<Weak<Mailbox>>,
    cooled: Instant,
    facts_due: Option<Instant>,
    pending_facts: &'a AtomicUsize,
}

/// An order to save mailboxes at once, as far as it is not carried out yet.
struct Flush {
    db: Arc<Path>,
    mailboxes: Vec<Arc<Mailbox>>,
    saved: bool,
    close: bool,
    reply: SyncSender<bool>,
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
    let (files, dirty, unheard, flushes, warm) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut keeper = Keeper { runtime, files, dirty, unheard, flushes, warm, cooled: now, facts_due: None, pending_facts };
    let save = loop {
        match queue.recv_timeout(keeper.patience()) {
            Ok(Job::Stop { save }) => break save,
            Err(RecvTimeoutError::Disconnected) => break true,
            Ok(job) => keeper.perform(job),
            Err(RecvTimeoutError::Timeout) => {}
        }
        keeper.housekeeping();
    };
    if save {
        keeper.save_due(None);
        keeper.write_facts();
    }
}

impl Keeper<'_> {
    /// How long there is nothing to do by itself.
    fn patience(&self) -> Duration {
        let dirty = self.dirty.iter().map(|(due, _)| *due).min();
        let cool = if self.warm.is_empty() { None } else { Some(self.cooled + COOL_EVERY) };
        let again = if self.unheard.is_empty() && self.flushes.is_empty() { None } else { Some(Instant::now() + AGAIN) };
        let next = dirty.into_iter().chain(self.facts_due).chain(cool).chain(again).min();
        next.map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(Instant::now()))
    }

    fn housekeeping(&mut self) {
        let now = Instant::now();
        self.unheard.retain(|(mailbox, generation, done)| !mailbox.saved(*generation, *done));
        self.save_due(Some(now));
        for flush in std::mem::take(&mut self.flushes) {
            self.flush(flush);
        }
        if self.facts_due.is_some_and(|due| due <= now) {
            self.write_facts();
        }
        if now.duration_since(self.cooled) >= COOL_EVERY {
            self.cooled = now;
            self.warm.retain(|mailbox| mailbox.upgrade().is_some_and(|mailbox| !mailbox.cool(now)));
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
            Job::Dirty(mailbox, delay) => {
                let pause = mailbox.upgrade().map_or(Duration::ZERO, |mailbox| mailbox.pause());
                self.dirty.push((Instant::now() + delay.max(pause), mailbox));
            }
            Job::Flush { db, mailboxes, close, reply } => self.flush(Flush { db, mailboxes, saved: true, close, reply }),
            Job::Stop { .. } => {}
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
            if self.save(&mailbox).is_none() {
                self.dirty.push((Instant::now() + AGAIN, Arc::downgrade(&mailbox)));
            }
        }
    }

    /// Whether all of it is kept; `None` if the mailbox is busy.
    fn save(&mut self, mailbox: &Arc<Mailbox>) -> Option<bool> {
        let begun = Instant::now();
        let save = match mailbox.take_save() {
            Taken::Busy => return None,
            Taken::Nothing => return Some(true),
            Taken::Save(save) => save,
        };
        let path = mailbox.env.store.path();
        let done = self.with(&path, |db, runtime| db.save(runtime, &save)).is_some();
        mailbox.took(begun.elapsed());
        if !mailbox.saved(save.generation, done) {
            self.unheard.push((Arc::clone(mailbox), save.generation, done));
        }
        if !self.warm.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(mailbox))) {
            self.warm.push(Arc::downgrade(mailbox));
        }
        Some(done)
    }

    /// Saves the mailboxes; those that are busy, once more in a moment.
    fn flush(&mut self, mut flush: Flush) {
        let mut busy = Vec::new();
        for mailbox in std::mem::take(&mut flush.mailboxes) {
            match self.save(&mailbox) {
                Some(done) => flush.saved &= done,
                None => busy.push(mailbox),
            }
        }
        self.write_facts();
        if !busy.is_empty() {
            flush.mailboxes = busy;
            self.flushes.push(flush);
            return;
        }
        if flush.close {
            flush.saved &= self.with(&flush.db, |db, runtime| db.checkpoint(runtime)).is_some();
            if let Some(mut db) = self.files.remove(&flush.db) {
                db.close(&self.runtime);
            }
        }
        // Whoever asked and went away does not want the answer.
        let _ = flush.reply.send(flush.saved);
    }
}
