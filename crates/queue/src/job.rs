//! One recipient of a message with a worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::Body;
use mail::{Envelope, MessageId, Recipient};
use system::File;

use crate::error::{Error, Result};
use crate::queue::Queue;
use crate::spool;
use crate::state::{Message, Place, Progress};

/// One recipient of a message, for a worker to deliver. A job that is dropped without an end is ready again.
#[derive(Debug)]
pub struct Job {
    queue: Queue,
    envelope: Arc<Envelope>,
    number: u32,
    place: Place,
    /// How often it was tried before.
    pub tries: u32,
    /// It may have been delivered before a crash, or a worker had it before and may have placed a part of what the rules want:
    /// the worker has to look before doing it again.
    pub doubtful: bool,
    /// What [`Job::note`] was given before the last start, as far as the journal has it.
    pub told: Vec<Vec<u8>>,
    /// What [`Job::note`] was given since: none of that is lost.
    pub noted: Vec<Vec<u8>>,
    ended: bool,
}

/// The content of a message, to be read by ranges.
#[derive(Debug)]
pub struct Content(Source);

#[derive(Debug)]
enum Source {
    Journal(Body),
    Spool { file: Box<dyn File>, id: MessageId, start: u64, length: u64 },
}

impl Job {
    /// A job for a recipient of the message.
    pub(crate) fn new(queue: Queue, message: &Message, number: u32) -> Self {
        let tries = message.tries.get(number as usize).copied().unwrap_or(0);
        let of_it = |notes: &[(u32, Vec<u8>)]| notes.iter().filter(|(of, _)| *of == number).map(|(_, note)| note.clone()).collect();
        let (told, noted) = (of_it(&message.told), of_it(&message.noted));
        let doubtful = message.doubtful || message.begun.contains(&number);
        let (envelope, place) = (message.envelope.clone(), message.place.clone());
        Self { queue, envelope, number, place, tries, doubtful, told, noted, ended: false }
    }

    /// Notes what somebody may be told from now on, such as the UID that the message got: the next worker has it in
    /// [`Job::noted`], and after a new start in [`Job::told`]. The journal keeps it over a power cut; a message that is in a file of its own has its notes in memory.
    pub fn note(&self, note: &[u8]) {
        let entry = match &self.place {
            Place::Journal(entry, _) => Some(*entry),
            Place::Spool(_) => None,
        };
        self.queue.note(entry, (self.envelope.id, self.number), note);
    }

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

    /// The message's content in one piece. What came a moment ago is in memory and is not copied.
    ///
    /// # Errors
    /// [`Error::Journal`], [`Error::Spool`].
    pub fn content(&self) -> Result<Bytes> {
        self.open()?.whole()
    }

    /// The message's content, to be read by ranges.
    ///
    /// # Errors
    /// [`Error::Spool`] if its file cannot be opened.
    pub fn open(&self) -> Result<Content> {
        let source = match &self.place {
            Place::Journal(_, body) => Source::Journal(body.clone()),
            Place::Spool(start) => {
                let id = self.envelope.id;
                let file = spool::open(self.queue.disk(), self.queue.folder(), id)?;
                let size = file.size().map_err(|error| unreadable(id, &error))?;
                Source::Spool { file, id, start: *start, length: size.saturating_sub(*start) }
            }
        };
        Ok(Content(source))
    }

    /// The recipient has its message, though what was written need not be on disk yet.
    ///
    /// # Errors
    /// [`Error::Spool`] if that could not be written down; it is known until the next start.
    pub fn delivered(mut self) -> Result<()> {
        self.ended = true;
        self.queue.done(self.envelope.id, self.number);
        Ok(())
    }

    /// The recipient could not get its message now. It is tried again later, each time after a longer pause; when the message
    /// is older than the lifetime, it is held.
    ///
    /// # Errors
    /// [`Error::Spool`] if that could not be written down; it is known until the next start.
    pub fn deferred(self, reason: &str) -> Result<()> {
        let settings = self.queue.settings();
        let now = self.queue.now();
        if now.saturating_sub(self.envelope.id.micros()) > micros(settings.lifetime) {
            return self.failed(&format!("given up after many tries: {reason}"));
        }
        let until = now.saturating_add(micros(pause(settings, self.tries)));
        self.end(Progress::Deferred { until, reason: reason.to_owned() })
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
        self.queue.tried(self.envelope.id, self.number, progress)
    }
}

/// The pause after one more try than `tries`.
fn pause(settings: &config::Queue, tries: u32) -> Duration {
    settings.retry_first.saturating_mul(1 << tries.min(16)).min(settings.retry_longest)
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.ended {
            self.queue.give_back(self.envelope.id, self.number);
        }
    }
}

fn unreadable(id: MessageId, error: &std::io::Error) -> Error {
    Error::Spool { path: format!("{id}.msg"), reason: error.to_string() }
}

impl Content {
    /// Length in octets.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Source::Journal(body) => body.len(),
            Source::Spool { length, .. } => *length,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads into `buffer` at `offset`; gives the number of octets, 0 at the end. May give less than there is.
    ///
    /// # Errors
    /// [`Error::Journal`], [`Error::Spool`].
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        match &self.0 {
            Source::Journal(body) => Ok(body.read_at(buffer, offset)?),
            Source::Spool { file, id, start, .. } => {
                file.read_at(buffer, start.saturating_add(offset)).map_err(|error| unreadable(*id, &error))
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// [`Error::Journal`], [`Error::Spool`].
    pub fn whole(&self) -> Result<Bytes> {
        match &self.0 {
            Source::Journal(body) => Ok(body.whole(usize::MAX)?),
            Source::Spool { file, id, start, length } => {
                let mut octets = vec![0; usize::try_from(*length).unwrap_or(usize::MAX)];
                let filled = spool::fill(&**file, &mut octets, *start).map_err(|error| unreadable(*id, &error))?;
                octets.truncate(filled);
                Ok(octets.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = config::Queue { retry_first: Duration::from_secs(10), retry_longest: Duration::from_secs(60), ..Default::default() };
        let pauses: Vec<u64> = [0, 1, 2, 3, 40].into_iter().map(|tries| pause(&settings, tries).as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 60, 60]);
    }
}
