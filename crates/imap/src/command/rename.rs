//! RENAME (RFC 3501 section 6.3.5).

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::pattern::SEPARATOR;
use crate::reply::Reply;

/// RENAME. A session that has the mailbox selected keeps it, under its new name.
pub(crate) fn rename(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let from = cursor.mailbox()?;
    cursor.space()?;
    let to = cursor.mailbox()?;
    cursor.end()?;
    let to = to.strip_suffix(SEPARATOR).unwrap_or(&to);
    core.store()?.rename(&from, to)?;
    if let Some(open) = core.selected.as_mut().filter(|_| from != "INBOX") {
        let inferior = open.name.strip_prefix(&from).filter(|rest| rest.is_empty() || rest.starts_with(SEPARATOR));
        if let Some(rest) = inferior {
            open.name = format!("{to}{rest}");
        }
    }
    Ok(Reply::ok("Rename completed.").into())
}
