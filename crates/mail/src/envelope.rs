//! What travels with a message but is not part of it (RFC 5321 section 2.3.1).

use std::fmt;
use std::net::IpAddr;

use crate::{Address, MessageId, ReversePath};

/// How the message came: the `with` word of its Received header (RFC 3848, RFC 6531 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HELO.
    Smtp,
    /// EHLO; with TLS `ESMTPS`, with log-in `ESMTPA`, with both `ESMTPSA`. With SMTPUTF8 the `UTF8SMTP…` forms.
    Esmtp {
        /// The session was encrypted.
        tls: bool,
        /// The client had logged in.
        authenticated: bool,
        /// MAIL carried SMTPUTF8.
        utf8: bool,
    },
    /// Handed over on this machine, by `sendmail` or `mailctl`.
    Local,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Smtp => f.write_str("SMTP"),
            Self::Local => f.write_str("local"),
            Self::Esmtp { tls, authenticated, utf8 } => {
                f.write_str(if utf8 { "UTF8SMTP" } else { "ESMTP" })?;
                f.write_str(if tls { "S" } else { "" })?;
                f.write_str(if authenticated { "A" } else { "" })
            }
        }
    }
}

/// One `RCPT TO` that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address as the client gave it.
    pub address: Address,
}

/// Everything that SMTP said of a message beside its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The message's one name in this house.
    pub id: MessageId,
    /// Who hears of a failure.
    pub reverse_path: ReversePath,
    /// To whom it goes, in the order given, without exact repetitions.
    pub recipients: Vec<Recipient>,
    /// The peer's address; `None` for mail made on this machine.
    pub client: Option<IpAddr>,
    /// What the peer called itself in HELO or EHLO; empty if it did not.
    pub helo: String,
    /// The account that was logged in, if any.
    pub account: Option<String>,
    /// How it came.
    pub protocol: Protocol,
}
