//! Virtual aliases as Postfix has them (virtual(5), regexp_table(5), pcre_table(5)): who is behind an address.
//!
//! A [`Resolver`] is made from the maps' text and the host's names and never changes; [`Resolver::resolve`] answers for
//! one recipient with the mailboxes and foreign addresses behind it, or with the reply that refuses it, and tells which
//! lines led there. [`Resolver::lint`] finds lines that cannot mean what they say. [`edit`] changes a map's file in place.
//!
//! The crate knows no accounts: the embedder answers whether one exists. Only [`edit`] and [`read_file`] touch the disk.
//! Start reading with `resolver`, then `expand`; `token`, `list` and `site` are what an address means.

mod domain;
pub mod edit;
mod envelope;
mod expand;
mod fold;
mod lines;
mod lint;
mod list;
mod maps;
mod octets;
mod perl;
mod posix;
mod problem;
mod resolver;
mod rules;
mod site;
mod table;
mod template;
mod token;

#[cfg(test)]
mod tests;

pub use edit::read_file;
pub use maps::path;
pub use problem::{Problem, Severity};
pub use resolver::{Destination, IsAccount, Loaded, Recipient, Rejection, Resolution, Resolver, Sender, Step};
