//! What a mailbox tells and takes: counts, messages' metadata, news, and flag changes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use journal::Durable;
use mail::{Flags, Keyword, ModSeq, SpecialUse, Uid, UidSet, UidValidity};

use crate::error::Result;

/// One mailbox of a listing. Names are UTF-8; the hierarchy separator is `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The full name, `INBOX` in capitals.
    pub name: String,
    /// It can be opened; false for a name that only has inferiors.
    pub selectable: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// The counts of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How many messages there are.
    pub messages: u32,
    /// How many no read-write session has been told of.
    pub recent: u32,
    /// How many lack `\Seen`.
    pub unseen: u32,
    /// How many have `\Deleted`.
    pub deleted: u32,
    /// The UID that the next message gets, at least.
    pub uid_next: Uid,
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Its highest modification sequence, at least 1.
    pub highest_modseq: ModSeq,
    /// Sum of the messages' sizes with line ends of two octets, as far as they are known; exact if it was asked for.
    pub size: u64,
}

/// What is known of a message without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The message's UID.
    pub uid: Uid,
    /// Its system flags.
    pub flags: Flags,
    /// Its keywords as bits: bit `n` is keyword `n` of [`crate::View::keywords`].
    pub keywords: u64,
    /// Its modification sequence.
    pub modseq: ModSeq,
    /// Its size in octets with line ends of two octets.
    pub size: u64,
    /// When it came to this server, in seconds since 1970 (INTERNALDATE).
    pub internal_date: i64,
    /// When it came into this mailbox, in seconds since 1970 (RFC 8514).
    pub save_date: i64,
}

/// News for a session, in the order in which it must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A message is gone; it had this sequence number at this moment of the telling.
    Expunged {
        /// Its UID.
        uid: Uid,
        /// Its sequence number, all earlier changes applied.
        sequence: u32,
    },
    /// There are more messages now.
    Exists {
        /// The new number of messages.
        count: u32,
        /// How many of them are recent in this session.
        recent: u32,
    },
    /// The message's flags or keywords changed (also by this session's own store, unless silent).
    Flags {
        /// Its UID.
        uid: Uid,
        /// Its sequence number, all earlier changes applied.
        sequence: u32,
    },
    /// A keyword was used for the first time.
    Keywords,
}

/// How a store changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// The flags become these.
    Replace,
    /// These are added.
    Add,
    /// These are removed.
    Remove,
}

/// One change of flags.
#[derive(Clone, Debug)]
pub struct StoreChange<'a> {
    /// How.
    pub mode: StoreMode,
    /// The system flags named.
    pub flags: Flags,
    /// The keywords named.
    pub keywords: &'a [Keyword],
    /// Only messages whose modification sequence is at most this (RFC 7162 UNCHANGEDSINCE).
    pub unchanged_since: Option<ModSeq>,
    /// The session does not want to hear of its own change by [`Change::Flags`].
    pub silent: bool,
}

/// Where appended messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The messages' UIDs, in the order of the upload.
    pub uids: UidSet,
}

/// Where copies are. `from` and `to` correspond one by one, both ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The messages that were copied or moved.
    pub from: Vec<Uid>,
    /// Where they are now.
    pub to: Vec<Uid>,
}

/// What to do when it is known that something did not become durable.
type Undo = Box<dyn FnOnce() + Send>;

/// Becomes ready when what was done is durable; after an error it was undone as far as possible, and the client gets NO.
///
/// It can be awaited in any runtime, or waited for with [`Pending::wait`]. Dropping it changes nothing of what was done.
pub struct Pending {
    durable: Option<Durable>,
    undo: Option<Undo>,
}

impl Pending {
    /// Durable already.
    pub(crate) fn done() -> Self {
        Self { durable: None, undo: None }
    }

    /// Durable when the journal says so.
    pub(crate) fn new(durable: Durable, undo: impl FnOnce() + Send + 'static) -> Self {
        Self { durable: Some(durable), undo: Some(Box::new(undo)) }
    }

    /// Blocks the thread until it is known.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if it did not become durable.
    pub fn wait(mut self) -> Result<()> {
        let outcome = self.durable.take().map_or(Ok(()), Durable::wait);
        self.end(outcome)
    }

    fn end(&mut self, outcome: journal::Result<()>) -> Result<()> {
        let undo = self.undo.take();
        outcome.map_err(|error| {
            undo.into_iter().for_each(|undo| undo());
            error.into()
        })
    }
}

impl Future for Pending {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(durable) = &mut self.durable else { return Poll::Ready(Ok(())) };
        let Poll::Ready(outcome) = Pin::new(durable).poll(context) else { return Poll::Pending };
        self.durable = None;
        Poll::Ready(self.end(outcome))
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}
