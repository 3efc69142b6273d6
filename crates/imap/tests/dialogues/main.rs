//! The session spoken to over its wire, with a store in memory behind it. `C:` is what the client sends, `S:` what the
//! server has to answer, line by line; `…` stands for anything, `C2:` and `S2:` are a second connection of the same account.

#[path = "../memory/mod.rs"]
mod memory;

mod append;
mod fetch;
mod flood;
mod harness;
mod idle;
mod limits;
mod login;
mod mailboxes;
mod news;
mod random;
mod resync;
mod search;
mod store;
