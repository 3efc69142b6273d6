//! The Maildir on disk: names, flags, side files, delivery.
//!
//! One message is one file; its flags are in its name ([`name`]). A mailbox is a folder in the Maildir++ layout
//! ([`folder`]) with Dovecot's side files in Dovecot's formats ([`uidlist`], [`keywords`], [`subscriptions`],
//! [`validity`]), so that Dovecot may have used the tree before and may take it back.
//!
//! This crate knows files and nothing of sessions, indexes or journals: what the messages of a mailbox *are* at a moment
//! is the business of the `mailbox` crate. Start with [`folder::Root`] and [`delivery::Incoming`].

pub mod delivery;
mod dotlock;
mod error;
pub mod folder;
pub mod keywords;
pub mod name;
pub mod scan;
pub mod subscriptions;
pub mod uidlist;
pub mod utf7;
pub mod validity;

pub use dotlock::{DotLock, Locks};
pub use error::{Error, Result};
