//! The states of a recipient.
//!
//! ```text
//!             take                delivered
//!   Ready ------------> Delivering ------------> Done
//!     ^ ^                |      |
//!     | |  its time comes|      | failed
//!     | +---- Deferred <-+      v
//!     +--------------------- Held            (retry, release)
//! ```
//!
//! A message leaves the queue when all its recipients are done. After a crash, `Delivering` is `Ready` again: whoever delivers
//! does so under a name that the message's id decides, and finds what is there already.
//!
//! `Done` is said when the message was written, not when it is on disk: that is so after the journal's next checkpoint
//! (`Journal::covered`). Until then nothing that could be needed again is lost or written down as sure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use journal::{Body, Durable, EntryId};
use mail::{Envelope, MessageId};

/// How far a recipient is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It waits for a worker.
    Ready,
    /// A worker has it.
    Delivering,
    /// It was tried in vain and is tried again.
    Deferred {
        /// When, in microseconds since 1970.
        until: u64,
        /// What stood in the way.
        reason: String,
    },
    /// It waits for the admin: he put it off, or it cannot be delivered and its sender cannot be told.
    Held {
        /// Why.
        reason: String,
    },
    /// It has its message.
    Done,
}

/// Where a message's content is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In the journal.
    Journal(EntryId, Body),
    /// In a file of the queue's folder; the content begins at this offset.
    Spool(u64),
}

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) place: Place,
    pub(crate) progress: Vec<Progress>,
    pub(crate) tries: Vec<u32>,
    /// It may have been delivered before a crash.
    pub(crate) doubtful: bool,
    /// Recipients that a worker has had since the start.
    pub(crate) begun: BTreeSet<u32>,
    /// What workers noted about recipients before the start, with the recipients' numbers.
    pub(crate) told: Vec<(u32, Vec<u8>)>,
    /// The same, since the start.
    pub(crate) noted: Vec<(u32, Vec<u8>)>,
    /// Recipients that are done, until what they got is on disk.
    unsure: BTreeMap<u32, Durable>,
    /// Its file is being written; what changes meanwhile makes that stale.
    pub(crate) writing: bool,
    pub(crate) stale: bool,
    /// Its file is written, and its entry is released when no worker reads from it any more.
    pub(crate) former: Option<EntryId>,
}

/// What is written to a message's files.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) place: Place,
    pub(crate) progress: Vec<Progress>,
    pub(crate) tries: Vec<u32>,
}

impl Message {
    pub(crate) fn new(envelope: Envelope, place: Place) -> Self {
        let count = envelope.recipients.len();
        Self {
            envelope: Arc::new(envelope),
            place,
            progress: vec![Progress::Ready; count],
            tries: vec![0; count],
            doubtful: false,
            begun: BTreeSet::new(),
            told: Vec::new(),
            noted: Vec::new(),
            unsure: BTreeMap::new(),
            writing: false,
            stale: false,
            former: None,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.progress.iter().all(|progress| *progress == Progress::Done)
    }

    pub(crate) fn is_with_a_worker(&self) -> bool {
        self.progress.contains(&Progress::Delivering)
    }

    /// What a worker notes about a recipient; it is kept once.
    pub(crate) fn note(&mut self, number: u32, note: &[u8]) {
        if !self.noted.iter().any(|(of, text)| (*of, text.as_slice()) == (number, note)) {
            self.noted.push((number, note.to_vec()));
        }
    }

    /// A recipient is done; `covered` resolves when that is sure.
    pub(crate) fn doubt(&mut self, number: u32, covered: Durable) {
        self.unsure.insert(number, covered);
    }

    /// Forgets doubts that are resolved; says whether there were any.
    pub(crate) fn resolve(&mut self) -> bool {
        let before = self.unsure.len();
        self.unsure.retain(|_, covered| !matches!(covered.outcome(), Some(Ok(()))));
        self.unsure.len() < before
    }

    pub(crate) fn has_doubts(&self) -> bool {
        !self.unsure.is_empty()
    }

    /// As it is to be found after a crash: who may not have his message is not done.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.resolve();
        let mut progress = self.progress.clone();
        for number in self.unsure.keys() {
            if let Some(progress) = progress.get_mut(*number as usize) {
                *progress = Progress::Ready;
            }
        }
        Snapshot { envelope: self.envelope.clone(), place: self.place.clone(), progress, tries: self.tries.clone() }
    }
}

