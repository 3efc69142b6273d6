//! STORE (RFC 3501 section 6.4.6) with UNCHANGEDSINCE (RFC 7162 section 3.1.3).

use mail::{Flag, Flags, Keyword, ModSeq, Uid, UidSet};

use crate::command::fetch::{Fetch, Item};
use crate::core::{Core, Next, Open, Outcome};
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::Reply;
use crate::sequence::{Numbers, positions, uids_at};
use crate::store::{Detail, Refusal, StoreChange, StoreMode};

/// Flags as a client names them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) flags: Flags,
    pub(crate) keywords: Vec<Keyword>,
}

/// STORE.
///
/// The store is asked not to tell the session's own change, since it is answered here: a FETCH for every message that was
/// named and is there, whether it changed or not, and under `.SILENT` only the new MODSEQ.
pub(crate) fn store(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let numbers = Numbers::parse(cursor)?;
    cursor.space()?;
    let unchanged_since = if cursor.peek() == Some(b'(') { Some(modifier(cursor)?) } else { None };
    let (mode, silent) = how(cursor)?;
    cursor.space()?;
    let named = flags(cursor)?;
    cursor.end()?;
    if unchanged_since.is_some() {
        core.enable_condstore();
    }
    let (uid, condstore) = (core.uid, core.enabled.condstore);
    let (open, out) = core.open_and_out()?;
    let uids = open.view.uids();
    let sequence = if uid { numbers.positions(uids, &open.saved) } else { numbers.sequence(uids, &open.saved)? };
    if open.view.read_only() {
        return Err(Refusal::ReadOnly.into());
    }
    let chosen = uids_at(&sequence, uids);
    let change = StoreChange { mode, flags: named.flags, keywords: &named.keywords, unchanged_since, silent: true };
    let modified = open.view.store(&chosen, &change)?;
    open.learn_all(out);
    let mut reply = Reply::ok("Store completed.");
    if !modified.is_empty() {
        let left = positions(&modified, open.view.uids());
        reply = Reply::ok("Conditional store left some messages alone.");
        reply = reply.code(format!("MODIFIED {}", if uid { &modified } else { &left }));
    }
    let items = match (silent, condstore) {
        (true, false) => return Ok(reply.into()),
        (true, true) => vec![Item::Uid, Item::ModSeq],
        (false, true) => vec![Item::Uid, Item::ModSeq, Item::Flags],
        (false, false) => vec![Item::Uid, Item::Flags],
    };
    let done = positions(&done(open, &chosen, &modified, &change), open.view.uids());
    Ok(Next::Task(Box::new(Fetch::new(items, &done, reply))))
}

/// The messages that are now as they were to become. Others have been expunged, or changed again by another session, of
/// which the news will tell.
fn done(open: &Open, chosen: &[Uid], modified: &UidSet, change: &StoreChange<'_>) -> UidSet {
    let bit = |keyword: &Keyword| open.keywords.iter().position(|known| known == keyword).map_or(0, |at| 1u64 << at.min(63));
    let bits = change.keywords.iter().fold(0, |bits, keyword| bits | bit(keyword));
    let mut found = UidSet::new();
    open.view.each_meta(chosen, Detail::default(), &mut |meta| {
        let (flags, keywords) = (meta.flags, meta.keywords);
        let as_asked = match change.mode {
            StoreMode::Replace => flags == change.flags && keywords == bits,
            StoreMode::Add => flags.union(change.flags) == flags && keywords & bits == bits,
            StoreMode::Remove => flags.without(change.flags) == flags && keywords & bits == 0,
        };
        if as_asked && !modified.contains(meta.uid) {
            found.insert(meta.uid);
        }
    });
    found
}

/// `(UNCHANGEDSINCE n) `
fn modifier(cursor: &mut Cursor<'_>) -> Parse<ModSeq> {
    cursor.expect(b'(')?;
    if !cursor.word()?.eq_ignore_ascii_case(b"UNCHANGEDSINCE") {
        return Err(Syntax("Unknown STORE modifier"));
    }
    cursor.space()?;
    let modseq = cursor.number()?;
    cursor.expect(b')')?;
    cursor.space()?;
    Ok(modseq)
}

/// `+FLAGS.SILENT`
fn how(cursor: &mut Cursor<'_>) -> Parse<(StoreMode, bool)> {
    let mode = if cursor.take(b'+') {
        StoreMode::Add
    } else if cursor.take(b'-') {
        StoreMode::Remove
    } else {
        StoreMode::Replace
    };
    match cursor.word()?.to_ascii_uppercase().as_slice() {
        b"FLAGS" => Ok((mode, false)),
        b"FLAGS.SILENT" => Ok((mode, true)),
        _ => Err(Syntax("Unknown STORE item")),
    }
}

/// Flags in parentheses, or bare.
pub(crate) fn flags(cursor: &mut Cursor<'_>) -> Result<Named, Reply> {
    let mut named = Named::default();
    let mut too_long = false;
    let mut one = |cursor: &mut Cursor<'_>| {
        if cursor.take(b'\\') {
            let name = cursor.atom()?;
            let flag = Flag::ALL.into_iter().find(|flag| flag.name().as_bytes()[1..].eq_ignore_ascii_case(name));
            named.flags = named.flags.with(flag.ok_or(Syntax("Invalid system flag"))?, true);
            return Ok(());
        }
        let atom = String::from_utf8_lossy(cursor.atom()?);
        match atom.parse::<Keyword>() {
            Ok(keyword) if !named.keywords.contains(&keyword) => named.keywords.push(keyword),
            Ok(_) => {}
            Err(_) if atom.len() > Keyword::LONGEST => too_long = true,
            Err(_) => return Err(Syntax("Invalid flag")),
        }
        Ok(())
    };
    if cursor.peek() == Some(b'(') {
        cursor.list(one)?;
    } else {
        one(cursor)?;
        while cursor.peek() == Some(b' ') && cursor.clone().end().is_err() {
            cursor.space()?;
            one(cursor)?;
        }
    }
    if too_long {
        return Err(Reply::no("Keyword too long.").code("LIMIT"));
    }
    if named.keywords.len() > 64 {
        return Err(Reply::no("Too many keywords.").code("LIMIT"));
    }
    Ok(named)
}
