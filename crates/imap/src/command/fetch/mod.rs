//! FETCH (RFC 3501 section 6.4.5) with CHANGEDSINCE and VANISHED (RFC 7162), BINARY (RFC 3516) and SAVEDATE (RFC 8514).
//!
//! The items are read in `items`. What the mailbox knows by itself is written in `light`, in one tight loop over many
//! messages; whatever needs a message's content is written in `heavy`, one message after the other. Either stops when the
//! output is full and goes on later: sequence numbers do not change while a FETCH runs.

mod heavy;
mod items;
mod light;

use std::collections::VecDeque;
use std::sync::Arc;

use mail::search::Key;
use mail::{Flag, Flags, ModSeq, Uid, UidSet};

use crate::command::search::{partial, slice};
use crate::content::Need;
use crate::core::{Core, Next, Outcome, Progress, Task};
use crate::frame::Input;
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::Reply;
use crate::sequence::{Numbers, positions, uids_at};
use crate::store::{Detail, Meta, Selected, StoreChange, StoreMode};
pub(crate) use items::Item;

/// Which of the messages named are meant.
#[derive(Clone, Copy, Debug, Default)]
struct Modifiers {
    /// Only what changed since.
    since: Option<ModSeq>,
    /// Tell what vanished since, too.
    vanished: bool,
    /// Only those from which to which.
    partial: Option<(i64, i64)>,
}

/// FETCH and UID FETCH.
pub(crate) fn fetch(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let numbers = Numbers::parse(cursor)?;
    cursor.space()?;
    let mut items = items::parse(cursor)?;
    let modifiers = if cursor.take(b' ') && !cursor.at_end() { modifiers(cursor)? } else { Modifiers::default() };
    cursor.end()?;
    if modifiers.vanished && !(core.uid && core.enabled.qresync) {
        return Err(Reply::bad("VANISHED needs UID FETCH and QRESYNC"));
    }
    if modifiers.partial.is_some() && !core.uid {
        return Err(Reply::bad("PARTIAL needs UID FETCH"));
    }
    if core.uid && !items.contains(&Item::Uid) {
        items.insert(0, Item::Uid);
    }
    if modifiers.since.is_some() && !items.contains(&Item::ModSeq) {
        items.push(Item::ModSeq);
    }
    let uid = core.uid;
    let open = core.open()?;
    let uids = open.view.uids();
    let mut sequence = if uid { numbers.positions(uids, &open.saved) } else { numbers.sequence(uids, &open.saved)? };
    if items.contains(&Item::ModSeq) {
        core.enable_condstore();
    }
    if let Some(since) = modifiers.since {
        sequence = changed(core, &numbers, &sequence, since, modifiers.vanished)?;
    }
    if let Some(range) = modifiers.partial {
        sequence = slice(&sequence.iter().collect::<Vec<_>>(), range).iter().copied().collect();
    }
    let mut task = Fetch::new(items, &sequence, Reply::ok("Fetch completed."));
    if task.items.iter().any(Item::sets_seen) {
        task.seen = see(core, &sequence)?;
    }
    Ok(Next::Task(Box::new(task)))
}

/// `(CHANGEDSINCE n VANISHED PARTIAL 1:50)`
fn modifiers(cursor: &mut Cursor<'_>) -> Parse<Modifiers> {
    let mut modifiers = Modifiers::default();
    cursor.list(|cursor| {
        match cursor.word()?.to_ascii_uppercase().as_slice() {
            b"CHANGEDSINCE" => {
                cursor.space()?;
                modifiers.since = Some(cursor.number()?);
            }
            b"VANISHED" => modifiers.vanished = true,
            b"PARTIAL" => {
                cursor.space()?;
                modifiers.partial = Some(partial(cursor)?);
            }
            _ => return Err(Syntax("Unknown FETCH modifier")),
        }
        Ok(())
    })?;
    if modifiers.vanished && modifiers.since.is_none() {
        return Err(Syntax("Missing CHANGEDSINCE"));
    }
    Ok(modifiers)
}

/// The messages of a set that changed since, after telling which of it vanished.
fn changed(core: &mut Core, numbers: &Numbers, sequence: &UidSet, since: ModSeq, vanished: bool) -> Result<UidSet, Reply> {
    let (open, out) = core.open_and_out()?;
    if vanished {
        // What was expunged at the end of the mailbox is beyond its last message, but within `*`.
        let last = open.view.status().uid_next.saturating_sub(1);
        let gone = open.view.vanished(since, Some(&numbers.uid_set(&[last], &open.saved, last)));
        if !gone.is_empty() {
            out.text("* VANISHED (EARLIER) ");
            out.set(&gone);
            out.end();
        }
    }
    let uids = uids_at(sequence, open.view.uids()).into_iter().collect();
    let key = Key::And(vec![Key::Uids(uids), Key::ModSeq(since.saturating_add(1))]);
    let found: UidSet = open.view.search(&key)?.into_iter().collect();
    Ok(positions(&found, open.view.uids()))
}

