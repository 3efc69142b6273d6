//! A mailbox as one session sees it: sequence numbers that only change when the session asks for news.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use mail::{Keyword, ModSeq, Uid, UidSet};
use maildir::delivery::path_of;
use maildir::name;
use maildir::scan::Place;

use crate::account::Account;
use crate::body::{self, Body};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::facts::NEIGHBOURS;
use crate::log::Event;
use crate::mailbox::{Guard, Mailbox, Notice};
use crate::record::{Bits, Message, NO_DATE, NO_SIZE, Row, short_size};
use crate::state::{State, canonical};
use crate::types::{Change, Detail, Meta, Status};
use crate::uids::Uids;
use crate::vanished::{common, without};

/// How many messages are looked up under one lock.
const METAS_AT_ONCE: usize = 256;

/// A session's view of a mailbox. Between two polls others may add, change and expunge at will, and this one still sees
/// the messages that it has been told of.
pub struct View {
    pub(crate) account: Account,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) number: u64,
    pub(crate) read_only: bool,
    pub(crate) uids: Uids,
    recent: HashSet<Uid>,
    /// Expunged messages that could not be told yet, as this view last knew them.
    pub(crate) held: BTreeMap<Uid, Option<Message>>,
    /// Own changes of flags that the session wants to hear of, whether they changed anything or not.
    pub(crate) echo: BTreeSet<Uid>,
    status: Status,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({}, {} messages)", self.number, self.uids.len())
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.mailbox.watch(self.number, None);
        self.mailbox.lock().log.remove_reader(self.number);
        self.mailbox.touch();
    }
}

impl View {
    pub(crate) fn open(account: Account, mailbox: Arc<Mailbox>, read_only: bool) -> Result<Self> {
        let number = mailbox.env.number();
        let env = Arc::clone(&mailbox.env);
        let mut state = mailbox.lock();
        state.check(&env)?;
        state.load(&env)?;
        let fresh = state.table.iter().flat_map(|table| table.fresh().iter().copied());
        let recent = fresh.chain(state.recent.iter().copied().filter(|uid| !state.parked.contains_key(uid))).collect();
        if !read_only {
            state.claim(&env);
        }
        let uids = state.table.as_ref().map(|table| table.uids()).unwrap_or_default();
        state.log.add_reader(number);
        let mut view = Self {
            account,
            mailbox: Arc::clone(&mailbox),
            number,
            read_only,
            uids,
            recent,
            held: BTreeMap::new(),
            echo: BTreeSet::new(),
            status: Status::default(),
        };
        view.note_status(&state);
        drop(state);
        Ok(view)
    }

    pub(crate) fn env(&self) -> &Env {
        &self.mailbox.env
    }

