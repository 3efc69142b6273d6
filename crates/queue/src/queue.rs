//! The queue as its users see it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{Body, EntryId, Journal, Recovered, Writer};
use mail::{Envelope, MessageId, Recipient};
use system::{Clock, Disk};

use crate::error::{Error, Result};
use crate::state::{Message, Place, Progress, State};
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

/// A message that is coming in. Dropped before it is accepted, nothing of it remains.
#[derive(Debug)]
pub struct Incoming {
    queue: Queue,
    writer: Writer,
}

/// One recipient of a message, for a worker to deliver. A job that is dropped without an end is ready again.
#[derive(Debug)]
pub struct Job {
    queue: Queue,
    envelope: Arc<Envelope>,
    number: u32,
    place: Place,
    /// How often it was tried before.
    pub tries: u32,
    /// It may have been delivered before a crash: the worker has to look before doing it again.
    pub doubtful: bool,
    ended: bool,
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
        spooled.into_iter().for_each(|message| state.insert(message));
        for entry in recovered {
            match envelope::decode(&entry.header) {
                None => remarks.push(format!("entry {} of the journal has a damaged envelope and was left alone", entry.id.number())),
                // Its file was written, but its entry not released before the crash.
                Some((envelope, _)) if state.messages.contains_key(&envelope.id) => journal.release(entry.id),
                Some((envelope, _)) => recover(&mut state, journal, envelope, &entry),
            }
        }
        let (journal, folder, settings) = (journal.clone(), folder.to_owned(), settings.clone());
        let inner = Inner { journal, disk, clock, folder, settings, state: Mutex::new(state), due: Condvar::new() };
        Ok((Self { inner: Arc::new(inner) }, remarks))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(Incoming { queue: self.clone(), writer: self.inner.journal.begin() })
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
            if let Some((id, number)) = state.next(now) {
                return self.job(&state, id, number);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            // A timer may be due before the patience ends; a clock that was set is noticed at the next round.
            let timer = state.timers.first().map_or(left, |(until, ..)| Duration::from_micros(until.saturating_sub(now)));
            state = self.inner.due.wait_timeout(state, left.min(timer)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn job(&self, state: &State, id: MessageId, number: u32) -> Option<Job> {
        let message = state.messages.get(&id)?;
        let tries = message.tries.get(number as usize).copied()?;
        let (envelope, place, doubtful) = (message.envelope.clone(), message.place.clone(), message.doubtful);
        Some(Job { queue: self.clone(), envelope, number, place, tries, doubtful, ended: false })
    }

    fn admit(&self, message: Message) {
        let recipients = message.progress.len();
        self.lock().insert(message);
        if recipients == 1 { self.inner.due.notify_one() } else { self.inner.due.notify_all() }
    }

    /// No more jobs are handed out; those that wait for one stop waiting.
    pub fn close(&self) {
        self.lock().closed = true;
        self.inner.due.notify_all();
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

    /// All messages, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        let state = self.lock();
        let summary = |m: &Message| Summary { envelope: m.envelope.clone(), progress: m.progress.clone(), tries: m.tries.clone() };
        let mut all: Vec<_> = state.messages.values().map(summary).collect();
        all.sort_by_key(|summary| summary.envelope.id);
        all
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

    fn change(&self, id: MessageId, which: impl Fn(&Progress) -> bool, to: &Progress) -> Result<()> {
        let mut state = self.lock();
        let message = state.messages.get(&id).ok_or(Error::Missing(id))?;
        let numbers: Vec<u32> = (0..).zip(&message.progress).filter(|(_, p)| which(p)).map(|(number, _)| number).collect();
        numbers.into_iter().for_each(|number| state.set(id, number, to.clone()));
        self.keep(&mut state, id)?;
        self.inner.due.notify_all();
        Ok(())
    }

    /// Forgets a message. A recipient that a worker has at this moment may still get it.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Spool`].
    pub fn delete(&self, id: MessageId) -> Result<()> {
        let message = self.lock().messages.remove(&id).ok_or(Error::Missing(id))?;
        self.discard(&message)
    }

    /// Frees the place of a message that has left the queue.
    fn discard(&self, message: &Message) -> Result<()> {
        match &message.place {
            Place::Journal(entry, _) => self.inner.journal.release(*entry),
            Place::Spool(_) => {
                let path = spool::path(&self.inner.folder, message.envelope.id);
                let wrong = |error: std::io::Error| Error::Spool { path: path.display().to_string(), reason: error.to_string() };
                self.inner.disk.remove(&path).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Writes a message that stays to a file of its own, with its progress, and frees its room in the journal.
    fn keep(&self, state: &mut State, id: MessageId) -> Result<()> {
        let Some(message) = state.messages.get_mut(&id) else { return Ok(()) };
        let start = spool::write(&*self.inner.disk, &self.inner.folder, message)?;
        if let Place::Journal(entry, _) = std::mem::replace(&mut message.place, Place::Spool(start)) {
            self.inner.journal.release(entry);
        }
        Ok(())
    }
}

/// Takes an entry of the journal over. Recipients with a note have their message; with a doubt, they may have it.
fn recover(state: &mut State, journal: &Journal, envelope: Envelope, entry: &Recovered) {
    let mut message = Message::new(envelope, Place::Journal(entry.id, entry.body.clone()));
    message.doubtful = true;
    for number in entry.notes.iter().filter_map(|note| note.as_slice().try_into().ok().map(u32::from_le_bytes)) {
        if let Some(progress) = message.progress.get_mut(number as usize) {
            *progress = Progress::Done;
        }
    }
    if message.is_done() { journal.release(entry.id) } else { state.insert(message) }
}

impl Incoming {
    /// More of the content.
    ///
    /// # Errors
    /// [`Error::Journal`]; the message cannot be accepted any more.
    pub async fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.writer.write(octets)?.await?)
    }

    /// Waits until the message is on disk; from then on it is the queue's.
    ///
    /// # Errors
    /// [`Error::Journal`]: it was not accepted.
    pub async fn accept(self, envelope: Envelope) -> Result<()> {
        let Self { queue, writer } = self;
        let (entry, durable) = writer.commit(Queue::ENTRY, &envelope::encode(&envelope));
        durable.await?;
        queue.admit_entry(entry, envelope)
    }
}

impl Queue {
    fn admit_entry(&self, entry: EntryId, envelope: Envelope) -> Result<()> {
        let body: Body = self.inner.journal.body(entry)?;
        self.admit(Message::new(envelope, Place::Journal(entry, body)));
        Ok(())
    }
}

impl Job {
    /// The message's envelope.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The recipient.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        &self.envelope.recipients[self.number as usize]
    }

    /// The recipient's number in the envelope, from 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The message's content.
    ///
    /// # Errors
    /// [`Error::Journal`], [`Error::Spool`].
    pub fn content(&self) -> Result<Bytes> {
        match &self.place {
            Place::Journal(_, body) => Ok(body.whole(usize::MAX)?),
            Place::Spool(start) => {
                let inner = &self.queue.inner;
                Ok(spool::content(&*inner.disk, &inner.folder, self.envelope.id, *start)?.into())
            }
        }
    }

    /// The recipient has its message.
    ///
    /// # Errors
    /// [`Error::Spool`] if that could not be written down; it is known until the next start.
    pub fn delivered(mut self) -> Result<()> {
        self.ended = true;
        let (queue, id, number) = (self.queue.clone(), self.envelope.id, self.number);
        let mut state = queue.lock();
        state.set(id, number, Progress::Done);
        let Some(message) = state.messages.get(&id) else { return Ok(()) };
        if message.is_done() {
            let message = state.messages.remove(&id);
            drop(state);
            return message.map_or(Ok(()), |message| queue.discard(&message));
        }
        match &message.place {
            Place::Journal(entry, _) => drop(queue.inner.journal.mark(*entry, &number.to_le_bytes())),
            Place::Spool(_) => queue.keep(&mut state, id)?,
        }
        Ok(())
    }

    /// The recipient could not get its message now. It is tried again later, each time after a longer pause; when the message
    /// is older than the lifetime, it is held.
    ///
    /// # Errors
    /// [`Error::Spool`] if that could not be written down; it is known until the next start.
    pub fn deferred(self, reason: &str) -> Result<()> {
        let settings = &self.queue.inner.settings;
        let now = self.queue.inner.clock.micros();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.envelope.id.micros()) > micros(settings.lifetime) {
            return self.failed(&format!("given up after many tries: {reason}"));
        }
        let pause = settings.retry_first.saturating_mul(1 << self.tries.min(16)).min(settings.retry_longest);
        self.end(Progress::Deferred { until: now.saturating_add(micros(pause)), reason: reason.to_owned() })
    }

    /// The recipient can never get its message. It is held for the admin.
    ///
    /// # Errors
    /// [`Error::Spool`] if that could not be written down; it is known until the next start.
    pub fn failed(self, reason: &str) -> Result<()> {
        self.end(Progress::Held { reason: reason.to_owned() })
    }

    fn end(mut self, progress: Progress) -> Result<()> {
        self.ended = true;
        let mut state = self.queue.lock();
        if let Some(tries) = state.messages.get_mut(&self.envelope.id).and_then(|m| m.tries.get_mut(self.number as usize)) {
            *tries = tries.saturating_add(1);
        }
        state.set(self.envelope.id, self.number, progress);
        self.queue.keep(&mut state, self.envelope.id)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.ended {
            self.queue.lock().set(self.envelope.id, self.number, Progress::Ready);
            self.queue.inner.due.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::envelope;
    use system::{FixedClock, HostDisk};

    const HOUR: u64 = 3_600_000_000;

    struct Place {
        folder: tempfile::TempDir,
        clock: Arc<FixedClock>,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(FixedClock::at(1_000)) };
            std::fs::create_dir(place.folder.path().join("journal")).unwrap();
            std::fs::create_dir(place.folder.path().join("queue")).unwrap();
            place
        }

        fn open(&self) -> (Journal, Queue) {
            let path = self.folder.path();
            let disk: Arc<dyn Disk> = Arc::new(HostDisk);
            let (journal, recovered, _) =
                Journal::open(&path.join("journal"), disk.clone(), &config::Journal::default(), Arc::new(|| Ok(()))).unwrap();
            let (queue, remarks) =
                Queue::open(&journal, (disk, self.clock.clone()), &path.join("queue"), &config::Queue::default(), recovered).unwrap();
            assert!(remarks.is_empty(), "{remarks:?}");
            (journal, queue)
        }
    }

    /// Runs a future that only waits for the journal's threads.
    fn wait<T>(future: impl Future<Output = T>) -> T {
        struct Thread(std::thread::Thread);
        impl std::task::Wake for Thread {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Thread(std::thread::current())).into();
        let mut context = std::task::Context::from_waker(&waker);
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut context) {
                std::task::Poll::Ready(value) => return value,
                std::task::Poll::Pending => std::thread::park(),
            }
        }
    }

