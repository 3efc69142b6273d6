//! The nouns that three crates or more speak: every hand-over in the pipeline is a value from here.
//!
//! No I/O, no configuration, no helpers. Start with [`Envelope`]: it is what an SMTP session makes and
//! everything after it carries along.

mod address;
mod envelope;
mod flags;
mod id;
mod reply;
pub mod search;
mod secret;
mod uid;

pub use address::{Address, AddressError, Domain, ReversePath};
pub use envelope::{Envelope, Notify, Parameters, Protocol, Recipient, Returned};
pub use flags::{Flag, Flags, Keyword, SpecialUse};
pub use id::MessageId;
pub use reply::{Enhanced, Reply, Verdict};
pub use secret::Secret;
pub use uid::{ModSeq, Uid, UidSet, UidValidity};
