//! The queue as its users see it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use journal::{Durable, EntryId, Journal, Recovered};
use mail::{Envelope, MessageId};
use system::{Clock, Disk};

use crate::error::{Error, Result};
use crate::incoming::Incoming;
use crate::job::{Job, micros};
use crate::state::{Message, Place, Progress, State, Way};
use crate::{envelope, spool};

/// Mail on its way. Clones are cheap and stand for the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    settings: config::Queue,
    state: Mutex<State>,
    due: Condvar,
}

/// One message of a listing.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// The progress of each recipient, in the order of the envelope.
    pub progress: Vec<Progress>,
    /// How often each was tried.
    pub tries: Vec<u32>,
}

/// What is to be done beside handing out jobs.
#[derive(Debug, Default)]
struct Chores {
    /// Messages that reached the disk after their senders had gone.
    arrived: Vec<(EntryId, Envelope)>,
    /// Messages whose files are of no use any more.
    left: Vec<MessageId>,
    /// Messages to be written to files.
    write: Vec<MessageId>,
}

impl Queue {
    /// The kind of the journal entries that are the queue's.
    pub const ENTRY: u8 = 1;

    /// Opens the queue: reads its folder, and takes over the journal's entries of its kind. Gives the files and entries that
    /// are damaged and were left alone, in words.
    ///
    /// # Errors
    /// [`Error::Spool`] if the folder cannot be read.
    pub fn open(
        journal: &Journal,
        (disk, clock): (Arc<dyn Disk>, Arc<dyn Clock>),
        folder: &Path,
        settings: &config::Queue,
        recovered: Vec<Recovered>,
    ) -> Result<(Self, Vec<String>)> {
        let wrong = |error: std::io::Error| Error::Spool { path: folder.display().to_string(), reason: error.to_string() };
        let (spooled, damaged) = spool::read_all(&*disk, folder).map_err(wrong)?;
        let mut remarks: Vec<_> = damaged.iter().map(|path| format!("{} is damaged and was left alone", path.display())).collect();
        let mut state = State::default();
        let now = clock.micros();
        spooled.into_iter().for_each(|message| state.insert(message, now));
        for entry in recovered {
            match envelope::decode(&entry.header) {
                None => remarks.push(format!("entry {} of the journal has a damaged envelope and was left alone", entry.id.number())),
                // Its file was written, but its entry not released before the crash.
                Some((envelope, _)) => match state.messages.get_mut(&envelope.id) {
                    None => recover(&mut state, journal, envelope, &entry, now),
                    Some(message) => {
                        recall(message, &entry);
                        journal.release(entry.id);
                    }
                },
            }
        }
        let (journal, folder, settings) = (journal.clone(), folder.to_owned(), settings.clone());
        let inner = Inner { journal, disk, clock, folder, settings, state: Mutex::new(state), due: Condvar::new() };
        Ok((Self { inner: Arc::new(inner) }, remarks))
    }