    fn accept(queue: &Queue, id: u64, recipients: &[&str]) {
        let mut incoming = queue.begin().unwrap();
        wait(incoming.write(b"Subject: x\n\n")).unwrap();
        wait(incoming.write(b"text\n")).unwrap();
        wait(incoming.accept(envelope(id, recipients))).unwrap();
    }

    fn take(queue: &Queue) -> Option<Job> {
        queue.take(Duration::ZERO)
    }

    #[test]
    fn a_message_is_handed_out_once_for_each_recipient_and_leaves() {
        let place = Place::new();
        let (journal, queue) = place.open();
        accept(&queue, 1, &["joe@b.example", "ann@b.example"]);
        let (one, two) = (take(&queue).unwrap(), take(&queue).unwrap());
        assert!(take(&queue).is_none());
        assert_eq!(&one.content().unwrap()[..], b"Subject: x\n\ntext\n");
        assert_eq!((one.recipient().address.local(), two.recipient().address.local()), ("joe", "ann"));
        one.delivered().unwrap();
        drop(two);
        let two = take(&queue).expect("a job that was dropped is ready again");
        two.delivered().unwrap();
        assert_eq!(queue.count(), 0);
        assert_eq!(journal.status().entries, 0);
    }

    #[test]
    fn after_a_restart_only_what_is_not_done_is_handed_out() {
        let place = Place::new();
        let (journal, queue) = place.open();
        accept(&queue, 1, &["joe@b.example", "ann@b.example"]);
        take(&queue).unwrap().delivered().unwrap();
        drop(take(&queue).unwrap());
        drop(queue);
        journal.close();
        let (_journal, queue) = place.open();
        let job = take(&queue).unwrap();
        assert_eq!(job.recipient().address.local(), "ann");
        assert!(job.doubtful);
        job.delivered().unwrap();
        assert!(take(&queue).is_none());
    }

