//! APPEND: one or more messages on their way into a mailbox.

use std::sync::Arc;

use journal::{EntryId, Writer};
use mail::{Flags, Keyword, Uid, UidSet};
use maildir::delivery::{Incoming, Ready, path_of};
use maildir::scan::Place;

use crate::account::Account;
use crate::entries::{APPEND, Promise, Record};
use crate::error::{Error, Result};
use crate::mailbox::{Guard, Mailbox};
use crate::record::{Bits, Message, Row, short_size};
use crate::state::{State, canonical};
use crate::types::{Appended, Pending};

/// Messages on their way into a mailbox. Dropped without [`Upload::commit`], nothing of it remains.
#[derive(Debug)]
pub struct Upload {
    mailbox: Arc<Mailbox>,
    journal: Writer,
    current: Option<Part<Incoming>>,
    parts: Vec<Part<Ready>>,
}

/// A message with what was said of it.
#[derive(Debug)]
struct Part<F> {
    file: F,
    flags: Flags,
    keywords: Vec<Keyword>,
    date: i64,
    /// Octets in the journal, as the client sent them.
    length: u64,
}

impl Account {
    /// Begins to store one or more messages in a mailbox.
    ///
    /// # Errors
    /// [`Error::Nonexistent`], [`Error::Unavailable`].
    pub fn upload(&self, mailbox: &str) -> Result<Upload> {
        let mailbox = self.with(mailbox, |mailbox| mailbox.lock().look_after(&self.env).map(|()| Arc::clone(mailbox)))?;
        Ok(Upload { mailbox, journal: self.env.world.journal.begin(), current: None, parts: Vec::new() })
    }
}

impl Upload {
    /// Begins a message. `internal_date` is in seconds since 1970; now, if it is `None`.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::Unavailable`].
    pub fn begin(&mut self, flags: Flags, keywords: &[Keyword], internal_date: Option<i64>) -> Result<()> {
        self.end_message()?;
        let env = &self.mailbox.env;
        let most = env.world.mailbox.max_messages_per_append;
        if self.parts.len() >= most {
            return Err(Error::Limit(format!("at most {most} messages can be stored at once")));
        }
        let folder = self.mailbox.lock().folder.clone();
        let file = Incoming::create(Arc::clone(&env.world.disk), &folder, &env.unique())?;
        let date = internal_date.unwrap_or_else(|| env.seconds());
        self.current = Some(Part { file, flags, keywords: keywords.to_vec(), date, length: 0 });
        Ok(())
    }

    /// More of the message's octets, as the client sent them.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        let Some(part) = &mut self.current else { return Err(Error::Unavailable) };
        self.journal.write(octets)?.wait()?;
        part.file.write(octets)?;
        part.length += octets.len() as u64;
        Ok(())
    }

    fn end_message(&mut self) -> Result<()> {
        if let Some(part) = self.current.take() {
            let file = part.file.finish(part.date)?;
            let Part { flags, keywords, date, length, .. } = part;
            self.parts.push(Part { file, flags, keywords, date, length });
        }
        Ok(())
    }

    /// Stores all messages at once: all or none are there, also after a crash. They can be seen when the journal has them.
    ///
    /// # Errors
    /// [`Error::Nonexistent`] if the mailbox has gone meanwhile, [`Error::Limit`] for too many keywords,
    /// [`Error::Unavailable`].
    pub fn commit(mut self) -> Result<(Appended, Pending)> {
        self.end_message()?;
        let mailbox = Arc::clone(&self.mailbox);
        let mut state = mailbox.lock();
        state.open(&mailbox.env).map_err(|error| if error == Error::Gone { Error::Nonexistent } else { error })?;
        let mut rows = Vec::new();
        for part in &self.parts {
            let keywords = state.keyword_bits(&mailbox.env, &part.keywords)?;
            rows.push(row_for(part.flags, keywords, part.date, part.file.virtual_size));
        }
        if rows.is_empty() {
            return Ok((Appended { uid_validity: state.validity, uids: UidSet::new() }, Pending::done()));
        }
        self.promise(state, rows)
    }

    fn record(&self, state: &State, first: Uid) -> Record {
        let promise = |(uid, part): (Uid, &Part<Ready>)| Promise {
            uid,
            base: part.file.base.as_bytes().to_vec(),
            source: Vec::new(),
            length: part.length,
            flags: part.flags,
            keywords: part.keywords.clone(),
            date: part.date,
        };
        Record {
            account: self.mailbox.env.account.clone(),
            target: state.name.clone(),
            validity: state.validity,
            source: String::new(),
            promises: (first..).zip(&self.parts).map(promise).collect(),
        }
    }

    fn promise(self, mut state: Guard<'_>, rows: Vec<Row>) -> Result<(Appended, Pending)> {
        let bases: Vec<Box<[u8]>> = self.parts.iter().map(|part| part.file.base.as_bytes().into()).collect();
        let names: Vec<&[u8]> = bases.iter().map(|base| &**base).collect();
        let first = state.give_uids(&self.mailbox.env, &names, false)?;
        state.reserve(first, names.iter().copied());
        let record = self.record(&state, first);
        let appended = Appended { uid_validity: state.validity, uids: (first..).take(rows.len()).collect() };
        drop(state);
        let Self { mailbox, journal, parts, .. } = self;
        let (id, durable) = journal.commit(APPEND, &record.encode());
        let messages = (first..).zip(rows).zip(bases).map(|((uid, row), name)| Message { uid, row, name }).collect();
        let last = (Arc::clone(&mailbox), appended.uids.ranges().last().map_or(0, |range| range.1));
        Ok((appended, Pending::new(durable, last, move |outcome| show(&mailbox, id, parts, messages, outcome))))
    }
}

/// Shows the messages that the journal has, or takes everything back.
fn show(mailbox: &Arc<Mailbox>, id: EntryId, parts: Vec<Part<Ready>>, messages: Vec<Message>, outcome: Result<()>) -> Result<()> {
    let env = &mailbox.env;
    let mut state = mailbox.lock();
    let placed = outcome.and_then(|()| {
        let placed = state.own(env, |state| place_all(state, parts, &messages));
        env.world.journal.release(id);
        placed
    });
    for message in messages {
        if placed.is_ok() {
            state.recent.insert(message.uid);
            state.arrive(env, message);
            continue;
        }
        // All or none: what had its place already goes again.
        let bits = message.row.bits;
        let _ = env.disk().remove(&path_of(&state.folder, bits.place(), &message.name, &canonical(bits)));
        state.cancel(env, message.uid, &message.name);
    }
    placed
}

fn place_all(state: &State, parts: Vec<Part<Ready>>, messages: &[Message]) -> Result<()> {
    if state.gone {
        return Err(Error::Nonexistent);
    }
    for (part, message) in parts.into_iter().zip(messages) {
        let suffix = String::from_utf8(canonical(message.row.bits)).unwrap_or_default();
        part.file.place(message.row.bits.place(), &suffix)?;
    }
    Ok(())
}

/// The row of a message that a client put in: in `new` unless it has flags, which `new` cannot show.
pub(crate) fn row_for(flags: Flags, keywords: u32, date: i64, virtual_size: u64) -> Row {
    let place = if flags == Flags::NONE && keywords == 0 { Place::New } else { Place::Cur };
    Row { modseq: 0, date, size: short_size(Some(virtual_size)), bits: Bits::new(flags, keywords, place) }
}
