//! EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315).

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::sequence::Numbers;

/// EXPUNGE. What went is told by the command's end, with the HIGHESTMODSEQ that follows from it (RFC 7162 section 3.2.7).
pub(crate) fn expunge(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    let uid = core.uid;
    let open = core.open()?;
    let only = if uid {
        cursor.space()?;
        let numbers = Numbers::parse(cursor)?;
        Some(numbers.uid_set(open.view.uids(), &open.saved, 0))
    } else {
        None
    };
    cursor.end()?;
    open.view.expunge(only.as_ref())?;
    let mut reply = Reply::ok("Expunge completed.");
    reply.highest = core.enabled.qresync;
    Ok(reply.into())
}
