//! NAMESPACE (RFC 2342): one personal namespace, without prefix.

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// NAMESPACE.
pub(crate) fn namespace(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    core.out.text("* NAMESPACE ((\"\" \".\")) NIL NIL\r\n");
    Ok(Reply::ok("Namespace completed.").into())
}
