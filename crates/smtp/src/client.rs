//! The sending session: one connection to another server, over which messages go one after the other. Without I/O as the
//! receiving one: octets, content and the time go in, [`Effect`]s come out.
//!
//! The driver's loop: call [`Session::next`] until it gives `None`, doing what each effect says; then read, with
//! [`Session::deadline`] as the limit for that and for writing; hand over what came with [`Session::receive`], or the end of
//! the connection with [`Session::hang_up`]; begin again. It does not know MX records, retries or bounces: it says of each
//! recipient what became of him ([`Fate`]), and the queue acts on it.

mod capabilities;
mod encode;
mod envelope;
mod reply;
mod session;
#[cfg(test)]
mod tests;

use std::time::Duration;

use mail::{Domain, Parameters, Recipient, Reply, ReversePath};

pub use encode::Encoder;
pub use reply::{Replies, ReplyError, ServerReply};
pub use session::Session;

/// Whether the connection has to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// STARTTLS is not used, because it failed before, say.
    Never,
    /// STARTTLS is used where it is offered.
    IfOffered,
    /// Without STARTTLS nothing is sent.
    Required,
}

/// How long the server may take (RFC 5321 section 4.5.3.2). The default is what the RFC asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the greeting.
    pub greeting: Duration,
    /// For the reply to a command.
    pub command: Duration,
    /// For the reply to DATA.
    pub data_start: Duration,
    /// For taking a piece of the content.
    pub data_piece: Duration,
    /// For the reply to the end of the content.
    pub data_end: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self { greeting: minutes(5), command: minutes(5), data_start: minutes(2), data_piece: minutes(3), data_end: minutes(10) }
    }
}

/// What a session is told when it begins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this server calls itself.
    pub hostname: Domain,
    /// Whether to encrypt.
    pub encryption: Encryption,
    /// Time limits.
    pub patience: Patience,
}

/// A message to be sent to some of its recipients: those that this server is responsible for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The sender.
    pub reverse_path: ReversePath,
    /// The recipients.
    pub recipients: Vec<Recipient>,
    /// What the sender asked for.
    pub parameters: Parameters,
    /// The size of the content in octets, line ends counted as two.
    pub size: u64,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server has taken the message for him.
    Delivered(Reply),
    /// Not now; try again later.
    Deferred(Reply),
    /// Never.
    Failed(Reply),
}

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send these octets.
    Write(Vec<u8>),
    /// Begin TLS as the client; octets that were read but not yet handed over are thrown away. Then call
    /// [`Session::tls_started`].
    StartTls,
    /// The server is ready for a message: call [`Session::send`] or [`Session::quit`].
    Ready,
    /// Give the next piece of the content with [`Session::content`], or its end with [`Session::content_end`].
    Content,
    /// What became of the message, for each recipient in the order given.
    Finished(Vec<Fate>),
    /// The server wants no mail from here, or cannot be used, for this reason. No message was under way.
    Refused(Reply),
    /// Close the connection. Nothing comes after this.
    Close,
}
