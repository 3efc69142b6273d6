//! What can go wrong.

use std::io;
use std::sync::Arc;

/// Why the journal did not do what it was asked. One failed write is told to all that wait for it, so this can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused: it is full or broken.
    #[error("the journal cannot {what}: {cause}")]
    Disk {
        /// What was tried, after "cannot".
        what: &'static str,
        /// What the disk said.
        cause: Arc<io::Error>,
    },
    /// As much as `journal.max_size` allows waits to be released.
    #[error("the journal is full: too much waits to be delivered")]
    Full,
    /// More than twice `journal.memory` waits to be written.
    #[error("the journal is behind: too much waits to be written")]
    Busy,
    /// A header or note does not fit into a quarter of a segment.
    #[error("a journal record of {0} octets is too long")]
    TooLong(usize),
    /// There is no such entry, or no longer.
    #[error("the journal has no such entry")]
    Gone,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The journal was written by a newer version of this program.
    #[error("{file} has format {found}; this program knows formats up to {known}")]
    Newer {
        /// The segment's file name.
        file: String,
        /// Its format.
        found: u32,
        /// The newest format that can be read.
        known: u32,
    },
}

impl Error {
    /// Whether the same request may succeed later: the SMTP answer is 452 4.3.1 and not 5xx.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Disk { .. } | Self::Full | Self::Busy)
    }

    /// What to say of a disk error; for `map_err`.
    pub(crate) fn disk(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Disk { what, cause: Arc::new(cause) }
    }
}

/// Short for the results of this crate.
pub type Result<T> = std::result::Result<T, Error>;
