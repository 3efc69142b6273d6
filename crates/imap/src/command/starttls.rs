//! STARTTLS (RFC 3501 section 6.2.1). What the client sent behind it in plain text is forgotten.

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// STARTTLS.
pub(crate) fn starttls(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    if core.peer.tls {
        return Err(Reply::bad("TLS is active already."));
    }
    if !core.settings.tls {
        return Err(Reply::bad("There is no TLS here."));
    }
    core.starts_tls = true;
    Ok(Reply::ok("Begin TLS negotiation now.").into())
}
