//! DELETE (RFC 3501 section 6.3.4).

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// DELETE. A session that deletes what it has selected has nothing selected any more.
pub(crate) fn delete(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let name = cursor.mailbox()?;
    cursor.end()?;
    core.store()?.delete(&name)?;
    if core.selected.as_ref().is_some_and(|open| open.name == name) {
        core.unselect();
        core.out.text("* OK [CLOSED] The selected mailbox was deleted.\r\n");
    }
    Ok(Reply::ok("Delete completed.").into())
}
