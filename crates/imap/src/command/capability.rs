//! CAPABILITY (RFC 3501 section 6.1.1).

use crate::capability;
use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// CAPABILITY.
pub(crate) fn capability(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    let list = capability::list(core);
    core.out.text("* CAPABILITY ");
    core.out.text(&list);
    core.out.end();
    Ok(Reply::ok("Capability completed.").into())
}
