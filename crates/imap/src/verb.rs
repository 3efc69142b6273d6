//! The table of verbs: their states, what their end may tell, and the functions that carry them out.

use crate::command;
use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::sync::Poll;

/// The states of RFC 3501 section 3; the fourth, logout, takes no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    NotAuthenticated = 1,
    Authenticated = 2,
    Selected = 4,
}

const ANY: u8 = 7;
const BEFORE: u8 = State::NotAuthenticated as u8;
const AFTER: u8 = State::Authenticated as u8 | State::Selected as u8;
const INSIDE: u8 = State::Selected as u8;

/// One verb.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    /// The states in which it is allowed, as bits.
    states: u8,
    /// Whether there is a form with UID before it.
    uid: bool,
    /// What may be told at its end.
    pub(crate) poll: Poll,
    pub(crate) run: fn(&mut Core, &mut Cursor<'_>) -> Outcome,
}

type Run = fn(&mut Core, &mut Cursor<'_>) -> Outcome;

const fn verb(name: &'static str, states: u8, poll: Poll, run: Run) -> Verb {
    Verb { name, states, uid: false, poll, run }
}

const fn with_uid(name: &'static str, poll: Poll, run: Run) -> Verb {
    Verb { name, states: INSIDE, uid: true, poll, run }
}

/// All verbs, the frequent ones first.
static VERBS: [Verb; 32] = [
    with_uid("FETCH", Poll::Flags, command::fetch::fetch),
    with_uid("STORE", Poll::Flags, command::store::store),
    with_uid("SEARCH", Poll::Flags, command::search::search),
    with_uid("SORT", Poll::Flags, command::sort::sort),
    with_uid("THREAD", Poll::Flags, command::thread::thread),
    verb("NOOP", ANY, Poll::All, command::noop::noop),
    verb("IDLE", AFTER, Poll::Nothing, command::idle::idle),
    verb("STATUS", AFTER, Poll::All, command::status::status),
    verb("SELECT", AFTER, Poll::Nothing, command::select::select),
    verb("EXAMINE", AFTER, Poll::Nothing, command::select::examine),
    verb("APPEND", AFTER, Poll::All, command::append::without_literal),
    with_uid("COPY", Poll::All, command::copy::copy),
    with_uid("MOVE", Poll::All, command::relocate::relocate),
    with_uid("EXPUNGE", Poll::All, command::expunge::expunge),
    verb("CHECK", INSIDE, Poll::All, command::noop::check),
    verb("CLOSE", INSIDE, Poll::Nothing, command::close::close),
    verb("UNSELECT", INSIDE, Poll::Nothing, command::close::unselect),
    verb("LIST", AFTER, Poll::All, command::list::list),
    verb("LSUB", AFTER, Poll::All, command::lsub::lsub),
    verb("CREATE", AFTER, Poll::All, command::create::create),
    verb("DELETE", AFTER, Poll::All, command::delete::delete),
    verb("RENAME", AFTER, Poll::All, command::rename::rename),
    verb("SUBSCRIBE", AFTER, Poll::All, command::subscribe::subscribe),
    verb("UNSUBSCRIBE", AFTER, Poll::All, command::subscribe::unsubscribe),
    verb("NAMESPACE", AFTER, Poll::All, command::namespace::namespace),
    verb("ENABLE", AFTER, Poll::All, command::enable::enable),
    verb("CAPABILITY", ANY, Poll::All, command::capability::capability),
    verb("ID", ANY, Poll::All, command::id::id),
    verb("LOGOUT", ANY, Poll::Nothing, command::logout::logout),
    verb("STARTTLS", BEFORE, Poll::Nothing, command::starttls::starttls),
    verb("LOGIN", BEFORE, Poll::Nothing, command::login::login),
    verb("AUTHENTICATE", BEFORE, Poll::Nothing, command::authenticate::authenticate),
];

/// The verb that a command begins with, if it is allowed in this state. `cursor` stands behind the tag and its blank.
pub(crate) fn find(cursor: &mut Cursor<'_>, state: State) -> Result<(&'static Verb, bool), Reply> {
    let word = cursor.word()?;
    let uid = word.eq_ignore_ascii_case(b"UID");
    let word = if uid {
        cursor.space()?;
        cursor.word()?
    } else {
        word
    };
    let named = |verb: &&Verb| verb.name.as_bytes().eq_ignore_ascii_case(word) && (verb.uid || !uid);
    let verb = VERBS.iter().find(named).ok_or_else(|| Reply::bad("Unknown command"))?;
    if verb.states & state as u8 != 0 {
        return Ok((verb, uid));
    }
    Err(Reply::bad(match (state, verb.states) {
        (State::NotAuthenticated, _) => "Log in first",
        (_, BEFORE) => "Already logged in",
        _ => "Select a mailbox first",
    }))
}