    /// Opens a message that comes in.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn begin(&self) -> Result<Incoming> {
        let most = self.inner.settings.max_messages;
        if self.lock().messages.len() >= most {
            return Err(Error::Full(most));
        }
        Ok(Incoming::new(self.clone(), self.inner.journal.begin()))
    }

    /// Waits at most `patience` for a recipient that is due; `None` when there is none, or the queue was closed.
    #[must_use]
    pub fn take(&self, patience: Duration) -> Option<Job> {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = self.inner.clock.micros();
            let chores = state.chores(now.saturating_sub(micros(self.inner.settings.spool_after)));
            if !chores.is_empty() {
                drop(state);
                self.work_off(chores);
                state = self.lock();
                continue;
            }
            if let Some((id, number)) = state.next(now) {
                return self.job(&mut state, id, number);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            // A timer may be due before the patience ends; a clock that was set is noticed at the next round.
            let timer = state.timers.first().map_or(left, |(until, ..)| Duration::from_micros(until.saturating_sub(now)));
            state.sleepers += 1;
            state = self.inner.due.wait_timeout(state, left.min(timer)).unwrap_or_else(PoisonError::into_inner).0;
            state.sleepers -= 1;
        }
    }

    fn job(&self, state: &mut State, id: MessageId, number: u32) -> Option<Job> {
        let message = state.messages.get_mut(&id)?;
        let job = Job::new(self.clone(), message, number);
        message.begun.insert(number);
        Some(job)
    }

    /// Takes every recipient that a worker noted something about before the start. They come before all others: what others
    /// get must not be what these were told.
    #[must_use]
    pub fn take_told(&self) -> Vec<Job> {
        let mut state = self.lock();
        let told = |(id, number): &Way| state.messages.get(id).is_some_and(|message| message.told.iter().any(|(of, _)| of == number));
        let ways: Vec<Way> = state.ready.iter().copied().filter(told).collect();
        let ready = |(id, number): Way| {
            if state.progress(id, number) != Some(&Progress::Ready) {
                return None;
            }
            state.set(id, number, Progress::Delivering);
            self.job(&mut state, id, number)
        };
        ways.into_iter().filter_map(ready).collect()
    }

    /// No more jobs are handed out; those that wait for one stop waiting. Files of messages that have just left are removed,
    /// which may have to wait for a checkpoint of the journal.
    pub fn close(&self) {
        let chores = |state: &State| !(state.leaving.is_empty() && state.unsure.is_empty());
        let wait = {
            let mut state = self.lock();
            state.closed = true;
            self.inner.due.notify_all();
            chores(&state)
        };
        if wait && self.inner.journal.covered().wait().is_ok() {
            let chores = self.lock().chores(0);
            self.work_off(chores);
        }
    }

    /// How many messages are on their way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().messages.len()
    }

    /// How many recipients wait for a worker or are with one.
    #[must_use]
    pub fn busy(&self) -> usize {
        let state = self.lock();
        let busy = |progress: &&Progress| matches!(progress, Progress::Ready | Progress::Delivering);
        state.messages.values().map(|message| message.progress.iter().filter(busy).count()).sum()
    }

    /// Whether there are messages from before the start: what was delivered of them may be lost.
    #[must_use]
    pub fn has_doubts(&self) -> bool {
        self.lock().messages.values().any(|message| message.doubtful)
    }

    /// All messages, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        let mut all: Vec<_> = self.lock().messages.values().map(summary).collect();
        all.sort_by_key(|summary| summary.envelope.id);
        all
    }

    /// One message.
    #[must_use]
    pub fn show(&self, id: MessageId) -> Option<Summary> {
        self.lock().messages.get(&id).map(summary)
    }

    /// Has every recipient that is put off or held tried at once.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Spool`].
    pub fn retry(&self, id: MessageId) -> Result<()> {
        let waits = |progress: &Progress| matches!(progress, Progress::Deferred { .. } | Progress::Held { .. });
        self.change(id, waits, &Progress::Ready)
    }

    /// Puts every recipient that is not done off until it is released.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Spool`].
    pub fn hold(&self, id: MessageId) -> Result<()> {
        let waits = |progress: &Progress| matches!(progress, Progress::Ready | Progress::Deferred { .. });
        self.change(id, waits, &Progress::Held { reason: "held by the admin".to_owned() })
    }

    /// Has every recipient that is held tried at once.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Spool`].
    pub fn release(&self, id: MessageId) -> Result<()> {
        self.change(id, |progress| matches!(progress, Progress::Held { .. }), &Progress::Ready)
    }

    fn change(&self, id: MessageId, which: impl Fn(&Progress) -> bool, to: &Progress) -> Result<()> {
        {
            let mut state = self.lock();
            let message = state.messages.get(&id).ok_or(Error::Missing(id))?;
            let numbers: Vec<u32> = (0..).zip(&message.progress).filter(|(_, p)| which(p)).map(|(number, _)| number).collect();
            numbers.into_iter().for_each(|number| state.set(id, number, to.clone()));
        }
        self.inner.due.notify_all();
        self.keep(id)
    }

    /// Forgets a message. A recipient that a worker has at this moment may still get it.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn delete(&self, id: MessageId) -> Result<()> {
        let mut state = self.lock();
        let message = state.messages.remove(&id).ok_or(Error::Missing(id))?;
        self.discard(&mut state, &message);
        Ok(())
    }
}

