//! What happened in a mailbox since the slowest of its sessions looked, so that a look costs what has changed and no more.

use std::collections::{HashMap, VecDeque};

use mail::Uid;

use crate::record::Message;

/// Most entries; a session that falls further behind compares everything instead.
const LONGEST: usize = 100_000;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Arrived(Uid),
    /// Flags changed; the session with this number does not want to hear of it.
    Flags(Uid, u64),
    Expunged(Uid),
    Keywords,
}

/// The recent past. Sessions are known by number and by how far they have read.
#[derive(Debug, Default)]
pub(crate) struct Log {
    events: VecDeque<Event>,
    /// How many events were dropped from the front.
    first: u64,
    readers: HashMap<u64, u64>,
    /// Messages that are gone but that some session may not know of.
    ghosts: HashMap<Uid, Message>,
}

impl Log {
    /// A number that grows with every event.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    pub(crate) fn push(&mut self, event: Event) {
        if self.readers.is_empty() {
            self.first += 1;
            return;
        }
        self.events.push_back(event);
        if self.events.len() > LONGEST {
            self.drop_front(LONGEST / 2);
        }
    }

    /// A message is gone.
    pub(crate) fn expunged(&mut self, message: Message) {
        let uid = message.uid;
        if !self.readers.is_empty() {
            self.ghosts.insert(uid, message);
        }
        self.push(Event::Expunged(uid));
    }

    /// The last known state of a message that is gone.
    pub(crate) fn ghost(&self, uid: Uid) -> Option<&Message> {
        self.ghosts.get(&uid)
    }

    /// A session begins to read at the end.
    pub(crate) fn add_reader(&mut self, reader: u64) {
        let end = self.end();
        self.readers.insert(reader, end);
    }

    pub(crate) fn remove_reader(&mut self, reader: u64) {
        self.readers.remove(&reader);
        self.trim();
    }

    /// What a session has not read; `None` if that is not known any more. It counts as read up to `keep` events from now
    /// on, see [`Log::read_until`].
    pub(crate) fn unread(&self, reader: u64) -> Option<impl Iterator<Item = Event> + '_> {
        let from = self.readers.get(&reader)?.checked_sub(self.first)?;
        Some(self.events.range((from as usize).min(self.events.len())..).copied())
    }

    /// A session has read all there is.
    pub(crate) fn caught_up(&mut self, reader: u64) {
        let end = self.end();
        self.readers.insert(reader, end);
        self.trim();
    }

    fn trim(&mut self) {
        let slowest = self.readers.values().min().copied().unwrap_or_else(|| self.end());
        let count = slowest.saturating_sub(self.first) as usize;
        self.drop_front(count);
    }

    fn drop_front(&mut self, count: usize) {
        for event in self.events.drain(..count.min(self.events.len())) {
            self.first += 1;
            if let Event::Expunged(uid) = event {
                self.ghosts.remove(&uid);
            }
        }
    }
}
