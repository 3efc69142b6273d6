//! What can be wrong with a command line.

/// Why a line is no command. Its text is the reply, code included, without line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No verb that is known.
    #[error("500 5.5.1 Command not recognised")]
    Unknown,
    /// A verb that is known and not offered to anybody.
    #[error("502 5.5.1 Command not implemented")]
    NotImplemented,
    /// Octets that no command can hold.
    #[error("500 5.5.2 Control character or malformed UTF-8 in the command")]
    Garbage,
    /// The arguments are not those of the verb, which go like this.
    #[error("501 5.5.4 Syntax: {0}")]
    Syntax(&'static str),
    /// MAIL names no sender that could be one.
    #[error("501 5.1.7 Malformed sender address")]
    BadSender,
    /// RCPT names no recipient that could be one.
    #[error("501 5.1.3 Malformed recipient address")]
    BadRecipient,
    /// An address beyond ASCII without SMTPUTF8 (RFC 6531 section 3.4).
    #[error("553 5.6.7 Address beyond ASCII without SMTPUTF8")]
    NeedsUtf8,
    /// A parameter that is not offered (RFC 5321 section 4.1.1.11).
    #[error("555 5.5.4 Parameter not recognised")]
    UnknownParameter,
    /// A parameter with a wrong value, or one that came before.
    #[error("501 5.5.4 Malformed or repeated parameter {0}")]
    BadParameter(&'static str),
    /// The octets of a log-in are not in base64.
    #[error("501 5.5.2 Malformed base64")]
    BadBase64,
}
