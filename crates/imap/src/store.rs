//! What the session needs of a mail store, as traits. The daemon implements them over the storage crates; tests over a
//! few vectors. All calls are short and synchronous; what must become durable is handed back as a [`Pending`] that the
//! driver waits for before the tagged OK goes out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use mail::{Flags, Keyword, ModSeq, SpecialUse, Uid, UidSet, UidValidity, search};

/// Why the store did not do what was asked. Each value has its IMAP response code (RFC 3501, 5530, 2180).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such mailbox: `[NONEXISTENT]`; for APPEND, COPY and MOVE `[TRYCREATE]`.
    #[error("no such mailbox")]
    Nonexistent,
    /// A mailbox of that name is there: `[ALREADYEXISTS]`.
    #[error("the mailbox already exists")]
    AlreadyExists,
    /// The name cannot be a mailbox here, with the reason: `[CANNOT]`.
    #[error("{0}")]
    BadName(String),
    /// The mailbox has inferior names and cannot go: `[HASCHILDREN]`.
    #[error("the mailbox has inferior names")]
    HasChildren,
    /// The mailbox was opened read-only: `[READ-ONLY]`.
    #[error("the mailbox is read-only")]
    ReadOnly,
    /// A limit with a name in the configuration was reached: `[LIMIT]`.
    #[error("{0}")]
    Limit(String),
    /// The message is gone: `[EXPUNGEISSUED]`.
    #[error("the message was expunged")]
    Expunged,
    /// The disk is full or failing; nothing was done: `[UNAVAILABLE]`.
    #[error("the disk is full or failing, try again later")]
    Unavailable,
    /// The selected mailbox was deleted or replaced under the session; it has to go.
    #[error("the mailbox was deleted")]
    Gone,
}

/// What most calls give back.
pub type Result<T> = std::result::Result<T, Refusal>;

/// Becomes ready when what was done is durable; an error means that it may not be, and the client gets NO.
pub struct Pending(pub Pin<Box<dyn Future<Output = Result<()>> + Send>>);

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}

/// One mailbox of a listing. Names are UTF-8; the hierarchy separator is `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The full name, `INBOX` in capitals.
    pub name: String,
    /// It can be selected; false for a name that only has inferiors.
    pub selectable: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// The counts that STATUS and SELECT report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How many messages there are.
    pub messages: u32,
    /// How many are `\Recent`, that is, no read-write session has been told of them.
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
    /// Sum of the messages' sizes with line ends of two octets.
    pub size: u64,
}

/// One account's mail.
pub trait Store: Send {
    /// All mailboxes, INBOX first, the others sorted by name. Names that only have inferiors are among them.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    fn mailboxes(&self) -> Result<Vec<Listed>>;

    /// The subscribed names, existing or not.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    fn subscriptions(&self) -> Result<Vec<String>>;

    /// Adds a name to the subscriptions or takes it out.
    ///
    /// # Errors
    /// [`Refusal::BadName`], [`Refusal::Unavailable`].
    fn subscribe(&self, name: &str, on: bool) -> Result<()>;

    /// Makes a mailbox, and the superior names that are missing.
    ///
    /// # Errors
    /// [`Refusal::AlreadyExists`], [`Refusal::BadName`], [`Refusal::Limit`], [`Refusal::Unavailable`].
    fn create(&self, name: &str, special_use: Option<SpecialUse>) -> Result<()>;

    /// Removes a mailbox with its messages; inferior mailboxes stay.
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`], [`Refusal::BadName`] for INBOX, [`Refusal::Unavailable`].
    fn delete(&self, name: &str) -> Result<()>;

    /// Renames a mailbox and its inferiors; renaming INBOX moves its messages and leaves it empty (RFC 3501 6.3.5).
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`], [`Refusal::AlreadyExists`], [`Refusal::BadName`], [`Refusal::Unavailable`].
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// The counts of a mailbox, which may be selected by others.
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`], [`Refusal::Unavailable`].
    fn status(&self, name: &str) -> Result<Status>;

    /// Opens a mailbox for a session.
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`], [`Refusal::Unavailable`].
    fn open(&self, name: &str, read_only: bool) -> Result<Box<dyn Selected>>;

    /// Begins an APPEND of one or more messages to a mailbox.
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`], [`Refusal::Unavailable`].
    fn upload(&self, mailbox: &str) -> Result<Box<dyn Upload>>;
}

/// Messages on their way into a mailbox. Dropped without [`Upload::commit`], nothing of it remains.
pub trait Upload: Send {
    /// Begins a message. `internal_date` is in seconds since 1970; now, if it is `None`.
    ///
    /// # Errors
    /// [`Refusal::Limit`], [`Refusal::Unavailable`].
    fn begin(&mut self, flags: Flags, keywords: &[Keyword], internal_date: Option<i64>) -> Result<()>;

    /// More of the message's octets, as the client sent them.
    ///
    /// # Errors
    /// [`Refusal::Limit`], [`Refusal::Unavailable`].
    fn write(&mut self, octets: &[u8]) -> Result<()>;

    /// Stores all messages at once: all or none are there, also after a crash.
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`] if the mailbox has gone meanwhile, [`Refusal::Unavailable`].
    fn commit(self: Box<Self>) -> Result<(Appended, Pending)>;
}

