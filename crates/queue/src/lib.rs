//! Accepted mail on its way: which recipients of which message are ready, being delivered, put off, held or done.
//!
//! [`Queue`] is the whole: a message comes in through [`Incoming`] and is safe in the journal when it is accepted; workers
//! take one recipient at a time as a [`Job`] and say what became of it. A message that stays moves from the journal into a
//! file of its own, so that the journal's room is used again. No runtime, no sockets, no mailboxes are known here.
//! Start with `state.rs`: the states of a recipient and who may change them.

#[cfg(test)]
mod crash_tests;
mod envelope;
mod error;
mod incoming;
mod job;
mod queue;
pub mod report;
mod spool;
mod state;
#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use incoming::Incoming;
pub use job::{Content, Job};
pub use queue::{Queue, Summary};
pub use state::Progress;
