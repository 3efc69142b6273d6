//! IMAP wire grammar and server session by state, without I/O.

pub mod store;