/// Where appended messages are: APPENDUID (RFC 4315).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The messages' UIDs, in the order of the upload.
    pub uids: UidSet,
}

/// Where copies are: COPYUID (RFC 4315). `from` and `to` correspond one by one, both ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The messages that were copied; those that were gone are left out.
    pub from: Vec<Uid>,
    /// Their copies.
    pub to: Vec<Uid>,
}

/// What a mailbox knows of a message without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The message's UID.
    pub uid: Uid,
    /// Its system flags.
    pub flags: Flags,
    /// Its keywords as bits: bit `n` is keyword `n` of [`Selected::keywords`].
    pub keywords: u64,
    /// Its modification sequence.
    pub modseq: ModSeq,
    /// Its size in octets with line ends of two octets.
    pub size: u64,
    /// INTERNALDATE, in seconds since 1970.
    pub internal_date: i64,
    /// When it came into this mailbox, in seconds since 1970 (RFC 8514).
    pub save_date: i64,
}

/// What of [`Meta`] is asked for beyond flags and modification sequence: a store may have to look at files for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The size; anything, if it is not asked for.
    pub size: bool,
    /// The two dates; anything, if they are not asked for.
    pub dates: bool,
}

/// Messages that are looked up together where many are.
const METAS_AT_ONCE: usize = 256;

/// News for a session, in the order in which it must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The message with this UID is gone; it had this sequence number at this moment of the telling.
    Expunged {
        /// Its UID.
        uid: Uid,
        /// Its sequence number, all earlier changes applied.
        sequence: u32,
    },
    /// There are more messages now; the view's length is the new number.
    Exists {
        /// The new number of messages.
        count: u32,
        /// How many of them are recent in this session.
        recent: u32,
    },
    /// The message's flags or keywords changed (also by this session's own STORE, unless silent).
    Flags {
        /// Its UID.
        uid: Uid,
        /// Its sequence number, all earlier changes applied.
        sequence: u32,
    },
    /// A keyword was used for the first time: FLAGS and PERMANENTFLAGS are told anew.
    Keywords,
}

/// How STORE changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// One STORE.
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
    /// The session does not want to hear of its own change by [`Change::Flags`], only of what else differs.
    pub silent: bool,
}

/// A message's octets as they are on disk: line ends may be LF.
pub trait Body: Send {
    /// Size on disk in octets.
    fn size(&self) -> u64;

    /// Reads at most `buffer.len()` octets at `offset`; 0 at the end.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// The whole of it.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    fn all(&self) -> Result<Vec<u8>>;
}

/// A mailbox that a session has selected, as this session sees it.
///
/// The view (sequence numbers) only changes in [`Selected::poll`]: between two polls other sessions may add, change
/// and expunge at will, and this one still sees the messages that it has been told of.
pub trait Selected: Send {
    /// Whether flags can be changed and messages expunged.
    fn read_only(&self) -> bool;

    /// The mailbox's counts as of the last poll. All changes up to its `highest_modseq` were told: while expunges are kept
    /// back, it is below the first of them (a client that remembers it must not miss them, RFC 7162 section 6).
    fn status(&self) -> Status;

    /// All keywords of the mailbox; a message's bits refer to this order. At most 64. It only ever grows.
    fn keywords(&self) -> Vec<Keyword>;

    /// The UIDs in sequence: sequence number `n` is `uids()[n - 1]`.
    fn uids(&self) -> &[Uid];

    /// Whether a message is `\Recent` in this session.
    fn is_recent(&self, uid: Uid) -> bool;

