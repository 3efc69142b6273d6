//! CLOSE (RFC 3501 section 6.4.2) and UNSELECT (RFC 3691).

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// CLOSE: removes what has `\Deleted`, without telling, and leaves the mailbox.
pub(crate) fn close(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    let open = core.open()?;
    let expunged = if open.view.read_only() { Ok(()) } else { open.view.expunge(None) };
    core.unselect();
    expunged?;
    Ok(Reply::ok("Close completed.").into())
}

/// UNSELECT: leaves the mailbox as it is.
pub(crate) fn unselect(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    core.unselect();
    Ok(Reply::ok("Unselect completed.").into())
}
