//! What is in a mailbox: index, UIDs, modification sequences, search, change events.
//!
//! An [`Account`] is one Maildir with its mailboxes, shared by all sessions and deliveries of its owner. A session opens a
//! [`View`]: its own sequence numbers over a mailbox that others change at the same time. Messages come in by
//! [`Account::deliver`], by an [`Upload`], or from another mailbox.
//!
//! The Maildir is the truth and the index a cache: everything here follows from the files, and the index only spares
//! reading them. What must survive a power cut before the disk has it is in the journal, and is done again from there by
//! [`Account::recover`]. This crate knows no protocol. Start reading with `state.rs`.

mod account;
mod body;
mod codec;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod crowd;
mod deliver;
mod entries;
mod env;
mod error;
mod expunge;
mod facts;
mod flags;
mod gather;
mod index;
mod listing;
mod log;
mod mailbox;
mod marks;
#[cfg(test)]
mod model;
mod open;
mod record;
mod recover;
mod search;
mod special;
mod state;
mod sync;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transfer;
mod types;
mod uids;
mod upload;
mod vanished;
mod view;

pub use account::Account;
pub use body::Body;
pub use deliver::{Delivered, Delivery, Replay};
pub use entries::{KINDS, account_of};
pub use env::{Environment, Paths};
pub use error::{Error, Result};
pub use index::Indexer;
pub use mailbox::Notice;
pub use types::{Appended, Change, Copied, Detail, Listed, Meta, Pending, Status, StoreChange, StoreMode};
pub use upload::Upload;
pub use view::View;