    /// What is known of a message of the view. Of an expunged one that was not told yet, the last known state.
    fn meta(&self, uid: Uid) -> Option<Meta>;

    /// Adds [`Selected::meta`] of some hundred messages of the view, ascending, in their order; what is not known is left
    /// out. Stores that take a lock for each answer should take it once here: `FETCH 1:* (FLAGS)` goes through this.
    fn metas(&self, uids: &[Uid], _detail: Detail, known: &mut Vec<Meta>) {
        known.extend(uids.iter().filter_map(|uid| self.meta(*uid)));
    }

    /// The same of any number of messages, one by one.
    fn each_meta(&self, uids: &[Uid], detail: Detail, visit: &mut dyn FnMut(&Meta)) {
        let mut known = Vec::with_capacity(uids.len().min(METAS_AT_ONCE));
        for some in uids.chunks(METAS_AT_ONCE) {
            self.metas(some, detail, &mut known);
            known.drain(..).for_each(|meta| visit(&meta));
        }
    }

    /// The sequence number of the first message without `\Seen`, if there is one.
    fn first_unseen(&self) -> Option<u32> {
        let unseen = |uid: &Uid| self.meta(*uid).is_some_and(|meta| !meta.flags.has(mail::Flag::Seen));
        self.uids().iter().position(unseen).map(|at| at as u32 + 1)
    }

    /// Brings the view up to date. `expunges` is false while sequence numbers must not change
    /// (during FETCH, STORE and SEARCH by sequence number); expunges are then kept for a later poll.
    ///
    /// # Errors
    /// [`Refusal::Gone`].
    fn poll(&mut self, expunges: bool) -> Result<Vec<Change>>;

    /// Calls `notice` from any thread when there may be news, until the mailbox is closed. Replaces the last one.
    fn watch(&mut self, notice: Option<Arc<dyn Fn() + Send + Sync>>);

    /// Opens a message.
    ///
    /// # Errors
    /// [`Refusal::Expunged`], [`Refusal::Unavailable`].
    fn body(&self, uid: Uid) -> Result<Box<dyn Body>>;

    /// The facts about a message's content that were kept by [`Selected::keep_facts`], see `mime::Facts`.
    fn facts(&self, uid: Uid) -> Option<Arc<[u8]>>;

    /// Adds [`Selected::facts`] of each of some messages. Stores that take a lock for each should take it once here.
    fn many_facts(&self, uids: &[Uid], found: &mut Vec<Option<Arc<[u8]>>>) {
        found.extend(uids.iter().map(|uid| self.facts(*uid)));
    }

    /// Keeps facts about a message's content, so that the next FETCH need not open it. A cache: may be forgotten.
    fn keep_facts(&self, uid: Uid, facts: Arc<[u8]>);

    /// Changes flags. Gives the UIDs that were left alone because of `unchanged_since`; the changes themselves are
    /// told by the next poll. A message of the view that another session has expunged takes the change as well, in the last
    /// known state that [`Selected::meta`] gives of it: it looks alike to all sessions until they are told that it is gone.
    ///
    /// # Errors
    /// [`Refusal::ReadOnly`], [`Refusal::Limit`] for too many keywords, [`Refusal::Unavailable`].
    fn store(&mut self, uids: &[Uid], change: &StoreChange<'_>) -> Result<UidSet>;

    /// Removes the messages with `\Deleted`, all or those in `only`; the next poll tells which.
    ///
    /// # Errors
    /// [`Refusal::ReadOnly`], [`Refusal::Unavailable`].
    fn expunge(&mut self, only: Option<&UidSet>) -> Result<()>;

    /// Copies messages with flags, keywords and internal dates: all or none, also after a crash.
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`], [`Refusal::Expunged`] if one of them is gone, [`Refusal::Unavailable`].
    fn copy(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)>;

    /// Moves messages (RFC 6851); a message is at every moment, and after every crash, in exactly one of the two.
    ///
    /// # Errors
    /// [`Refusal::Nonexistent`], [`Refusal::ReadOnly`], [`Refusal::Unavailable`].
    fn relocate(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)>;

    /// The messages of the view for which all of `key` holds, ascending.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    fn search(&self, key: &search::Key) -> Result<Vec<Uid>>;

    /// The messages that vanished after `since`, as far as they are in `known` (RFC 7162); may name UIDs that never were.
    fn vanished(&self, since: ModSeq, known: Option<&UidSet>) -> UidSet;
}
