//! SEARCH (RFC 3501 section 6.4.4) with RETURN (RFC 4731), SAVE (RFC 5182), MODSEQ (RFC 7162), WITHIN (RFC 5032) and
//! SAVEDATE (RFC 8514). The conditions are read in `keys`, the answer is written in `answer`.

mod answer;
mod keys;

use mail::search::Key;

use crate::core::{Core, Outcome};
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::Reply;

/// What is to be told of the messages found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Return {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
    save: bool,
}

/// SEARCH and UID SEARCH.
pub(crate) fn search(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let mut wanted = None;
    let mut rest = cursor.clone();
    if rest.word().is_ok_and(|word| word.eq_ignore_ascii_case(b"RETURN")) {
        rest.space()?;
        wanted = Some(options(&mut rest)?);
        rest.space()?;
        *cursor = rest;
    }
    let depth = core.settings.limits.max_search_depth;
    let open = core.open()?;
    let mut keys = keys::Keys::new(open, depth);
    let parsed = keys.parse(cursor);
    let modseq = keys.modseq;
    let found = parsed.and_then(|key| find(core, &key));
    if wanted.is_some_and(|wanted| wanted.save) && found.as_ref().is_err_and(|reply| reply.condition == crate::reply::Condition::No) {
        // A SEARCH that is refused leaves nothing saved (RFC 5182 section 2.1).
        core.open()?.saved = mail::UidSet::new();
    }
    let found = found?;
    if modseq {
        core.enable_condstore();
    }
    answer::write(core, &found, wanted, modseq)?;
    Ok(Reply::ok("Search completed.").into())
}

fn find(core: &mut Core, key: &Key) -> Result<Vec<mail::Uid>, Reply> {
    Ok(core.open()?.view.search(key)?)
}

/// `(MIN MAX ALL COUNT SAVE)`; nothing is the same as ALL.
fn options(cursor: &mut Cursor<'_>) -> Parse<Return> {
    let mut wanted = Return::default();
    cursor.list(|cursor| {
        match cursor.word()?.to_ascii_uppercase().as_slice() {
            b"MIN" => wanted.min = true,
            b"MAX" => wanted.max = true,
            b"ALL" => wanted.all = true,
            b"COUNT" => wanted.count = true,
            b"SAVE" => wanted.save = true,
            _ => return Err(Syntax("Unknown SEARCH return option")),
        }
        Ok(())
    })?;
    if wanted == Return::default() {
        wanted.all = true;
    }
    Ok(wanted)
}
