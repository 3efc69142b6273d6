//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 sections 6.3.6, 6.3.7).

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::pattern::SEPARATOR;
use crate::reply::Reply;

/// SUBSCRIBE. The mailbox need not exist: clients subscribe before they create.
pub(crate) fn subscribe(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    change(core, cursor, true)?;
    Ok(Reply::ok("Subscribe completed.").into())
}

/// UNSUBSCRIBE.
pub(crate) fn unsubscribe(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    change(core, cursor, false)?;
    Ok(Reply::ok("Unsubscribe completed.").into())
}

fn change(core: &Core, cursor: &mut Cursor<'_>, on: bool) -> Result<(), Reply> {
    cursor.space()?;
    let name = cursor.mailbox()?;
    cursor.end()?;
    core.store()?.subscribe(name.strip_suffix(SEPARATOR).unwrap_or(&name), on)?;
    Ok(())
}
