//! CREATE (RFC 3501 section 6.3.3) with USE (RFC 6154 section 3).

use mail::SpecialUse;

use crate::core::{Core, Outcome};
use crate::parse::{Cursor, Parse, Syntax};
use crate::pattern::SEPARATOR;
use crate::reply::Reply;

/// CREATE.
pub(crate) fn create(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let name = cursor.mailbox()?;
    let mut uses = Vec::new();
    if cursor.take(b' ') && !cursor.at_end() {
        uses = parse_uses(cursor)?;
    }
    cursor.end()?;
    // A separator at the end only says that inferior names are to come.
    let name = name.strip_suffix(SEPARATOR).unwrap_or(&name);
    if uses.len() > 1 {
        return Err(Reply::no("A mailbox has one use only.").code("USEATTR"));
    }
    let special_use = match uses.pop() {
        Some(None) => return Err(Reply::no("That use is not supported.").code("USEATTR")),
        Some(some) => some,
        None => None,
    };
    core.store()?.create(name, special_use)?;
    Ok(Reply::ok("Create completed.").into())
}

/// `(USE (\Drafts ...))`; `None` for a use that is not known.
fn parse_uses(cursor: &mut Cursor<'_>) -> Parse<Vec<Option<SpecialUse>>> {
    cursor.expect(b'(')?;
    if !cursor.word()?.eq_ignore_ascii_case(b"USE") {
        return Err(Syntax("Unknown CREATE parameter"));
    }
    cursor.space()?;
    let uses = cursor.list(|cursor| {
        cursor.expect(b'\\')?;
        let name = String::from_utf8_lossy(cursor.atom()?).into_owned();
        Ok(SpecialUse::named(&format!("\\{name}")))
    })?;
    cursor.expect(b')')?;
    Ok(uses)
}
