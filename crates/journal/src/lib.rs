//! Group-committed write-ahead log: append, wait for durable, replay, release.
//!
//! What is accepted is written here first. One thread takes what has gathered from all sessions, writes it with few large
//! writes and syncs once for all that wait ([`Durable`]). What an entry stands for is then done without syncs of its own;
//! the entry is released, and its segment is used again after a checkpoint has made durable what was done.
//!
//! The journal does not know what its entries mean: their kinds, headers and notes belong to its users. Start with
//! [`Journal`]; the form on disk is told in `record.rs`, the rules for freeing segments in `keep.rs`.
//!
//! States of an entry on disk:
//!
//! | records there | after a restart |
//! |---|---|
//! | chunks only | it never was |
//! | entry or commit, durable or not | it is there, whole, if all its pieces are |
//! | and a release, machine still up or checkpoint behind it | it is gone |
//! | and a release, machine was down, no checkpoint | it is there, [`Recovered::released`] says so |

mod body;
mod commit;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
mod entry;
mod error;
mod group;
mod journal;
mod keep;
mod record;
mod replay;
mod scan;
mod segment;
mod state;
mod writer;

pub use body::{Body, Reader};
pub use entry::EntryId;
pub use error::{Error, Result};
pub use group::{Durable, Room};
pub use journal::{Journal, Recovered, Status, verify};
pub use replay::{Damage, Report};
pub use state::Checkpoint;
pub use writer::Writer;
