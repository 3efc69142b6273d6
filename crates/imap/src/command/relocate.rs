//! MOVE (RFC 6851).

use crate::command::copy::{Copying, arguments};
use crate::core::{Core, Next, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::store::Refusal;

/// MOVE.
pub(crate) fn relocate(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    let (uids, target) = arguments(core, cursor)?;
    let open = core.open()?;
    if open.view.read_only() {
        return Err(Refusal::ReadOnly.into());
    }
    if uids.is_empty() {
        return Ok(Reply::ok("No messages moved.").into());
    }
    let (copied, pending) = open.view.relocate(&uids, &target).map_err(Reply::try_create)?;
    Ok(Next::Task(Box::new(Copying { copied, pending: Some(pending), result: None, moves: true })))
}
