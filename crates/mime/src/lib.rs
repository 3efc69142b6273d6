//! One message: its MIME structure by offsets, decoded headers and text.
//!
//! Pure functions over the message's octets, as they stand in a Maildir file: no I/O, no mailbox, no protocol state. Every
//! input has an answer, and none costs more than a small multiple of its size ([`limits`]). Where the RFCs leave a choice,
//! or the message breaks them, the answers are Dovecot's, so that a client's cache survives the move.
//!
//! Start with [`Structure::parse`]; [`eol`] turns what it gives into what IMAP shows.

mod address;
mod binary;
mod bodystructure;
pub mod charset;
mod content;
mod envelope;
pub mod eol;
pub mod header;
mod lex;
pub mod limits;
mod section;
mod structure;
mod transfer;
mod wire;

pub use address::{Address, addresses};
pub use binary::BinaryError;
pub use content::{Content, Parameter};
pub use envelope::Envelope;
pub use section::{Section, Text};
pub use structure::{Kind, Part, PartId, Structure};
pub use transfer::{Encoding, Rigour};
