//! Why something was not done. The values are those that IMAP has response codes for; causes go to the log.

use mail::Uid;

/// Why the mailbox or account did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such mailbox.
    #[error("no such mailbox")]
    Nonexistent,
    /// A mailbox of that name is there.
    #[error("the mailbox already exists")]
    AlreadyExists,
    /// The name cannot be a mailbox here, with the reason.
    #[error("{0}")]
    BadName(String),
    /// The name has inferior names and no messages of its own, and cannot go.
    #[error("the mailbox has inferior names")]
    HasChildren,
    /// The mailbox was opened read-only.
    #[error("the mailbox is read-only")]
    ReadOnly,
    /// A limit was reached; the text names it.
    #[error("{0}")]
    Limit(String),
    /// The message is gone.
    #[error("the message was expunged")]
    Expunged,
    /// The disk is full or failing, or another program keeps a lock: try again later.
    #[error("the disk is full or failing, try again later")]
    Unavailable,
    /// The mailbox was deleted or replaced under its users.
    #[error("the mailbox was deleted")]
    Gone,
    /// A record of the journal that this version cannot read.
    #[error("the journal's record makes no sense")]
    BadRecord,
}

/// What most calls give back.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable | Self::Gone)
    }
}

impl From<maildir::Error> for Error {
    fn from(error: maildir::Error) -> Self {
        match error {
            maildir::Error::BadName(reason) => Self::BadName(reason.to_owned()),
            other => {
                tracing::warn!(error = %other, "cannot use a Maildir");
                Self::Unavailable
            }
        }
    }
}

impl From<journal::Error> for Error {
    fn from(error: journal::Error) -> Self {
        tracing::warn!(%error, "cannot write to the journal");
        Self::Unavailable
    }
}

/// Logs a failure of the disk with what was tried.
pub(crate) fn disk(what: &'static str, uid: Uid) -> impl FnOnce(std::io::Error) -> Error {
    move |error| {
        tracing::warn!(uid, %error, "cannot {what}");
        Error::Unavailable
    }
}
