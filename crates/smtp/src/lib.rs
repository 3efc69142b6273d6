//! SMTP: the wire grammar, the receiving session, the admission of clients, and the sending session ([`client`]), without
//! I/O.
//!
//! A [`Session`] takes octets and the time, and gives [`Effect`]s: write this, check that recipient, begin a message,
//! here is a piece of it, make it durable. It knows no socket, no file, no accounts and no aliases; the driver does what
//! the effects say and gives [`Answer`]s. Start reading at `session.rs`; `grammar` turns a line into a [`Command`],
//! `decode.rs` is the hot path that turns octets into content.
//!
//! Obeyed: RFC 5321, 1870 (SIZE), 2034 (ENHANCEDSTATUSCODES), 2920 (PIPELINING), 3030 (CHUNKING), 3207 (STARTTLS),
//! 3461 (DSN parameters), 4954 (AUTH), 6152 (8BITMIME), 6531 (SMTPUTF8), 8314 (the `tls` clause of Received).
//!
//! A message with NUL octets is taken as it is: whoever sends it on must know that some servers drop them.

mod admission;
pub mod client;
mod decode;
mod effect;
mod frame;
mod grammar;
mod header;
mod message;
mod session;
mod settings;
mod trace;

pub use admission::{Admission, Admitted};
pub use decode::{Decoder, Fed, Flaw};
pub use effect::{Answer, Closing, Effect, Refusal};
pub use grammar::{Command, CommandError, Mail, Rcpt, RcptPath};
pub use session::Session;
pub use settings::{Now, Peer, Role, Settings, Tls};