/// For the other halves of the queue: messages that come in, and jobs.
impl Queue {
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.inner.disk
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.inner.folder
    }

    pub(crate) fn settings(&self) -> &config::Queue {
        &self.inner.settings
    }

    pub(crate) fn now(&self) -> u64 {
        self.inner.clock.micros()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message is on disk.
    pub(crate) fn admit(&self, entry: EntryId, envelope: Envelope) -> Result<()> {
        let body = self.inner.journal.body(entry)?;
        let message = Message::new(envelope, Place::Journal(entry, body));
        let recipients = message.progress.len();
        let mut state = self.lock();
        state.insert(message, self.inner.clock.micros());
        // Waking is a call to the kernel, and a busy queue has nobody to wake.
        match (state.sleepers, recipients) {
            (0, _) => {}
            (_, 1) => self.inner.due.notify_one(),
            _ => self.inner.due.notify_all(),
        }
        Ok(())
    }

    /// The sender of a message went away; it may reach the disk all the same.
    pub(crate) fn expect(&self, waiting: (EntryId, Envelope, Durable)) {
        self.lock().arriving.push(waiting);
    }

    /// A worker's note about a recipient; nobody waits for it.
    pub(crate) fn note(&self, entry: Option<EntryId>, (id, number): Way, note: &[u8]) {
        if let Some(entry) = entry {
            drop(self.inner.journal.mark(entry, &[&number.to_le_bytes(), note].concat()));
        }
        if let Some(message) = self.lock().messages.get_mut(&id) {
            message.note(number, note);
        }
    }

    /// A recipient has its message.
    pub(crate) fn done(&self, id: MessageId, number: u32) {
        let journal = &self.inner.journal;
        let mut state = self.lock();
        state.set(id, number, Progress::Done);
        let Some(message) = state.messages.get_mut(&id) else { return };
        if message.is_done() {
            if let Some(message) = state.messages.remove(&id) {
                self.discard(&mut state, &message);
            }
            return;
        }
        message.doubt(number, journal.covered());
        if let Place::Journal(entry, _) = &message.place {
            drop(journal.mark(*entry, &number.to_le_bytes()));
        }
        self.free_former(message);
        state.watch(id);
    }

    /// A recipient was tried in vain.
    pub(crate) fn tried(&self, id: MessageId, number: u32, progress: Progress) -> Result<()> {
        {
            let mut state = self.lock();
            if let Some(tries) = state.messages.get_mut(&id).and_then(|message| message.tries.get_mut(number as usize)) {
                *tries = tries.saturating_add(1);
            }
            state.set(id, number, progress);
            if let Some(message) = state.messages.get_mut(&id) {
                self.free_former(message);
            }
        }
        self.keep(id)
    }

    /// A worker did not come to an end.
    pub(crate) fn give_back(&self, id: MessageId, number: u32) {
        let mut state = self.lock();
        state.set(id, number, Progress::Ready);
        if let Some(message) = state.messages.get_mut(&id) {
            self.free_former(message);
        }
        self.inner.due.notify_one();
    }

    /// Releases the entry of a message that is in a file now, when no worker may read from it.
    fn free_former(&self, message: &mut Message) {
        if !message.is_with_a_worker()
            && let Some(entry) = message.former.take()
        {
            self.inner.journal.release(entry);
        }
    }

    /// Frees the place of a message that has left the queue.
    fn discard(&self, state: &mut State, message: &Message) {
        message.former.into_iter().for_each(|entry| self.inner.journal.release(entry));
        match &message.place {
            Place::Journal(entry, _) => self.inner.journal.release(*entry),
            Place::Spool(_) => state.leaving.push((message.envelope.id, self.inner.journal.covered())),
        }
    }

    /// Writes a message that stays, and its progress, to its files, and frees its room in the journal. The lock is not held
    /// meanwhile; one thread at a time writes a message, and looks again at what changed while it did.
    fn keep(&self, id: MessageId) -> Result<()> {
        loop {
            let snapshot = {
                let mut state = self.lock();
                let Some(message) = state.messages.get_mut(&id) else { return Ok(()) };
                if message.writing {
                    message.stale = true;
                    return Ok(());
                }
                (message.writing, message.stale) = (true, false);
                message.snapshot()
            };
            let written = spool::write(self.disk(), self.folder(), &snapshot);
            let mut state = self.lock();
            let Some(message) = state.messages.get_mut(&id) else {
                // It left the queue meanwhile.
                state.leaving.push((id, self.inner.journal.covered()));
                return Ok(());
            };
            message.writing = false;
            if let Place::Journal(entry, _) = std::mem::replace(&mut message.place, written?) {
                message.former = Some(entry);
                self.free_former(message);
            }
            let stale = message.stale;
            state.watch(id);
            if !stale {
                return Ok(());
            }
        }
    }

    fn work_off(&self, chores: Chores) {
        for (entry, envelope) in chores.arrived {
            let id = envelope.id;
            if let Err(error) = self.admit(entry, envelope) {
                tracing::error!(%id, %error, "a message is on disk and cannot be read; it is tried again after a restart");
            }
        }
        if !chores.left.is_empty()
            && let Err(error) = spool::remove(self.disk(), self.folder(), &chores.left)
        {
            tracing::warn!(%error, "files of messages that were delivered cannot be removed; a restart delivers them again, with doubts");
        }
        for id in chores.write {
            if let Err(error) = self.keep(id) {
                tracing::warn!(%id, %error, "a message that stays cannot be written to a file");
                self.lock().journaled.push_back((self.now(), id));
            }
        }
    }
}