/// A recipient of a message, by its number in the envelope.
pub(crate) type Way = (MessageId, u32);

/// All messages, and who is next.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) messages: HashMap<MessageId, Message>,
    pub(crate) ready: VecDeque<Way>,
    /// Those that are put off, soonest first.
    pub(crate) timers: BTreeSet<(u64, MessageId, u32)>,
    /// Messages that came and may still be in the journal, with the time, oldest first.
    pub(crate) journaled: VecDeque<(u64, MessageId)>,
    /// Messages whose sender went away before the journal had said that they are on disk.
    pub(crate) arriving: Vec<(EntryId, Envelope, Durable)>,
    /// Files of messages that left, until what was delivered is on disk.
    pub(crate) leaving: Vec<(MessageId, Durable)>,
    /// Messages in files with recipients that are done and not yet sure.
    pub(crate) unsure: Vec<MessageId>,
    pub(crate) closed: bool,
    /// Workers that wait for something to be due.
    pub(crate) sleepers: usize,
}

impl State {
    /// Puts a message in, with every recipient where its progress says.
    pub(crate) fn insert(&mut self, message: Message, now: u64) {
        let id = message.envelope.id;
        for (number, progress) in (0..).zip(&message.progress) {
            match progress {
                Progress::Ready | Progress::Delivering => self.ready.push_back((id, number)),
                Progress::Deferred { until, .. } => drop(self.timers.insert((*until, id, number))),
                Progress::Held { .. } | Progress::Done => {}
            }
        }
        if matches!(message.place, Place::Journal(..)) {
            self.journaled.push_back((now, id));
        }
        self.messages.insert(id, message);
    }

    /// The next recipient that is due.
    pub(crate) fn next(&mut self, now: u64) -> Option<Way> {
        while let Some((until, id, number)) = self.timers.first().copied().filter(|(until, ..)| *until <= now) {
            self.timers.remove(&(until, id, number));
            self.set(id, number, Progress::Ready);
        }
        // What was held or deleted while it waited is passed over.
        while let Some((id, number)) = self.ready.pop_front() {
            if self.progress(id, number) == Some(&Progress::Ready) {
                self.set(id, number, Progress::Delivering);
                return Some((id, number));
            }
        }
        None
    }

    pub(crate) fn progress(&self, id: MessageId, number: u32) -> Option<&Progress> {
        self.messages.get(&id)?.progress.get(number as usize)
    }

    /// Moves a recipient to a state, and into the list that belongs to it.
    pub(crate) fn set(&mut self, id: MessageId, number: u32, to: Progress) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        let Some(progress) = message.progress.get_mut(number as usize) else { return };
        match &to {
            Progress::Ready => self.ready.push_back((id, number)),
            Progress::Deferred { until, .. } => drop(self.timers.insert((*until, id, number))),
            Progress::Delivering | Progress::Held { .. } | Progress::Done => {}
        }
        let from = std::mem::replace(progress, to);
        if let Progress::Deferred { until, .. } = from {
            self.timers.remove(&(until, id, number));
        }
    }

    /// The message that has been in the journal for longest, if it came before `since`. It is named once.
    pub(crate) fn next_to_spool(&mut self, since: u64) -> Option<MessageId> {
        while let Some((came, id)) = self.journaled.front().copied() {
            let here = matches!(self.messages.get(&id), Some(Message { place: Place::Journal(..), .. }));
            if here && came > since {
                return None;
            }
            self.journaled.pop_front();
            if here {
                return Some(id);
            }
        }
        None
    }
}
