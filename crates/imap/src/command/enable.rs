//! ENABLE (RFC 5161).

use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;

/// ENABLE. What is not known is passed over.
pub(crate) fn enable(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    let mut names = Vec::new();
    while !cursor.at_end() {
        cursor.space()?;
        if cursor.at_end() {
            break;
        }
        names.push(cursor.atom()?.to_ascii_uppercase());
    }
    if names.is_empty() {
        return Err(Reply::bad("Missing capability."));
    }
    let before = core.enabled;
    let asked = |name: &[u8]| names.iter().any(|n| n == name);
    let (condstore, qresync) = (asked(b"CONDSTORE") && !before.condstore, asked(b"QRESYNC") && !before.qresync);
    core.out.text("* ENABLED");
    if condstore {
        core.out.text(" CONDSTORE");
    }
    if qresync {
        core.out.text(" QRESYNC");
    }
    core.out.end();
    if condstore || qresync {
        core.enable_condstore();
    }
    core.enabled.qresync |= qresync;
    Ok(Reply::ok("Enabled.").into())
}