    /// The locked mailbox, unless it has gone.
    pub(crate) fn lock(&self) -> Result<Guard<'_>> {
        let state = self.mailbox.lock();
        if state.gone { Err(Error::Gone) } else { Ok(state) }
    }

    fn note_status(&mut self, state: &State) {
        let highest = if self.held.is_empty() { state.status().highest_modseq } else { self.status.highest_modseq };
        let recent = self.recent.len() as u32;
        self.status = Status { messages: self.uids.len(), recent, highest_modseq: highest, ..state.status() };
    }

    /// Whether flags cannot be changed and messages not expunged.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// The mailbox's counts as of the last poll. While expunges are held back, the modification sequence is that from before.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// All keywords of the mailbox in the order of their bits. It only ever grows.
    #[must_use]
    pub fn keywords(&self) -> Vec<Keyword> {
        self.mailbox.lock().keyword_list()
    }

    /// How many messages the view has.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.uids.len()
    }

    /// The UIDs in sequence. Costs a copy of all after each change: for few messages [`View::uid_at`] and
    /// [`View::sequence`] are better.
    #[must_use]
    pub fn uids(&self) -> &[Uid] {
        self.uids.flat()
    }

    /// The UID with this sequence number, from 1.
    #[must_use]
    pub fn uid_at(&self, sequence: u32) -> Option<Uid> {
        self.uids.at(sequence)
    }

    /// The sequence number of a UID.
    #[must_use]
    pub fn sequence(&self, uid: Uid) -> Option<u32> {
        self.uids.sequence(uid)
    }

    /// Whether a message is `\Recent` in this session.
    #[must_use]
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(&uid)
    }

    /// The messages that are `\Recent` in this session, in no order.
    pub fn recent(&self) -> impl Iterator<Item = Uid> + '_ {
        self.recent.iter().copied()
    }

    /// What is known of a message of the view; of an expunged one that was not told yet, the last known state.
    #[must_use]
    pub fn meta(&self, uid: Uid) -> Option<Meta> {
        self.meta_in(&mut self.mailbox.lock(), uid, Detail::ALL)
    }

    fn meta_in(&self, state: &mut State, uid: Uid, detail: Detail) -> Option<Meta> {
        self.uids.sequence(uid)?;
        let known = state.keywords.known();
        let Some(mut row) = state.table.as_ref().and_then(|table| table.row(uid)) else {
            let ghost = self.ghost(state, uid)?;
            return Some(meta_of(uid, &ghost.row, known, detail, || &ghost.name));
        };
        if detail.size {
            state.size(self.env(), uid, &mut row);
        }
        if detail.dates {
            state.date(self.env(), uid, &mut row);
        }
        let name = state.table.as_ref().and_then(|table| table.name(uid))?;
        Some(meta_of(uid, &row, known, detail, || name))
    }

    /// As much of [`View::meta`] as is asked for, of many messages in their order; what is not known is left out. `take` is
    /// called with the mailbox locked, which is given back after each few hundred: it must not ask the view.
    pub fn metas(&self, uids: &[Uid], detail: Detail, mut take: impl FnMut(Meta)) {
        let mut next = Next::default();
        for mut left in uids.chunks(METAS_AT_ONCE) {
            let mut state = self.mailbox.lock();
            next.known = state.keywords.known();
            loop {
                left = self.next_metas(&state, &mut next, left, detail, &mut take);
                let Some((uid, rest)) = left.split_first() else { break };
                self.meta_in(&mut state, *uid, detail).map(&mut take);
                left = rest;
            }
        }
    }

    /// Goes through view and table side by side, up to a message that is not in both or of which not enough is known.
    fn next_metas<'a>(&self, state: &State, next: &mut Next, uids: &'a [Uid], detail: Detail, take: &mut impl FnMut(Meta)) -> &'a [Uid] {
        let Some(table) = &state.table else { return uids };
        for (at, uid) in uids.iter().enumerate() {
            let Some((row, name)) = table.follow(&mut next.in_table, *uid) else { return &uids[at..] };
            let unknown = detail.size && row.size == NO_SIZE || detail.dates && row.date == NO_DATE;
            if unknown || !self.uids.follow(&mut next.in_view, *uid) {
                return &uids[at..];
            }
            take(meta_of(*uid, row, next.known, detail, name));
        }
        &[]
    }

    /// The sequence number of the first message without `\Seen`.
    #[must_use]
    pub fn first_unseen(&self) -> Option<u32> {
        let state = self.mailbox.lock();
        let table = state.table.as_ref()?;
        let unseen = table.rows().filter(|(_, row)| !row.bits.flags().has(mail::Flag::Seen));
        unseen.filter_map(|(uid, _)| self.uids.sequence(uid)).next()
    }

    /// The last known state of a message that is gone.
    pub(crate) fn ghost<'a>(&'a self, state: &'a State, uid: Uid) -> Option<&'a Message> {
        self.held.get(&uid).and_then(Option::as_ref).or_else(|| state.log.ghost(uid))
    }

    /// Brings the view up to date. `expunges` is false while sequence numbers must not change: expunges are then kept for
    /// a later poll. The changes are to be told in their order.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn poll(&mut self, expunges: bool) -> Result<Vec<Change>> {
        let mailbox = Arc::clone(&self.mailbox);
        let mut state = mailbox.lock();
        match state.check(&mailbox.env) {
            Err(Error::Gone | Error::Nonexistent) => return Err(Error::Gone),
            Err(error) => tracing::warn!(mailbox = state.name, %error, "cannot look for changes of other programs"),
            Ok(()) => {}
        }
        let mut news = News { flags: std::mem::take(&mut self.echo), ..News::default() };
        match state.log.unread(self.number) {
            Some(events) => events.for_each(|event| news.take(event, self.number, &self.uids)),
            None => self.compare(&state, &mut news),
        }
        for uid in &news.gone {
            self.held.entry(*uid).or_insert_with(|| state.log.ghost(*uid).cloned());
        }
        state.log.caught_up(self.number);
        self.claim_arrived(&mut state, &news);
        let changes = self.apply(news, expunges);
        self.note_status(&state);
        Ok(changes)
    }

    /// After falling too far behind: everything is looked at.
    fn compare(&self, state: &State, news: &mut News) {
        let Some(table) = &state.table else { return };
        news.keywords = true;
        news.gone.extend(self.uids.iter().filter(|uid| table.row(*uid).is_none()));
        let last = self.uids.last().unwrap_or(0);
        for (uid, row) in table.rows() {
            if uid > last {
                news.arrived.insert(uid);
            } else if row.modseq > self.status.highest_modseq {
                news.flags.insert(uid);
            }
        }
    }

    fn claim_arrived(&mut self, state: &mut State, news: &News) {
        let is_new = |uid: &&Uid| state.is_recent(**uid);
        let fresh: Vec<Uid> = news.arrived.iter().filter(is_new).copied().collect();
        self.recent.extend(&fresh);
        if !fresh.is_empty() && !self.read_only {
            state.claim(&self.mailbox.env);
        }
    }

    /// Changes the view as the news say, and tells how.
    fn apply(&mut self, news: News, expunges: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        if news.keywords {
            changes.push(Change::Keywords);
        }
        if expunges {
            for uid in std::mem::take(&mut self.held).into_keys() {
                self.recent.remove(&uid);
                changes.extend(self.uids.remove(uid).map(|sequence| Change::Expunged { uid, sequence }));
            }
        }
        let before = self.uids.len();
        news.arrived.iter().for_each(|uid| self.uids.push(*uid));
        if self.uids.len() > before {
            changes.push(Change::Exists { count: self.uids.len(), recent: self.recent.len() as u32 });
        }
        let changed = news.flags.iter().filter(|uid| !news.arrived.contains(uid) && !self.held.contains_key(uid));
        changes.extend(changed.filter_map(|uid| Some(Change::Flags { uid: *uid, sequence: self.uids.sequence(*uid)? })));
        changes
    }

    /// Calls `notice` from any thread when there may be news, until the view is dropped. Replaces the last one.
    pub fn watch(&mut self, notice: Option<Notice>) {
        self.mailbox.watch(self.number, notice);
    }

    /// The messages whose files have these names, without what stands behind a colon.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn named(&self, bases: &HashSet<&[u8]>) -> Result<Vec<Uid>> {
        let state = self.lock()?;
        let named = |uid: &Uid| state.table.as_ref().and_then(|table| table.name(*uid)).is_some_and(|base| bases.contains(base));
        Ok(self.uids.iter().filter(named).collect())
    }

    /// Opens a message.
    ///
    /// # Errors
    /// [`Error::Expunged`], [`Error::Unavailable`].
    pub fn body(&self, uid: Uid) -> Result<Body> {
        for last in [false, true] {
            let (path, told) = {
                let state = self.lock()?;
                let told = state.table.as_ref().and_then(|table| table.name(uid)).and_then(name::size);
                (state.path(uid).ok_or(Error::Expunged)?, told)
            };
            match Body::open(self.env().disk(), &path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !last => self.lock()?.compare(self.env())?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::Expunged),
                other => {
                    let body = other.map_err(crate::error::disk("open a message", uid))?;
                    if told.is_some_and(|size| size != body.size()) {
                        self.check_size(uid, &body)?;
                    }
                    return Ok(body);
                }
            }
        }
        Err(Error::Expunged)
    }

    /// A name may lie about the size: a program changed the file, or moved it with the name it had.
    fn check_size(&self, uid: Uid, body: &Body) -> Result<()> {
        let mut state = self.lock()?;
        let Some(table) = &state.table else { return Ok(()) };
        let (Some(base), Some(row), Some(path)) = (table.name(uid), table.row(uid), state.path(uid)) else { return Ok(()) };
        if name::size(base).is_some_and(|size| size != body.size()) {
            let counted = body::count(self.env().disk(), &path).map_err(crate::error::disk("count a message's size", uid))?;
            let size = short_size(Some(counted));
            if row.size != size {
                tracing::debug!(mailbox = state.name, uid, "the size in a file's name is wrong");
                if let Some(table) = &mut state.table {
                    table.set(uid, Row { size, ..row });
                }
                state.generation += 1;
            }
        }
        Ok(())
    }

    /// The facts about a message's content that were kept by [`View::keep_facts`].
    #[must_use]
    pub fn facts(&self, uid: Uid) -> Option<Arc<[u8]>> {
        let slot = self.mailbox.lock().slot;
        if slot == 0 {
            return None;
        }
        let env = self.env();
        if let Some(facts) = env.facts.find((slot, uid)) {
            return Some(facts);
        }
        if !env.facts.ask((slot, uid)) {
            return None;
        }
        let first = uid / NEIGHBOURS * NEIGHBOURS;
        let mut found = None;
        for (other, facts) in env.store.facts(slot, first, first.saturating_add(NEIGHBOURS - 1)) {
            let facts: Arc<[u8]> = facts.into();
            found = if other == uid { Some(Arc::clone(&facts)) } else { found };
            env.facts.keep((slot, other), facts);
        }
        found
    }

    /// Adds [`View::facts`] of each of some messages.
    pub fn many_facts(&self, uids: &[Uid], found: &mut Vec<Option<Arc<[u8]>>>) {
        let before = found.len();
        let slot = self.mailbox.lock().slot;
        self.env().facts.find_many(slot, uids, found);
        for (uid, facts) in uids.iter().zip(&mut found[before..]).filter(|(_, facts)| facts.is_none()) {
            *facts = self.facts(*uid);
        }
    }

    /// Keeps facts about a message's content, so that the next question need not open it. A cache: may be forgotten.
    pub fn keep_facts(&self, uid: Uid, facts: Arc<[u8]>) {
        let slot = self.mailbox.lock().slot;
        if slot > 0 {
            self.env().facts.keep((slot, uid), Arc::clone(&facts));
            self.env().store.keep_facts(slot, uid, facts);
        }
    }

    /// The messages that vanished after `since`, as far as they are in `known` (RFC 7162). May name UIDs that never were,
    /// but none that the view still shows.
    #[must_use]
    pub fn vanished(&self, since: ModSeq, known: Option<&UidSet>) -> UidSet {
        let state = self.mailbox.lock();
        let gone = state.vanished.after(since).unwrap_or_else(|| {
            let mut all = UidSet::new();
            if state.status().uid_next > 1 {
                all.insert_range(1, state.status().uid_next - 1);
            }
            without(&all, state.table.iter().flat_map(|table| table.rows()).map(|(uid, _)| uid))
        });
        drop(state);
        let gone = known.map_or_else(|| gone.clone(), |known| common(&gone, known));
        without(&gone, self.uids.iter())
    }
}

