//! What a mailbox tells and takes: counts, messages' metadata, news, and flag changes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use journal::Durable;
use mail::{Flags, Keyword, ModSeq, SpecialUse, Uid, UidSet, UidValidity};

use crate::error::Result;
use crate::mailbox::Mailbox;

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

/// What of [`Meta`] is asked for beyond flags and modification sequence. The rest may take a look at a file, or at many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The size; 0 if it is not asked for.
    pub size: bool,
    /// The two dates; 0 if they are not asked for.
    pub dates: bool,
}

impl Detail {
    /// Everything.
    pub const ALL: Self = Self { size: true, dates: true };
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

/// What is to be done when the outcome is known.
type Finish = Box<dyn FnOnce(Result<()>) -> Result<()> + Send>;

/// Becomes ready when what was promised is durable and can be seen; after an error nothing of it is there, and the client
/// gets NO.
///
/// It can be awaited in any runtime, or waited for with [`Pending::wait`]. Dropped earlier, it does its work by itself:
/// what is promised is done whether or not anybody wants to hear of it.
pub struct Pending {
    promise: Option<(Durable, Finish)>,
    /// The last message; those with lower UIDs may still be on their way, and hide it.
    last: Option<(Arc<Mailbox>, Uid)>,
}

impl Pending {
    /// Done already.
    pub(crate) fn done() -> Self {
        Self { promise: None, last: None }
    }

    /// Done by `finish`, which is told whether the journal has it, and when the last message is shown.
    pub(crate) fn new(durable: Durable, last: (Arc<Mailbox>, Uid), finish: impl FnOnce(Result<()>) -> Result<()> + Send + 'static) -> Self {
        Self { promise: Some((durable, Box::new(finish))), last: Some(last) }
    }

    /// Blocks the thread until it is done.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if it did not become durable.
    pub fn wait(mut self) -> Result<()> {
        self.finish_now()?;
        if let Some((mailbox, uid)) = self.last.take() {
            mailbox.wait_shown(uid);
        }
        Ok(())
    }

    fn finish_now(&mut self) -> Result<()> {
        let Some((durable, finish)) = self.promise.take() else { return Ok(()) };
        finish(durable.wait().map_err(crate::Error::from))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Err(error) = self.finish_now() {
            tracing::warn!(%error, "what nobody waited for was not done");
        }
    }
}

impl Future for Pending {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some((durable, _)) = &mut self.promise {
            let Poll::Ready(outcome) = Pin::new(durable).poll(context) else { return Poll::Pending };
            if let Some((_, finish)) = self.promise.take() {
                finish(outcome.map_err(crate::Error::from))?;
            }
        }
        match &self.last {
            Some((mailbox, uid)) if !mailbox.is_shown(*uid, context.waker()) => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}
