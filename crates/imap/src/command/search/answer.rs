//! The answers to SEARCH: `* SEARCH 1 2 3`, or `* ESEARCH` if RETURN was asked (RFC 4731).

use mail::{ModSeq, Uid};

use super::{Return, slice};
use crate::core::{Core, Open};
use crate::output::Output;
use crate::reply::Reply;
use crate::store::Detail;

/// Writes what SEARCH has found, and keeps it if that was asked. `modseq` says that the conditions had MODSEQ, so that the
/// answer tells the highest one of its messages.
pub(super) fn write(core: &mut Core, found: &[Uid], wanted: Option<Return>, modseq: bool) -> Result<(), Reply> {
    let uid = core.uid;
    let uids = core.open()?.view.uids();
    let numbers = if uid { found.to_vec() } else { sequence(found, uids) };
    write_numbers(core, "* SEARCH", found, &numbers, wanted, modseq)
}

/// Writes what SORT has found, in its order.
pub(in crate::command) fn write_sorted(core: &mut Core, found: &[Uid], wanted: Option<Return>, modseq: bool) -> Result<(), Reply> {
    let uid = core.uid;
    let uids = core.open()?.view.uids();
    let number = |found: &Uid| if uid { Some(*found) } else { crate::sequence::position(*found, uids) };
    let numbers: Vec<_> = found.iter().filter_map(number).collect();
    write_numbers(core, "* SORT", found, &numbers, wanted, modseq)
}

/// `found` are the UIDs and `numbers` what is told of them.
fn write_numbers(core: &mut Core, name: &str, found: &[Uid], numbers: &[u32], wanted: Option<Return>, modseq: bool) -> Result<(), Reply> {
    let (uid, tag) = (core.uid, core.tag.clone());
    let (open, out) = core.open_and_out()?;
    let Some(wanted) = wanted else {
        let highest = highest(open, found, modseq);
        out.text(name);
        for number in numbers {
            out.byte(b' ');
            out.number(*number);
        }
        if highest > 0 {
            out.text(" (MODSEQ ");
            out.number(highest);
            out.byte(b')');
        }
        out.end();
        return Ok(());
    };
    let meant = meant(found, wanted);
    if wanted.save {
        open.saved = meant.iter().copied().collect();
    }
    if (Return { save: false, ..wanted }) == Return::default() {
        return Ok(());
    }
    let highest = highest(open, &meant, modseq);
    out.text("* ESEARCH (TAG \"");
    out.raw(&tag);
    out.text(if uid { "\") UID" } else { "\")" });
    write_items(numbers, wanted, out);
    if highest > 0 {
        out.text(" MODSEQ ");
        out.number(highest);
    }
    out.end();
    Ok(())
}

/// The items of ESEARCH that were asked for and are not empty.
fn write_items(numbers: &[u32], wanted: Return, out: &mut Output) {
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
        write_set(numbers, out);
    }
    if let Some((one, other)) = wanted.partial {
        let (sign, low, high) = (if one < 0 { "-" } else { "" }, one.abs().min(other.abs()), one.abs().max(other.abs()));
        let shown = slice(numbers, (one, other));
        out.text(&format!(" PARTIAL ({sign}{low}:{sign}{high} "));
        if shown.is_empty() {
            out.text("NIL")
        } else {
            write_set(shown, out)
        }
        out.byte(b')');
    }
}

/// A set in the order that it has: `5,3:4,2`.
fn write_set(numbers: &[u32], out: &mut Output) {
    let runs = numbers.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    for (at, run) in runs.enumerate() {
        if at > 0 {
            out.byte(b',');
        }
        if let [first, .., last] = run {
            out.number(*first);
            out.byte(b':');
            out.number(*last);
        } else if let [only] = run {
            out.number(*only);
        }
    }
}

/// With MIN, MAX or PARTIAL alone, only these messages are meant: by SAVE (RFC 5182 section 2.4, RFC 9394 section 3.2) and by
/// MODSEQ (RFC 7162 section 3.1.5).
fn meant(found: &[Uid], wanted: Return) -> Vec<Uid> {
    if wanted.all || wanted.count || !(wanted.min || wanted.max || wanted.partial.is_some()) {
        return found.to_vec();
    }
    let mut meant: Vec<_> = wanted.partial.map_or(Vec::new(), |range| slice(found, range).to_vec());
    meant.extend(found.first().filter(|_| wanted.min));
    meant.extend(found.last().filter(|_| wanted.max));
    meant
}

/// The highest MODSEQ of these messages; 0 if it is not asked for or there are none.
fn highest(open: &Open, uids: &[Uid], asked: bool) -> ModSeq {
    let mut highest = 0;
    if asked {
        let mut ascending = uids.to_vec();
        ascending.sort_unstable();
        open.view.each_meta(&ascending, Detail::default(), &mut |meta| highest = highest.max(meta.modseq));
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
