//! All that is known of one mailbox, behind its lock: counters, the table of messages when somebody needs it, the log for
//! sessions. This file holds the parts and the single steps; `open.rs` fills it, `sync.rs` compares it with the folder.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::task::Waker;
use std::time::{Duration, Instant};

use mail::{Keyword, ModSeq, Uid, UidValidity};
use maildir::delivery::path_of;
use maildir::keywords::Keywords;
use maildir::name;
use maildir::scan::{self, Place};
use maildir::uidlist::{self, Locked, NewLine, Stamp, UidList};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::log::{Event, Log};
use crate::record::{Bits, Message, NO_DATE, NO_SIZE, Row, short_size};
use crate::table::{Counts, Table};
use crate::types::Status;
use crate::vanished::Vanished;

/// How far modification sequences may go on after one write of the mark: a second of the clock.
const BOUND_STEP: u64 = 1_000_000;

/// Lines of the UID list whose files are gone, beyond as many as there are messages, before it is written anew.
const DEAD_LINES: u32 = 1_000;

/// The soonest that names in `new` and in `cur` are read again because of a doubt.
pub(crate) const SOONEST_NEW: Duration = Duration::from_secs(2);
pub(crate) const SOONEST_CUR: Duration = Duration::from_secs(30);

/// When `new` and `cur` last changed as far as everything in them is known, nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) new: i64,
    pub(crate) cur: i64,
}

/// When to look again, beside when the folders' times change.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) checked: Option<Instant>,
    pub(crate) hinted: bool,
    /// What others did in the same tick of the file system's clock as we may have been missed.
    pub(crate) suspect_new: bool,
    pub(crate) suspect_cur: bool,
    pub(crate) due_new: Option<Instant>,
    pub(crate) due_cur: Option<Instant>,
}

impl Watch {
    /// We changed the folders; what others did in the same moment has left no trace.
    fn doubt(&mut self, before: Seen, after: Seen) {
        if before.new != after.new {
            self.suspect_new = true;
            self.due_new.get_or_insert_with(|| Instant::now() + SOONEST_NEW);
        }
        if before.cur != after.cur {
            self.suspect_cur = true;
            self.due_cur.get_or_insert_with(|| Instant::now() + SOONEST_CUR);
        }
    }
}

/// A message that has its UID but cannot be shown yet.
#[derive(Debug)]
pub(crate) enum Parked {
    /// Its file, of this base, is on its way.
    Awaited(Box<[u8]>),
    /// It is there, and waits for those with lower UIDs.
    Here(Message),
}

impl Parked {
    /// The base of its file's name.
    fn name(&self) -> &[u8] {
        match self {
            Self::Awaited(name) => name,
            Self::Here(message) => &message.name,
        }
    }
}

/// One mailbox.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// The rest is filled.
    pub(crate) opened: bool,
    /// The mailbox was deleted or replaced.
    pub(crate) gone: bool,
    /// The mailbox's number in index and marks; 0 without an index.
    pub(crate) slot: u32,
    pub(crate) validity: UidValidity,
    pub(crate) next: Uid,
    pub(crate) guid: String,
    /// The state of the UID list that `next` and the table agree with.
    pub(crate) stamp: Option<Stamp>,
    /// All lines of the UID list below this UID are known.
    pub(crate) listed: Uid,
    /// Another program added lines that were not sorted in yet.
    pub(crate) unread: bool,
    /// Lines in the UID list.
    pub(crate) lines: u32,
    pub(crate) seen: Seen,
    pub(crate) watch: Watch,
    pub(crate) highest: ModSeq,
    /// The mark that is on disk, and whether it says that the index is behind.
    pub(crate) bound: u64,
    pub(crate) behind: bool,
    pub(crate) vanished: Vanished,
    pub(crate) keywords: Keywords,
    /// The counts while there is no table.
    pub(crate) counts: Counts,
    /// Messages that came while there was no table.
    pub(crate) tail: Vec<Message>,
    pub(crate) table: Option<Table>,
    /// What follows the base in the names of those files where it is not what we would write.
    pub(crate) odd: HashMap<Uid, Box<[u8]>>,
    /// UIDs that were given away but whose messages are not there yet, and messages that came after them.
    pub(crate) parked: BTreeMap<Uid, Parked>,
    /// The bases in `parked`: a look into the folder must not give these files another UID.
    pub(crate) expected: HashSet<Box<[u8]>>,
    pub(crate) log: Log,
    /// Counts changes, for the index.
    pub(crate) generation: u64,
    /// Messages that clients put here, which no read-write session has been told of. Those in `new` are recent anyway; this
    /// is forgotten with the process, as `\Recent` may be.
    pub(crate) recent: BTreeSet<Uid>,
    /// Who waits until something is shown.
    pub(crate) wakers: Vec<Waker>,
    /// The index is to forget all pages first.
    pub(crate) rebuilt: bool,
    /// The facts of messages that are gone, for the index to forget.
    pub(crate) forgotten: Vec<Uid>,
}

