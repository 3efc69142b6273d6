//! What the server offers, by state (RFC 3501 section 7.2.1). Only what is complete stands here.

use crate::core::Core;
use crate::verb::State;

/// Offered in every state.
const ALWAYS: &str = "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE";

/// Offered after log-in as well.
const LOGGED_IN: &str = " NAMESPACE UIDPLUS MULTIAPPEND UNSELECT MOVE CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE \
CREATE-SPECIAL-USE STATUS=SIZE ESEARCH SEARCHRES PARTIAL WITHIN SAVEDATE SORT SORT=DISPLAY ESORT \
THREAD=REFERENCES THREAD=ORDEREDSUBJECT THREAD=REFS CONDSTORE QRESYNC BINARY";

/// The capabilities, without the word itself.
pub(crate) fn list(core: &Core) -> String {
    let mut list = ALWAYS.to_owned();
    if core.state() != State::NotAuthenticated {
        list.push_str(LOGGED_IN);
        list.push_str(&format!(" APPENDLIMIT={}", core.settings.limits.max_message_size.0));
        return list;
    }
    if core.settings.tls && !core.peer.tls {
        list.push_str(" STARTTLS");
    }
    list.push_str(if core.private() { " AUTH=PLAIN AUTH=LOGIN" } else { " LOGINDISABLED" });
    list
}