/// Sets `\Seen` where it is missing, and gives those messages, ascending.
fn see(core: &mut Core, sequence: &UidSet) -> Result<Vec<Uid>, Reply> {
    let (open, out) = core.open_and_out()?;
    if open.view.read_only() {
        return Ok(Vec::new());
    }
    let mut unseen = Vec::new();
    open.view.each_meta(&uids_at(sequence, open.view.uids()), Detail::default(), &mut |meta| {
        if !meta.flags.has(Flag::Seen) {
            unseen.push(meta.uid);
        }
    });
    if !unseen.is_empty() {
        let flags = Flags::NONE.with(Flag::Seen, true);
        let change = StoreChange { mode: StoreMode::Add, flags, keywords: &[], unchanged_since: None, silent: true };
        open.view.store(&unseen, &change)?;
        open.learn_all(out);
    }
    Ok(unseen)
}

/// What the items of a FETCH ask of each message.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// ENVELOPE or BODYSTRUCTURE.
    summary: bool,
    /// Header fields that the facts keep.
    fields: bool,
    /// What all other items need.
    others: Need,
    /// What has to be known of a message beyond its flags.
    detail: Detail,
}

impl Wanted {
    fn by(items: &[Item]) -> Self {
        let others = items.iter().filter(|item| !item.wants_kept_fields()).map(Item::need).max();
        Self {
            summary: items.iter().any(|item| item.need() == Need::Facts),
            fields: items.iter().any(Item::wants_kept_fields),
            others: others.unwrap_or(Need::Nothing),
            detail: Detail {
                size: items.contains(&Item::Size),
                dates: items.iter().any(|item| matches!(item, Item::InternalDate | Item::SaveDate)),
            },
        }
    }

    /// It is answered from what the mailbox knows by itself.
    fn is_light(self) -> bool {
        !self.summary && !self.fields && self.others == Need::Nothing
    }
}

/// So many messages that need facts about their content are looked up at once.
const AHEAD: usize = 32;

/// A FETCH on its way.
pub(crate) struct Fetch {
    items: Vec<Item>,
    wanted: Wanted,
    /// Ranges of sequence numbers that are still to be answered, the next one last.
    ranges: Vec<(u32, u32)>,
    /// Messages whose `\Seen` this FETCH has set: their flags are told even if they were not asked for.
    seen: Vec<Uid>,
    message: Option<heavy::Message>,
    /// What is known of the next messages; used again and again, as is the buffer for their content.
    known: Vec<Meta>,
    /// The next messages that need their content, or facts about it.
    ahead: VecDeque<(Meta, Option<Arc<[u8]>>)>,
    scratch: Vec<u8>,
    /// Something could not be answered.
    failure: Option<Reply>,
    reply: Reply,
}

impl Fetch {
    /// A FETCH of these messages, which ends with this reply.
    pub(crate) fn new(items: Vec<Item>, sequence: &UidSet, reply: Reply) -> Self {
        let wanted = Wanted::by(&items);
        let ranges = sequence.ranges().iter().rev().copied().collect();
        Self {
            items,
            wanted,
            ranges,
            seen: Vec::new(),
            message: None,
            known: Vec::new(),
            ahead: VecDeque::new(),
            scratch: Vec::new(),
            failure: None,
            reply,
        }
    }

    /// What is known of a message and, if it is asked for, the facts about its content. Those of the next ones are found with it.
    fn look_ahead(&mut self, view: &dyn Selected, sequence: u32) -> Option<(Meta, Option<Arc<[u8]>>)> {
        let uids = view.uids();
        let first = sequence as usize - 1;
        let uid = *uids.get(first)?;
        if self.ahead.is_empty() {
            // The rest of its range has just been put back.
            let last = self.ranges.last().filter(|range| range.0 == sequence + 1).map_or(sequence, |range| range.1);
            let some = uids.get(first..uids.len().min(last as usize).min(first + AHEAD))?;
            view.metas(some, self.wanted.detail, &mut self.known);
            let (mut facts, known) = (Vec::new(), self.known.drain(..));
            if self.wanted.summary || self.wanted.fields {
                let there: Vec<_> = known.as_slice().iter().map(|meta| meta.uid).collect();
                view.many_facts(&there, &mut facts);
            }
            self.ahead.extend(known.zip(facts.into_iter().chain(std::iter::repeat(None))));
        }
        self.ahead.pop_front_if(|(meta, _)| meta.uid == uid)
    }

    /// Takes at most `count` sequence numbers off the front.
    fn take(&mut self, count: u32) -> Option<(u32, u32)> {
        let (first, last) = self.ranges.pop()?;
        let end = last.min(first.saturating_add(count - 1));
        if end < last {
            self.ranges.push((end + 1, last));
        }
        Some((first, end))
    }
}

impl Task for Fetch {
    fn run(&mut self, core: &mut Core, _input: &mut Input) -> Progress {
        // Much may have changed while the client took what there was.
        self.ahead.clear();
        loop {
            if core.full() {
                return Progress::Full;
            }
            if core.leaving {
                return Progress::Starved;
            }
            if let Some(mut message) = self.message.take() {
                if !message.go_on(core, self) {
                    self.message = Some(message);
                }
                continue;
            }
            let batch = if self.wanted.is_light() { light::BATCH } else { 1 };
            let Some((first, last)) = self.take(batch) else { break };
            if self.wanted.is_light() {
                light::write(core, self, first, last);
            } else {
                self.message = heavy::begin(core, self, first);
            }
        }
        Progress::Done(self.failure.take().unwrap_or_else(|| self.reply.clone()))
    }

    fn is_amid(&self) -> bool {
        self.message.is_some()
    }
}
