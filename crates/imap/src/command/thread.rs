//! THREAD (RFC 5256) with REFERENCES, ORDEREDSUBJECT and Dovecot's REFS.

use mime::thread::{Algorithm, Message, thread as make_threads};

use crate::command::search::condition;
use crate::content::facts;
use crate::core::{Core, Outcome};
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::sequence::position;
use crate::store::Detail;

/// THREAD and UID THREAD.
pub(crate) fn thread(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let algorithm = match cursor.word()?.to_ascii_uppercase().as_slice() {
        b"REFERENCES" => Algorithm::References,
        b"ORDEREDSUBJECT" => Algorithm::OrderedSubject,
        b"REFS" => Algorithm::Refs,
        _ => return Err(Reply::bad("Unknown thread algorithm")),
    };
    cursor.space()?;
    let found = condition(core, cursor, None, true)?;
    let uid_form = core.uid;
    let (open, out) = core.open_and_out()?;
    let mut known = Vec::with_capacity(found.uids.len());
    let detail = Detail { dates: true, ..Detail::default() };
    open.view.each_meta(&found.uids, detail, &mut |meta| known.push((meta.uid, meta.internal_date)));
    let mut summaries = Vec::with_capacity(known.len());
    for (uid, arrival) in known {
        let facts = facts(&*open.view, uid)?;
        let number = if uid_form { Some(uid) } else { position(uid, open.view.uids()) };
        let date = facts.keys.sent.map_or(arrival, |sent| sent.unix);
        summaries.extend(number.map(|number| (number, date, facts.links, facts.keys.subject, facts.keys.is_reply)));
    }
    let messages: Vec<Message<'_>> = summaries
        .iter()
        .map(|(number, date, links, subject, is_reply)| Message { number: *number, links, subject, is_reply: *is_reply, date: *date })
        .collect();
    let threads = make_threads(algorithm, &messages);
    out.text("* THREAD");
    if !threads.is_empty() {
        out.byte(b' ');
        threads.write(out.vec());
    }
    out.end();
    Ok(Reply::ok("Thread completed.").into())
}
