//! What can go wrong while driving a server.

use std::io;
use std::time::Duration;

/// The one error of the generator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, or on which file.
        what: String,
        /// Its answer.
        source: io::Error,
    },
    /// The server closed the connection.
    #[error("connection closed by the server")]
    Closed,
    /// The server did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server said no.
    #[error("{command} refused: {reply}")]
    Refused {
        /// The command, shortened.
        command: String,
        /// The reply, shortened.
        reply: String,
    },
    /// The server sent more than a client can bear, or something else than the protocol allows.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// An operating system's error with what was tried.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// A refusal, with both texts cut to a line that fits a report.
    pub(crate) fn refused(command: &str, reply: &[u8]) -> Self {
        Self::Refused { command: short(command.as_bytes()), reply: short(reply) }
    }
}

/// The first 120 octets of a line as text.
pub(crate) fn short(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(120)]).trim_end().to_owned()
}