/// Where the next of many messages is expected.
#[derive(Debug, Default)]
struct Next {
    in_table: (usize, usize),
    in_view: (usize, usize),
    /// The letters of keywords that have names.
    known: u32,
}

fn meta_of<'a>(uid: Uid, row: &Row, known: u32, detail: Detail, base: impl Fn() -> &'a [u8]) -> Meta {
    let seconds = if detail.dates { name::seconds(base()) } else { None };
    let date = if !detail.dates || row.date == NO_DATE { seconds.unwrap_or(0) } else { row.date };
    Meta {
        uid,
        flags: row.bits.flags(),
        keywords: u64::from(row.bits.keywords() & known),
        modseq: row.modseq,
        size: if !detail.size || row.size == NO_SIZE { 0 } else { u64::from(row.size) },
        internal_date: date,
        save_date: seconds.unwrap_or(date),
    }
}

/// What is new for one session.
#[derive(Debug, Default)]
struct News {
    keywords: bool,
    arrived: BTreeSet<Uid>,
    gone: BTreeSet<Uid>,
    flags: BTreeSet<Uid>,
}

impl News {
    fn take(&mut self, event: Event, reader: u64, uids: &Uids) {
        match event {
            Event::Keywords => self.keywords = true,
            Event::Arrived(uid) => {
                if uids.last().is_none_or(|last| uid > last) {
                    self.arrived.insert(uid);
                }
            }
            Event::Flags(uid, silent) if silent != reader => drop(self.flags.insert(uid)),
            Event::Flags(..) => {}
            Event::Expunged(uid) => {
                self.flags.remove(&uid);
                if !self.arrived.remove(&uid) {
                    self.gone.insert(uid);
                }
            }
        }
    }
}

