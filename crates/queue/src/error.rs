//! What can go wrong with the queue.

/// What most calls give back.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the queue did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The journal refused: the disk is full or failing, or it falls behind.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// As many messages as `queue.max_messages` allows are on their way.
    #[error("the queue is full: {0} messages are on their way, as many as queue.max_messages allows")]
    Full(usize),
    /// A file of the queue's folder could not be read or written.
    #[error("{path}: {reason}")]
    Spool {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// There is no such message in the queue.
    #[error("there is no message {0} in the queue")]
    Missing(mail::MessageId),
}

impl Error {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Journal(error) => error.is_temporary(),
            Self::Full(_) | Self::Spool { .. } => true,
            Self::Missing(_) => false,
        }
    }
}
