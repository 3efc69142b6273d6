//! SEARCH (RFC 3501 section 6.4.4) with RETURN (RFC 4731), SAVE (RFC 5182), PARTIAL (RFC 9394), MODSEQ (RFC 7162), WITHIN
//! (RFC 5032) and SAVEDATE (RFC 8514). The conditions are read in `keys`, the answer is written in `answer`; SORT and THREAD
//! use both.

pub(super) mod answer;
mod keys;

use mail::{Uid, UidSet};

use crate::core::{Core, Outcome};
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::{Condition, Reply};

/// What is to be told of the messages found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Return {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
    save: bool,
    /// From which to which of the messages found, as written: counted from 1, from the end if negative.
    partial: Option<(i64, i64)>,
}

/// What was found.
pub(super) struct Found {
    /// The messages, ascending.
    pub(super) uids: Vec<Uid>,
    /// One of the conditions was MODSEQ.
    pub(super) modseq: bool,
}

/// SEARCH and UID SEARCH.
pub(crate) fn search(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let wanted = options(cursor)?;
    let found = condition(core, cursor, wanted, false)?;
    answer::write(core, &found.uids, wanted, found.modseq)?;
    Ok(Reply::ok("Search completed.").into())
}

/// Reads the conditions up to the command's end and looks for messages. `charset_first` says that they begin with the name
/// of the charset alone, as in SORT.
pub(super) fn condition(core: &mut Core, cursor: &mut Cursor<'_>, wanted: Option<Return>, charset_first: bool) -> Result<Found, Reply> {
    let (depth, most) = (core.settings.limits.max_search_depth, core.settings.limits.max_search_keys);
    let open = core.open()?;
    let mut keys = keys::Keys::new(open, depth, most);
    let parsed = keys.parse(cursor, charset_first);
    let modseq = keys.modseq;
    let found = parsed.and_then(|key| Ok(open.view.search(&key)?));
    let refused = found.as_ref().is_err_and(|reply| reply.condition == Condition::No);
    if refused && wanted.is_some_and(|wanted| wanted.save) {
        // A SEARCH that is refused leaves nothing saved (RFC 5182 section 2.1).
        open.saved = UidSet::new();
    }
    let uids = found?;
    if modseq {
        core.enable_condstore();
    }
    Ok(Found { uids, modseq })
}

/// `RETURN (MIN MAX ALL COUNT SAVE PARTIAL 1:50) `, if that comes next; nothing in it is the same as ALL.
pub(super) fn options(cursor: &mut Cursor<'_>) -> Parse<Option<Return>> {
    let mut rest = cursor.clone();
    if !rest.word().is_ok_and(|word| word.eq_ignore_ascii_case(b"RETURN")) {
        return Ok(None);
    }
    *cursor = rest;
    cursor.space()?;
    let mut wanted = Return::default();
    cursor.list(|cursor| {
        match cursor.word()?.to_ascii_uppercase().as_slice() {
            b"MIN" => wanted.min = true,
            b"MAX" => wanted.max = true,
            b"ALL" => wanted.all = true,
            b"COUNT" => wanted.count = true,
            b"SAVE" => wanted.save = true,
            b"PARTIAL" => {
                cursor.space()?;
                wanted.partial = Some(partial(cursor)?);
            }
            _ => return Err(Syntax("Unknown return option")),
        }
        Ok(())
    })?;
    cursor.space()?;
    if wanted.all && wanted.partial.is_some() {
        return Err(Syntax("ALL and PARTIAL exclude each other"));
    }
    if wanted == Return::default() {
        wanted.all = true;
    }
    Ok(Some(wanted))
}

/// `1:50` or `-1:-50`, both from the same end.
pub(crate) fn partial(cursor: &mut Cursor<'_>) -> Parse<(i64, i64)> {
    let end = |cursor: &mut Cursor<'_>| {
        let sign = if cursor.take(b'-') { -1 } else { 1 };
        Ok(sign * i64::from(cursor.nonzero()?))
    };
    let one = end(cursor)?;
    cursor.expect(b':')?;
    let other = end(cursor)?;
    if (one < 0) == (other < 0) { Ok((one, other)) } else { Err(Syntax("Invalid partial range")) }
}

/// The part of `all` that a partial range means.
pub(crate) fn slice<T>(all: &[T], (one, other): (i64, i64)) -> &[T] {
    let (low, high) = (one.abs().min(other.abs()) as usize, one.abs().max(other.abs()) as usize);
    let (begin, end) = if one > 0 {
        ((low - 1).min(all.len()), high.min(all.len()))
    } else {
        (all.len().saturating_sub(high), all.len().saturating_sub(low - 1))
    };
    all.get(begin..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_ranges() {
        let check = |text: &str, expected: Option<&[u8]>| {
            let mut cursor = Cursor::new(text.as_bytes());
            let range = partial(&mut cursor).ok().filter(|_| cursor.at_end());
            assert_eq!(range.map(|range| slice(&[1, 2, 3, 4, 5], range)), expected, "{text}");
        };
        check("1:2", Some(&[1, 2]));
        check("4:2", Some(&[2, 3, 4]));
        check("4:9", Some(&[4, 5]));
        check("6:9", Some(&[]));
        check("-1:-2", Some(&[4, 5]));
        check("-4:-9", Some(&[1, 2]));
        check("-6:-9", Some(&[]));
        for wrong in ["1", "1:*", "*:1", "0:1", "1:-1", "-1:1", "", "1:", "1:2:3"] {
            check(wrong, None);
        }
    }
}
