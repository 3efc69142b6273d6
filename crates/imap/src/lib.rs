//! IMAP wire grammar and server session by state, without I/O.
//!
//! [`Session`] takes octets and the time, and gives octets and [`Step`]s: what the driver has to do next. It reaches mail
//! through the traits of [`store`] and knows no file and no socket. Framing is in `frame`, the grammar's words in `parse`,
//! the table of verbs and their states in `verb`, and each command in a file of its own under `command`.
//!
//! ```text
//! loop {
//!     match session.advance(Instant::now()) {
//!         Step::Write => { let n = socket.write(session.output()); session.written(n) }
//!         Step::Read => wait for octets (session.receive), a notice (session.notice) or session.deadline(),
//!         Step::Authenticate(attempt) => session.authenticated(check(attempt)),
//!         Step::Await(pending) => session.resume(pending.0.await),
//!         Step::StartTls => { handshake; session.secured() }
//!         Step::Remark(remark) => log it,
//!         Step::Close => break,
//!     }
//! }
//! ```

mod capability;
mod command;
mod content;
mod core;
mod date;
mod frame;
mod name;
mod output;
mod parse;
mod pattern;
mod reply;
mod sequence;
mod session;
pub mod store;
mod sync;
mod verb;

pub use session::{Attempt, LoginRefused, Mechanism, Notice, Peer, Remark, Session, Settings, Step};