impl Chores {
    fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.left.is_empty() && self.write.is_empty()
    }
}

impl State {
    /// What is to be done now; messages that came before `since` move out of the journal.
    fn chores(&mut self, since: u64) -> Chores {
        let mut chores = Chores { write: self.next_to_spool(since).into_iter().collect(), ..Chores::default() };
        let arriving = std::mem::take(&mut self.arriving);
        for (entry, envelope, durable) in arriving {
            match durable.outcome() {
                None => self.arriving.push((entry, envelope, durable)),
                Some(Ok(())) => chores.arrived.push((entry, envelope)),
                // It was refused, and nobody is left to be told.
                Some(Err(_)) => {}
            }
        }
        self.leaving.retain(|(id, covered)| {
            let sure = matches!(covered.outcome(), Some(Ok(())));
            chores.left.extend(sure.then_some(*id));
            !sure
        });
        let Self { unsure, messages, .. } = self;
        unsure.retain(|id| {
            let Some(message) = messages.get_mut(id) else { return false };
            let changed = message.resolve();
            chores.write.extend((changed && matches!(message.place, Place::Spool(_))).then_some(*id));
            message.has_doubts()
        });
        chores
    }

    /// Has a message looked at when what its recipients got is on disk.
    fn watch(&mut self, id: MessageId) {
        if self.messages.get(&id).is_some_and(Message::has_doubts) && !self.unsure.contains(&id) {
            self.unsure.push(id);
        }
    }
}

fn summary(message: &Message) -> Summary {
    Summary { envelope: message.envelope.clone(), progress: message.progress.clone(), tries: message.tries.clone() }
}

/// Takes an entry of the journal over. Recipients with a note have their message, though after a restart of this process alone
/// it need not be on disk; with a doubt, they may have it.
fn recover(state: &mut State, journal: &Journal, envelope: Envelope, entry: &Recovered, now: u64) {
    let mut message = Message::new(envelope, Place::Journal(entry.id, entry.body.clone()));
    message.doubtful = true;
    for number in entry.notes.iter().filter_map(|note| note.as_slice().try_into().ok().map(u32::from_le_bytes)) {
        if let Some(progress) = message.progress.get_mut(number as usize) {
            *progress = Progress::Done;
            message.doubt(number, journal.covered());
        }
    }
    recall(&mut message, entry);
    if message.is_done() {
        journal.release(entry.id);
        return;
    }
    let id = message.envelope.id;
    state.insert(message, now);
    state.watch(id);
}

/// Takes over what workers noted in the journal: what is longer than the recipient's number alone.
fn recall(message: &mut Message, entry: &Recovered) {
    for note in entry.notes.iter().chain(&entry.doubts) {
        if let Some((number, told)) = note.split_first_chunk().filter(|(_, told)| !told.is_empty()) {
            message.told.push((u32::from_le_bytes(*number), told.to_vec()));
        }
    }
}