impl State {
    pub(crate) fn counts(&self) -> Counts {
        self.table.as_ref().map_or(self.counts, Table::counts)
    }

    /// Whether no read-write session has been told of a message.
    pub(crate) fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(&uid) || self.table.as_ref().is_some_and(|table| table.fresh().contains(&uid))
    }

    /// Messages in `new`, and those that clients put into `cur`.
    fn recent_count(&self, fresh: u32) -> u32 {
        let in_new = |uid: &&Uid| self.table.as_ref().and_then(|t| t.row(**uid)).is_some_and(|row| row.bits.place() == Place::New);
        let in_cur = self.recent.iter().filter(|uid| !in_new(uid) && !self.parked.contains_key(uid)).count();
        fresh + u32::try_from(in_cur).unwrap_or(u32::MAX)
    }

    /// The counts as IMAP wants them. UIDs that were given away are ahead of every UID that is told.
    pub(crate) fn status(&self) -> Status {
        let counts = self.counts();
        Status {
            messages: counts.messages,
            recent: self.recent_count(counts.recent),
            unseen: counts.unseen,
            deleted: counts.deleted,
            uid_next: self.parked.keys().next().copied().unwrap_or(self.next),
            uid_validity: self.validity,
            highest_modseq: self.highest.max(1),
            size: counts.size,
        }
    }

    /// The next modification sequence: ascending, and ahead of all that were told before a crash.
    pub(crate) fn next_modseq(&mut self, env: &Env) -> ModSeq {
        let modseq = env.world.clock.micros().max(self.highest + 1);
        if (modseq >= self.bound || !self.behind) && self.slot > 0 {
            self.bound = modseq + BOUND_STEP;
            self.behind = true;
            env.marks.set(self.slot, self.bound, true);
        }
        self.highest = modseq;
        self.generation += 1;
        modseq
    }

    /// What follows the base in the name of a message's file.
    pub(crate) fn suffix(&self, uid: Uid, bits: Bits) -> Vec<u8> {
        match self.odd.get(&uid) {
            Some(odd) => odd.to_vec(),
            None => canonical(bits),
        }
    }

    /// Where a message's file is.
    pub(crate) fn path(&self, uid: Uid) -> Option<PathBuf> {
        let table = self.table.as_ref()?;
        let row = table.row(uid)?;
        Some(path_of(&self.folder, row.bits.place(), table.name(uid)?, &self.suffix(uid, row.bits)))
    }

    /// Remembers what follows the base of a file's name, if it is not what we would write.
    pub(crate) fn note_suffix(&mut self, uid: Uid, bits: Bits, suffix: &[u8]) {
        if canonical(bits) == suffix {
            self.odd.remove(&uid);
        } else {
            self.odd.insert(uid, suffix.into());
        }
    }

    /// Keywords in the order of their bits. A letter that nobody named is called as Dovecot would.
    pub(crate) fn keyword_list(&self) -> Vec<Keyword> {
        let name = |(n, slot): (usize, &Option<Keyword>)| slot.clone().or_else(|| format!("unknown-{n}").parse().ok());
        self.keywords.slots().iter().enumerate().filter_map(name).collect()
    }

    /// The bits of keywords, which become known to the mailbox if they are not. `None` if there are too many.
    pub(crate) fn keyword_bits(&mut self, env: &Env, keywords: &[Keyword]) -> Result<u32> {
        if keywords.iter().any(|keyword| self.keywords.number(keyword).is_none()) {
            let used = if self.table.is_some() { self.used_letters() } else { 0 };
            let extended = Keywords::extend(&env.locks, &self.folder, keywords, used)?;
            let too_many = || Error::Limit(format!("a mailbox can have at most {} keywords", name::KEYWORDS));
            self.keywords = extended.ok_or_else(too_many)?;
            self.generation += 1;
            self.log.push(Event::Keywords);
        }
        Ok(self.known_bits(keywords))
    }

    /// The bits of those keywords that the mailbox has.
    pub(crate) fn known_bits(&self, keywords: &[Keyword]) -> u32 {
        keywords.iter().filter_map(|keyword| self.keywords.number(keyword)).fold(0, |bits, n| bits | 1 << n)
    }

    /// Letters that stand in names, with or without a keyword to them. Only asked when a keyword is new.
    fn used_letters(&self) -> u32 {
        self.table.iter().flat_map(Table::rows).fold(0, |bits, (_, row)| bits | row.bits.keywords())
    }

    /// Does something to the folders, and keeps in mind that the change of their times is ours. What another program does
    /// in the same moment is found later, see [`Watch`].
    pub(crate) fn own<T>(&mut self, env: &Env, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.look(env);
        let result = work(self);
        if before.is_ok_and(|before| before == self.seen)
            && let Ok(after) = self.look(env)
        {
            self.watch.doubt(self.seen, after);
            self.seen = after;
        }
        self.generation += 1;
        result
    }

    /// When the folders last changed.
    pub(crate) fn look(&self, env: &Env) -> Result<Seen> {
        let modified = |place| scan::modified(env.disk(), &self.folder, place);
        Ok(Seen { new: modified(Place::New)?, cur: modified(Place::Cur)? })
    }

    /// Gives UIDs to files: writes their lines into the UID list, ascending. With `sync` they are durable.
    pub(crate) fn give_uids(&mut self, env: &Env, names: &[&[u8]], sync: bool) -> Result<Uid> {
        self.give_uids_with(env, names, sync, |_, _| Ok(names.len()))
    }

    /// As [`State::give_uids`], with something done between the choice of the first UID and the writing, while other
    /// programs are kept out: a line then proves that it was done. `work` says for how many of the names it was.
    pub(crate) fn give_uids_with(
        &mut self,
        env: &Env,
        names: &[&[u8]],
        sync: bool,
        work: impl FnOnce(&mut Self, Uid) -> Result<usize>,
    ) -> Result<Uid> {
        let folder = self.folder.clone();
        let list = Locked::take(&env.locks, &folder)?;
        let stamp = if self.is_unlisted(env)? { None } else { Some(self.agree(env, &list)?) };
        let first = self.next;
        let count = names.len() as u32;
        let next = first.checked_add(count).filter(|next| *next < Uid::MAX);
        let next = next.ok_or_else(|| Error::Limit("the mailbox has no more UIDs".to_owned()))?;
        let done = work(self, first)?.min(names.len());
        let (count, next) = (done as u32, next - (names.len() - done) as u32);
        let lines: Vec<_> = names[..done].iter().zip(first..).map(|(name, uid)| NewLine { uid, fields: "", name }).collect();
        self.stamp = Some(match stamp {
            Some(stamp) => list.append(&stamp, &lines, sync)?,
            None => list.rewrite(&self.list_header(next, String::new()), lines.into_iter())?,
        });
        self.next = next;
        self.lines += count;
        if !self.unread {
            self.listed = next;
        }
        self.generation += 1;
        Ok(first)
    }

    /// Whether this is the mailbox's first opening: there is no list, and nothing is known that would have to be in one.
    fn is_unlisted(&self, env: &Env) -> Result<bool> {
        let unknown = !self.opened && self.stamp.is_none() && self.parked.is_empty() && self.counts().messages == 0;
        Ok(unknown && uidlist::stamp(env.disk(), &self.folder)?.is_none())
    }

    fn list_header(&self, next: Uid, others: String) -> uidlist::Header {
        uidlist::Header { validity: self.validity, next, guid: self.guid.clone(), others }
    }

    /// Brings `next` up to date if another program wrote the list, and makes the list if it is missing or damaged.
    pub(crate) fn agree(&mut self, env: &Env, list: &Locked<'_>) -> Result<Stamp> {
        let stamp = uidlist::stamp(env.disk(), &self.folder)?;
        if let Some(stamp) = stamp.filter(|_| stamp == self.stamp) {
            return Ok(stamp);
        }
        let (read, stamp) = uidlist::read(env.disk(), &self.folder)?.unwrap_or_default();
        if let Some(header) = read.header.as_ref().filter(|_| read.damage == 0) {
            if header.validity != self.validity {
                tracing::warn!(mailbox = self.name, "another program gave the mailbox a new UIDVALIDITY");
                self.gone = true;
                return Err(Error::Gone);
            }
            self.next = self.next.max(header.next);
            self.lines = read.lines.len() as u32;
            // The lines that are new to us are sorted in at the next look.
            self.watch.hinted = true;
            self.unread = true;
            return Ok(stamp);
        }
        self.rewrite_list(env, list, &read)
    }

    /// Writes the UID list anew from what is known here and what could be read of the old one.
    pub(crate) fn rewrite_list(&mut self, env: &Env, list: &Locked<'_>, old: &UidList) -> Result<Stamp> {
        self.load_pages(env);
        let fields: HashMap<Uid, &str> = old.lines.iter().map(|line| (line.uid, old.fields(line))).collect();
        let mut lines: BTreeMap<Uid, &[u8]> = BTreeMap::new();
        // Of a sound list only what another program added since it was sorted in here.
        let from = if self.table.is_none() || old.damage > 0 { 0 } else { self.listed };
        lines.extend(old.lines.iter().filter(|line| line.uid >= from).map(|line| (line.uid, old.name(line))));
        lines.extend(self.table.iter().flat_map(Table::names));
        lines.extend(self.parked.iter().map(|(uid, parked)| (*uid, parked.name())));
        let others = old.header.as_ref().map_or("", |header| &header.others).to_owned();
        let told = old.header.as_ref().filter(|header| header.validity == self.validity).map_or(1, |header| header.next);
        let next = lines.last_key_value().map_or(1, |(uid, _)| uid.saturating_add(1)).max(self.next).max(told);
        let header = self.list_header(next, others);
        let field = |uid: &Uid| fields.get(uid).copied().unwrap_or_default();
        let written = lines.iter().map(|(uid, name)| NewLine { uid: *uid, fields: field(uid), name });
        let stamp = list.rewrite(&header, written)?;
        let count = lines.len() as u32;
        self.lines = count;
        self.next = next;
        self.stamp = Some(stamp);
        self.generation += 1;
        Ok(stamp)
    }

    /// Writes the UID list anew if most of its lines mean nothing any more.
    pub(crate) fn tidy_list(&mut self, env: &Env) {
        let live = self.counts().messages;
        if self.table.is_none() || self.lines < live.saturating_mul(2).saturating_add(DEAD_LINES) || !self.parked.is_empty() {
            return;
        }
        let folder = self.folder.clone();
        let tidied = Locked::take(&env.locks, &folder).map_err(Error::from).and_then(|list| {
            if uidlist::stamp(env.disk(), &folder)? != self.stamp || self.unread {
                return Ok(());
            }
            let (old, _) = uidlist::read(env.disk(), &folder)?.unwrap_or_default();
            self.rewrite_list(env, &list, &old).map(drop)
        });
        if let Err(error) = tidied {
            tracing::warn!(mailbox = self.name, %error, "cannot tidy the UID list");
        }
    }

    /// UIDs were given for files that come in a moment: no message with a higher one is shown before them.
    pub(crate) fn reserve<'a>(&mut self, first: Uid, names: impl Iterator<Item = &'a [u8]>) {
        for (uid, name) in (first..).zip(names) {
            self.parked.insert(uid, Parked::Awaited(name.into()));
            self.expected.insert(name.into());
        }
    }

    /// A file whose UID was reserved does not come.
    pub(crate) fn cancel(&mut self, env: &Env, uid: Uid, name: &[u8]) {
        self.parked.remove(&uid);
        self.recent.remove(&uid);
        self.expected.remove(name);
        self.admit_parked(env);
    }

    /// A message is there: shows it, unless one with a lower UID is still on its way.
    pub(crate) fn arrive(&mut self, env: &Env, message: Message) {
        self.expected.insert(message.name.clone());
        self.parked.insert(message.uid, Parked::Here(message));
        self.admit_parked(env);
    }

    fn admit_parked(&mut self, env: &Env) {
        while let Some(entry) = self.parked.first_entry().filter(|entry| matches!(entry.get(), Parked::Here(_))) {
            if let Parked::Here(mut message) = entry.remove() {
                self.expected.remove(&message.name);
                message.row.modseq = self.next_modseq(env);
                let uid = message.uid;
                match &mut self.table {
                    Some(table) => table.insert(&message),
                    None => {
                        self.counts.add(&message.row);
                        self.tail.push(message);
                    }
                }
                self.log.push(Event::Arrived(uid));
            }
        }
    }

    /// A message is gone.
    pub(crate) fn forget(&mut self, uid: Uid, modseq: ModSeq) {
        self.recent.remove(&uid);
        let Some(message) = self.table.as_mut().and_then(|table| table.remove(uid)) else { return };
        self.odd.remove(&uid);
        self.vanished.push(modseq, uid);
        self.forgotten.push(uid);
        self.log.expunged(message);
    }

    /// The size with line ends of two octets, counted if nobody did before.
    pub(crate) fn size(&mut self, env: &Env, uid: Uid, row: &mut Row) -> Option<u64> {
        if row.size != NO_SIZE {
            return Some(u64::from(row.size));
        }
        let size = crate::body::count(env.disk(), &self.path(uid)?).map_err(crate::error::disk("count a message's size", uid)).ok()?;
        row.size = short_size(Some(size));
        self.set_quietly(uid, *row);
        Some(size)
    }

    /// Counts all sizes that nobody has counted yet.
    pub(crate) fn count_sizes(&mut self, env: &Env) -> Result<()> {
        self.load(env)?;
        let rows: Vec<_> = self.table.iter().flat_map(Table::rows).filter(|(_, row)| row.size == NO_SIZE).collect();
        for (uid, mut row) in rows {
            self.size(env, uid, &mut row);
        }
        Ok(())
    }

    /// INTERNALDATE: the file's time of last change.
    pub(crate) fn date(&mut self, env: &Env, uid: Uid, row: &mut Row) -> Option<i64> {
        if row.date == NO_DATE {
            let stat = env.disk().stat(&self.path(uid)?).map_err(crate::error::disk("tell a message's date", uid)).ok()?;
            row.date = stat.modified.div_euclid(1_000_000_000);
            self.set_quietly(uid, *row);
        }
        Some(row.date)
    }

    /// Keeps what is no news to anybody.
    fn set_quietly(&mut self, uid: Uid, row: Row) {
        if let Some(table) = &mut self.table {
            table.set(uid, row);
            self.generation += 1;
        }
    }
}

/// What we write after the base of a name: nothing in `new`.
pub(crate) fn canonical(bits: Bits) -> Vec<u8> {
    match bits.place() {
        Place::New => Vec::new(),
        Place::Cur => name::suffix(bits.flags(), bits.keywords(), &[]).into_bytes(),
    }
}
