//! SELECT and EXAMINE (RFC 3501 sections 6.3.1, 6.3.2) with CONDSTORE and QRESYNC (RFC 7162).

use mail::{ModSeq, UidSet, UidValidity, search};

use crate::command::fetch::{Fetch, Item};
use crate::core::{Core, Next, Open, Outcome};
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::Reply;
use crate::sequence::{Numbers, positions};
use crate::sync;

/// SELECT.
pub(crate) fn select(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    enter(core, cursor, false)
}

/// EXAMINE.
pub(crate) fn examine(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    enter(core, cursor, true)
}

/// What a client knows from an earlier session.
struct Known {
    uid_validity: UidValidity,
    modseq: ModSeq,
    uids: Option<Numbers>,
}

fn enter(core: &mut Core, cursor: &mut Cursor<'_>, read_only: bool) -> Outcome {
    cursor.space()?;
    let name = cursor.mailbox()?;
    let (mut condstore, mut known) = (false, None);
    if cursor.take(b' ') && !cursor.at_end() {
        cursor.list(|cursor| {
            let word = cursor.word()?;
            if word.eq_ignore_ascii_case(b"CONDSTORE") {
                condstore = true;
            } else if word.eq_ignore_ascii_case(b"QRESYNC") {
                known = Some(parse_known(cursor)?);
            } else {
                return Err(Syntax("Unknown SELECT parameter"));
            }
            Ok(())
        })?;
    }
    cursor.end()?;
    if known.is_some() && !core.enabled.qresync {
        return Err(Reply::bad("QRESYNC is not enabled"));
    }
    if core.selected.is_some() {
        core.unselect();
        core.out.text("* OK [CLOSED] Previous mailbox closed.\r\n");
    }
    if condstore {
        core.enable_condstore();
    }
    let view = core.store()?.open(&name, read_only)?;
    greet(core, Open::new(view, name));
    let reply = Reply::ok(if read_only { "Examine completed." } else { "Select completed." });
    let read_only = core.open()?.view.read_only();
    let reply = reply.code(if read_only { "READ-ONLY" } else { "READ-WRITE" });
    match known {
        Some(known) => resynchronize(core, &known, reply),
        None => Ok(reply.into()),
    }
}

/// `(uidvalidity modseq [uids [(sequence-set uid-set)]])`. The last is a hint that is not needed here.
fn parse_known(cursor: &mut Cursor<'_>) -> Parse<Known> {
    cursor.space()?;
    cursor.expect(b'(')?;
    let uid_validity = cursor.nonzero()?;
    cursor.space()?;
    let modseq = cursor.number()?;
    let mut uids = None;
    if cursor.take(b' ') {
        if cursor.peek() != Some(b'(') {
            uids = Some(Numbers::parse(cursor)?);
        }
        if uids.is_none() || cursor.take(b' ') {
            cursor.expect(b'(')?;
            Numbers::parse(cursor)?;
            cursor.space()?;
            Numbers::parse(cursor)?;
            cursor.expect(b')')?;
        }
    }
    cursor.expect(b')')?;
    if modseq == 0 || uids == Some(Numbers::Saved) {
        return Err(Syntax("Invalid QRESYNC parameter"));
    }
    Ok(Known { uid_validity, modseq, uids })
}

/// Tells what a client has to know of a mailbox just opened.
fn greet(core: &mut Core, open: Open) {
    let status = open.view.status();
    open.write_flags(&mut core.out);
    sync::line(core, status.messages, " EXISTS\r\n");
    sync::line(core, status.recent, " RECENT\r\n");
    let unseen = if status.unseen > 0 { open.view.first_unseen() } else { None };
    let codes = [
        ("UNSEEN ", unseen.map(u64::from), "] First unseen.\r\n"),
        ("UIDVALIDITY ", Some(status.uid_validity.into()), "] UIDs valid\r\n"),
        ("UIDNEXT ", Some(status.uid_next.into()), "] Predicted next UID\r\n"),
        ("HIGHESTMODSEQ ", Some(status.highest_modseq), "] Highest\r\n"),
    ];
    for (code, number, text) in codes {
        if let Some(number) = number {
            core.out.text("* OK [");
            core.out.text(code);
            core.out.number(number);
            core.out.text(text);
        }
    }
    core.selected = Some(open);
}

/// Tells what changed since a client was here: what vanished first, then the flags (RFC 7162 section 3.2.5.1).
fn resynchronize(core: &mut Core, known: &Known, reply: Reply) -> Outcome {
    let (open, out) = core.open_and_out()?;
    let status = open.view.status();
    if known.uid_validity != status.uid_validity {
        return Ok(reply.into());
    }
    let last = status.uid_next.saturating_sub(1);
    let none = UidSet::new();
    let uids = known.uids.as_ref().map(|numbers| numbers.uid_set(&[last], &none, last));
    let vanished = open.view.vanished(known.modseq, uids.as_ref());
    if !vanished.is_empty() {
        out.text("* VANISHED (EARLIER) ");
        out.set(&vanished);
        out.end();
    }
    let changed = open.view.search(&search::Key::ModSeq(known.modseq.saturating_add(1)))?;
    let changed: UidSet = changed.into_iter().filter(|uid| uids.as_ref().is_none_or(|uids| uids.contains(*uid))).collect();
    let sequence = positions(&changed, open.view.uids());
    Ok(Next::Task(Box::new(Fetch::new(vec![Item::Uid, Item::Flags, Item::ModSeq], &sequence, reply))))
}
