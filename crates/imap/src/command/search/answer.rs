//! The answers to SEARCH: `* SEARCH 1 2 3`, or `* ESEARCH` if RETURN was asked (RFC 4731).

use mail::{ModSeq, Uid, UidSet};

use super::Return;
use crate::core::{Core, Open};
use crate::reply::Reply;

/// Writes what was found, and keeps it if that was asked. `modseq` says that the conditions had MODSEQ, so that the answer
/// tells the highest one of its messages.
pub(super) fn write(core: &mut Core, found: &[Uid], wanted: Option<Return>, modseq: bool) -> Result<(), Reply> {
    let uid = core.uid;
    let tag = core.tag.clone();
    let (open, out) = core.open_and_out()?;
    let Some(wanted) = wanted else {
        let highest = highest(open, found, modseq);
        let numbers = if uid { found.to_vec() } else { sequence(found, open.view.uids()) };
        out.text("* SEARCH");
        for number in numbers {
            out.byte(b' ');
            out.number(number);
        }
        if highest > 0 {
            out.text(" (MODSEQ ");
            out.number(highest);
            out.byte(b')');
        }
        out.end();
        return Ok(());
    };
    let ends = ends(found, wanted);
    if wanted.save {
        open.saved = ends.as_deref().unwrap_or(found).iter().copied().collect();
    }
    if !(wanted.min || wanted.max || wanted.all || wanted.count) {
        return Ok(());
    }
    let highest = highest(open, ends.as_deref().unwrap_or(found), modseq);
    let numbers = if uid { found.to_vec() } else { sequence(found, open.view.uids()) };
    out.text("* ESEARCH (TAG \"");
    out.raw(&tag);
    out.text(if uid { "\") UID" } else { "\")" });
    let mut item = |name: &str, number: Option<u64>| {
        if let Some(number) = number {
            out.text(name);
            out.number(number);
        }
    };
    item(" MIN ", numbers.first().filter(|_| wanted.min).map(|n| u64::from(*n)));
    item(" MAX ", numbers.last().filter(|_| wanted.max).map(|n| u64::from(*n)));
    item(" COUNT ", wanted.count.then_some(numbers.len() as u64));
    if wanted.all && !numbers.is_empty() {
        out.text(" ALL ");
        out.set(&numbers.iter().copied().collect::<UidSet>());
    }
    if highest > 0 {
        out.text(" MODSEQ ");
        out.number(highest);
    }
    out.end();
    Ok(())
}

/// With MIN or MAX alone, only these messages are meant: by SAVE (RFC 5182 section 2.4) and by MODSEQ (RFC 7162 section 3.1.5).
fn ends(found: &[Uid], wanted: Return) -> Option<Vec<Uid>> {
    if wanted.all || wanted.count || !(wanted.min || wanted.max) {
        return None;
    }
    let min = found.first().filter(|_| wanted.min);
    let max = found.last().filter(|_| wanted.max);
    Some(min.into_iter().chain(max).copied().collect())
}

/// The highest MODSEQ of these messages; 0 if it is not asked for or there are none.
fn highest(open: &Open, uids: &[Uid], asked: bool) -> ModSeq {
    let mut highest = 0;
    if asked {
        open.view.each_meta(uids, &mut |meta| highest = highest.max(meta.modseq));
    }
    highest
}

/// The sequence numbers of messages of the view.
fn sequence(found: &[Uid], uids: &[Uid]) -> Vec<u32> {
    if found.len() * 16 < uids.len() {
        return found.iter().filter_map(|uid| crate::sequence::position(*uid, uids)).collect();
    }
    let mut at = 0;
    let mut numbers = Vec::with_capacity(found.len());
    for uid in found {
        while uids.get(at).is_some_and(|here| here < uid) {
            at += 1;
        }
        if uids.get(at) == Some(uid) {
            numbers.push(at as u32 + 1);
        }
    }
    numbers
}
