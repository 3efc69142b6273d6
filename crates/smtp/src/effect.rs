//! What a session wants done, and what it wants to know.

use mail::{Address, Envelope, Parameters, ReversePath, Secret, Verdict};

/// Something for the driver to do. Those marked "asks" are answered with [`crate::Session::answer`] before anything else.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send these octets.
    Write(Vec<u8>),
    /// Begin TLS as the server; octets that were read but not yet handed over are thrown away. Then call
    /// [`crate::Session::tls_started`].
    StartTls,
    /// Asks for a verdict on MAIL.
    CheckSender {
        /// Who is named as the sender.
        sender: ReversePath,
        /// The size that was announced, in octets.
        size: Option<u64>,
        /// What else MAIL asked for.
        parameters: Parameters,
        /// Who is logged in.
        account: Option<String>,
    },
    /// Asks for a verdict on one recipient.
    CheckRecipient {
        /// The sender of this message.
        sender: ReversePath,
        /// The recipient.
        recipient: Address,
        /// Who is logged in.
        account: Option<String>,
    },
    /// Asks for a challenge, an account or a refusal: a log-in begins. An exchange that was under way is over.
    LoginStart {
        /// One of the mechanisms in the settings.
        mechanism: String,
        /// The initial response, if the client sent one; it may be empty.
        initial: Option<Secret>,
    },
    /// Asks the same: the client's answer to the challenge.
    LoginAnswer(Secret),
    /// Asks for a verdict: a message opens. Its content follows as [`Effect::Body`], then comes [`Effect::Commit`] or
    /// [`Effect::Abort`].
    Begin(Box<Envelope>),
    /// The next piece of the open message, with LF line ends. The first one begins with the Received header.
    Body(Vec<u8>),
    /// Asks for a verdict: the message is complete. Accept only when it is durable; that is what the client is told.
    Commit {
        /// Octets in all pieces of the body together.
        size: u64,
    },
    /// The open message is not wanted; forget it.
    Abort(Refusal),
    /// Close the connection, whose last reply was written. Nothing comes after this.
    Close(Closing),
}

/// The driver's answer to an effect that asks.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a check, [`Effect::Begin`], [`Effect::Commit`], and a log-in that failed.
    Verdict(Verdict),
    /// To a log-in: the next challenge, not yet in base64.
    Challenge(Vec<u8>),
    /// To a log-in: it succeeded, for this account.
    LoggedIn(String),
}

/// Why an open message was dropped by the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// LF without CR (RFC 5321 section 2.3.8): some servers take it for a line end, which lets mail be smuggled.
    #[error("550 5.6.0 Lone LF in the message: lines have to end in CR LF")]
    BareLf,
    /// CR without LF.
    #[error("550 5.6.0 Lone CR in the message: lines have to end in CR LF")]
    BareCr,
    /// More octets than `max_message_size`.
    #[error("552 5.3.4 Message too big")]
    TooBig,
    /// More Received headers than `max_hops` (RFC 5321 section 6.3).
    #[error("554 5.4.6 Too many Received headers: mail loop")]
    Loop,
    /// The client gave up: RSET, a new greeting, QUIT, or the connection is gone.
    #[error("451 4.3.0 Message given up by the client")]
    GivenUp,
    /// Time is over.
    #[error("451 4.4.2 Timeout")]
    Timeout,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closing {
    /// QUIT.
    #[error("the client said QUIT")]
    Quit,
    /// The client closed the connection.
    #[error("the client closed the connection")]
    Gone,
    /// A command, a message or the session took too long.
    #[error("a time limit was reached")]
    Timeout,
    /// The client talked before the greeting.
    #[error("the client talked before the greeting")]
    Pregreet,
    /// The client sent commands behind one that must be the last of a group (RFC 2920 section 3.1).
    #[error("the client did not wait for a reply")]
    EarlyTalk,
    /// `max_errors`.
    #[error("too many refused commands")]
    Errors,
    /// `max_commands`.
    #[error("too many commands without a message")]
    Commands,
    /// `max_login_failures`.
    #[error("too many failed log-ins")]
    Logins,
    /// The client speaks HTTP.
    #[error("the client does not speak SMTP")]
    Foreign,
    /// A command line held a lone LF.
    #[error("a lone LF in a command line")]
    BareLf,
}
