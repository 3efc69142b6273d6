//! formail(1): the header editor that half of all rule files use.
//!
//! [`Options`] is a command line that was read, [`Options::edit`] makes one message of another, [`Options::split`] cuts a mailbox or
//! digest into messages. Nothing here runs programs or writes to the standard output: that is the caller's.

mod edit;
mod fields;
mod options;
mod seen;
mod sender;
mod split;

pub use options::{Options, Split};

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// What is written out.
    pub text: Vec<u8>,
    /// Its id is in the cache of ids already.
    pub duplicate: bool,
    /// A reply was asked for, but there is no address to reply to.
    pub no_address: bool,
}

#[cfg(test)]
mod tests;
