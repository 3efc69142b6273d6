//! ID (RFC 2971). What the client says goes to the log.

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::session::Remark;

/// Fields that a client may send (RFC 2971 section 3.3).
const MOST_FIELDS: usize = 30;

/// How much of them goes to the log, in characters.
const LOGGED: usize = 500;

/// ID.
pub(crate) fn id(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let mut fields = Vec::new();
    if cursor.peek() == Some(b'(') {
        fields = cursor.list(|cursor| {
            let name = cursor.string()?;
            cursor.space()?;
            Ok((name, cursor.nstring()?))
        })?;
    } else {
        cursor.nstring()?;
    }
    cursor.end()?;
    if fields.len() > MOST_FIELDS {
        return Err(Reply::bad("Too many fields."));
    }
    let mut text = String::new();
    for (name, value) in &fields {
        if text.len() < LOGGED {
            let value = value.as_deref().unwrap_or_default();
            text.extend(printable(name).chain("=".chars()).chain(printable(value)).chain("; ".chars()).take(LOGGED));
        }
    }
    if !text.is_empty() {
        core.remarks.push(Remark::Client(text.trim_end_matches("; ").to_owned()));
    }
    core.out.text("* ID (\"name\" \"Pillarbox\")\r\n");
    Ok(Reply::ok("ID completed.").into())
}

/// Characters that do no harm in a log.
fn printable(octets: &[u8]) -> impl Iterator<Item = char> + '_ {
    octets.iter().map(|b| if (b' '..0x7f).contains(b) { char::from(*b) } else { '?' })
}
