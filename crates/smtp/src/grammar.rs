//! The grammar of command lines: parsed once, into types that cannot hold a wrong value.

mod command;
mod error;
mod parameters;
mod path;

pub(crate) use command::decode_secret;
pub use command::{Command, Mail, Rcpt};
pub use error::CommandError;
pub use path::RcptPath;
