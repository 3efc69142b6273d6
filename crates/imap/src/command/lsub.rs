//! LSUB (RFC 3501 section 6.3.9).

use std::collections::BTreeMap;

use crate::command::list::{LONGEST_PATTERNS, superiors};
use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::pattern::Pattern;
use crate::reply::Reply;

/// LSUB. Under `%`, a name that only has subscribed ones below it is there as well, as `\Noselect`.
pub(crate) fn lsub(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let reference = cursor.pattern()?;
    cursor.space()?;
    let pattern = Pattern::new(&format!("{reference}{}", cursor.pattern()?));
    cursor.end()?;
    if pattern.length() > LONGEST_PATTERNS {
        return Err(Reply::no("The pattern is too long.").code("LIMIT"));
    }
    let subscriptions = core.store()?.subscriptions()?;
    // Each name with whether it is subscribed itself.
    let mut found: BTreeMap<&str, bool> = BTreeMap::new();
    for name in &subscriptions {
        if pattern.matches(name) {
            found.insert(name, true);
        } else if pattern.has_level() {
            for above in superiors(name).filter(|above| pattern.matches(above)) {
                found.entry(above).or_insert(false);
            }
        }
    }
    for (name, subscribed) in found {
        core.out.text(if subscribed { "* LSUB () \".\" " } else { "* LSUB (\\Noselect) \".\" " });
        core.out.mailbox(name);
        core.out.end();
    }
    Ok(Reply::ok("Lsub completed.").into())
}
