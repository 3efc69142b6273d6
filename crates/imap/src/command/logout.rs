//! LOGOUT (RFC 3501 section 6.1.3).

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// LOGOUT.
pub(crate) fn logout(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    core.unselect();
    core.bye("Logging out");
    Ok(Reply::ok("Logout completed.").into())
}
