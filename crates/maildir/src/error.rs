//! What can go wrong with files, and what it means for the caller.

use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be done with a Maildir.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// Another program kept its lock for longer than `maildir.lock_timeout`.
    #[error("{}: another program keeps it locked", .0.display())]
    Locked(PathBuf),
    /// The name cannot be a mailbox here; the text says why.
    #[error("{0}")]
    BadName(&'static str),
}

/// What most calls give back.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the file or folder was simply not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether trying again later may help: everything but a bad name.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::BadName(_))
    }
}

/// Names the path in an error of the disk.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { path: path.to_owned(), source })
    }
}
