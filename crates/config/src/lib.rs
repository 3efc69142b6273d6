//! The one typed configuration. Each library has a section type here, in a file of its own, written with [`section!`]:
//! a key's doc comment, type and default stand once and serve the code, the commented sample, and the error messages.
//!
//! Only the two binaries load the file ([`Config::parse`]) and see the whole; a library takes its section.
//! All errors are found in one pass, each with line, column and the nearest key ([`Problem`]).

mod load;
#[macro_use]
mod section;
mod sample;
mod value;

// One file for each section; register it here, below in `pub use`, and in `config!` in load.rs.
mod alias;
mod auth;
mod filter;
mod imap;
mod journal;
mod mailbox;
mod maildir;
mod queue;
mod server;
mod smtp;

pub use alias::Alias;
pub use auth::Auth;
pub use filter::Filter;
pub use imap::Imap;
pub use journal::Journal;
pub use load::{Config, Described, Problem};
pub use mailbox::Mailbox;
pub use maildir::Maildir;
pub use queue::Queue;
pub use section::{Key, Section};
pub use server::Server;
pub use smtp::Smtp;
pub use value::{Choice, Setting, Size};