    #[test]
    fn what_is_put_off_moves_to_a_file_and_comes_back_in_time() {
        let place = Place::new();
        let (journal, queue) = place.open();
        accept(&queue, 1, &["joe@b.example"]);
        take(&queue).unwrap().deferred("the disk is full").unwrap();
        assert_eq!(journal.status().entries, 0, "the journal's room is free");
        drop(queue);
        journal.close();
        let (_journal, queue) = place.open();
        assert!(take(&queue).is_none());
        place.clock.set(HOUR);
        let job = take(&queue).unwrap();
        assert_eq!((job.tries, &job.content().unwrap()[..]), (1, &b"Subject: x\n\ntext\n"[..]));
        place.clock.set(24 * 10 * HOUR);
        job.deferred("still full").unwrap();
        assert!(matches!(&queue.list()[0].progress[0], Progress::Held { reason } if reason.contains("still full")));
        queue.retry(MessageId::from_number(1)).unwrap();
        take(&queue).unwrap().delivered().unwrap();
        assert_eq!(std::fs::read_dir(place.folder.path().join("queue")).unwrap().count(), 0);
    }

    #[test]
    fn the_admin_holds_releases_and_deletes() {
        let place = Place::new();
        let (_journal, queue) = place.open();
        let id = MessageId::from_number(1);
        accept(&queue, 1, &["joe@b.example"]);
        queue.hold(id).unwrap();
        assert!(take(&queue).is_none());
        queue.retry(id).unwrap();
        assert!(take(&queue).is_some());
        queue.delete(id).unwrap();
        assert!(take(&queue).is_none());
        assert!(matches!(queue.delete(id), Err(Error::Missing(_))));
    }

    #[test]
    fn a_damaged_file_is_named_and_left() {
        let place = Place::new();
        let path = place.folder.path().join("queue/0000000000001.msg");
        std::fs::write(&path, b"PBQUEUE1\xff\xff\xff\xff").unwrap();
        let (messages, damaged) = spool::read_all(&HostDisk, path.parent().unwrap()).unwrap();
        assert!(messages.is_empty());
        assert_eq!(damaged, std::slice::from_ref(&path));
        assert!(path.exists());
    }
}