impl State {
    /// A read-write session takes what is in `new`: it alone sees it as recent, and the files go to `cur`.
    pub(crate) fn claim(&mut self, env: &Env) {
        let parked = &self.parked;
        self.recent.retain(|uid| parked.contains_key(uid));
        let fresh: Vec<Uid> = self.table.iter().flat_map(|table| table.fresh().iter().copied()).collect();
        if fresh.is_empty() {
            return;
        }
        self.own(env, |state| {
            for uid in fresh {
                state.claim_one(env, uid);
            }
        });
    }

    fn claim_one(&mut self, env: &Env, uid: Uid) {
        let Some(row) = self.table.as_ref().and_then(|table| table.row(uid)) else { return };
        let Some(from) = self.path(uid) else { return };
        let bits = Bits::new(row.bits.flags(), row.bits.keywords(), Place::Cur);
        // Letters that a program gave it in `new` already go along, also those that mean nothing here.
        let letters = self.odd.get(&uid).map(|suffix| name::info(suffix).others).unwrap_or_default();
        let suffix = if letters.is_empty() { canonical(bits) } else { name::suffix(bits.flags(), bits.keywords(), &letters).into_bytes() };
        let Some(base) = self.table.as_ref().and_then(|table| table.name(uid)) else { return };
        let to = path_of(&self.folder, Place::Cur, base, &suffix);
        match env.disk().rename(&from, &to) {
            Ok(()) => {
                self.note_suffix(uid, bits, &suffix);
                if let Some(table) = &mut self.table {
                    table.set(uid, Row { bits, ..row });
                }
            }
            Err(error) => {
                tracing::debug!(mailbox = self.name, uid, %error, "cannot take a message from new to cur");
                self.watch.hinted = true;
                self.watch.suspect_cur = true;
                self.watch.due_cur = None;
            }
        }
    }
}
