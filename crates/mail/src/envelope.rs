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

/// What of a message a report of failure gives back: MAIL's `RET` (RFC 3461 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// `FULL`: the whole message.
    Full,
    /// `HDRS`: its header.
    Header,
}

/// What MAIL asked for beside naming the sender. The default is a client that asked for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `BODY=8BITMIME`: the content may hold octets over 127 (RFC 6152).
    pub eight_bit: bool,
    /// `SMTPUTF8`: addresses or header may be UTF-8; the next server must offer it too (RFC 6531 section 3.5).
    pub utf8: bool,
    /// `RET`, if given (RFC 3461 section 4.3).
    pub returned: Option<Returned>,
    /// `ENVID`, decoded, printable ASCII, at most 100 octets: repeated in reports (RFC 3461 section 4.4).
    pub envelope_id: Option<String>,
}

/// Of what the sender wants to hear: RCPT's `NOTIFY` (RFC 3461 section 4.1). All false is `NEVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`: the message was delivered.
    pub success: bool,
    /// `FAILURE`: it never will be.
    pub failure: bool,
    /// `DELAY`: it takes long.
    pub delay: bool,
}

impl Default for Notify {
    /// What a client that does not say gets: reports of failure and delay.
    fn default() -> Self {
        Self { success: false, failure: true, delay: true }
    }
}

/// One `RCPT TO` that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address as the client gave it.
    pub address: Address,
    /// Which reports the sender wants.
    pub notify: Notify,
    /// `ORCPT`, decoded: the kind of address, a semicolon and the address that the sender first gave, such as
    /// `rfc822;joe@example.org` (RFC 3461 section 4.2). Printable, at most 500 octets.
    pub original: Option<String>,
}

impl From<Address> for Recipient {
    /// A recipient for whom nothing special was asked.
    fn from(address: Address) -> Self {
        Self { address, notify: Notify::default(), original: None }
    }
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
    /// What else MAIL asked for.
    pub parameters: Parameters,
    /// The peer's address; `None` for mail made on this machine.
    pub client: Option<IpAddr>,
    /// What the peer called itself in HELO or EHLO; empty if it did not.
    pub helo: String,
    /// The account that was logged in, if any.
    pub account: Option<String>,
    /// How it came.
    pub protocol: Protocol,
}
