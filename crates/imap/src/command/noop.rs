//! NOOP and CHECK (RFC 3501 sections 6.1.2, 6.4.1): nothing but the news that every command's end tells.

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// NOOP.
pub(crate) fn noop(_core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    Ok(Reply::ok("NOOP completed.").into())
}

/// CHECK. What was acknowledged is durable already.
pub(crate) fn check(_core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    Ok(Reply::ok("Check completed.").into())
}
