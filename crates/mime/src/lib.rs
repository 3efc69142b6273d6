//! One message: its MIME structure by offsets, decoded headers and text.
//!
//! Pure functions over the message's octets, as they stand in a Maildir file: no I/O, no mailbox, no protocol state. Every
//! input has an answer, and none costs more than a small multiple of its size ([`limits`]). Where the RFCs leave a choice,
//! or the message breaks them, the answers are Dovecot's, so that a client's cache survives the move.
//!
//! Start with [`Structure::parse`]; [`eol`] turns what it gives into what IMAP shows, and [`Facts`] is what a cache keeps. A
//! fuzzer reaches every parser through [`Facts::of`], [`Facts::decode`], [`Structure::matches_text`], [`Structure::preview`] and
//! [`Structure::binary`].

mod address;
mod binary;
mod bodystructure;
pub mod charset;
mod content;
mod date;
mod encoded;
mod envelope;
pub mod eol;
mod facts;
mod fold;
pub mod header;
mod html;
mod ids;
mod lex;
pub mod limits;
mod preview;
mod search;
mod section;
pub mod sort;
mod structure;
mod subject;
pub mod thread;
mod transfer;
mod utf7;
mod wire;

pub use address::{Address, addresses};
pub use binary::BinaryError;
pub use content::{Content, Parameter};
pub use date::{Sent, day_of};
pub use encoded::decode as decode_words;
pub use envelope::Envelope;
pub use facts::{Facts, KeptFields, Summary};
pub use fold::fold;
pub use html::html_to_text;
pub use ids::{Links, message_ids};
pub use search::{FoldedText, Needle, matches_header};
pub use section::{Section, Text};
pub use structure::{Kind, Part, PartId, Structure};
pub use subject::BaseSubject;
pub use transfer::{Encoding, Rigour};
