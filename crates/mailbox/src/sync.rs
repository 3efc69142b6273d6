//! Comparing a mailbox with its folder: what other programs added, renamed and removed.
//!
//! A look is cheap: the times of `new` and `cur` and the state of the UID list. Only when one of them changed without us,
//! the names are read. The clock of a file system ticks every few milliseconds, so what another program does in the tick
//! in which we changed something ourselves leaves no trace: therefore names are read once more some time later, seldom
//! enough that this takes at most a fiftieth of the time whatever the size of the mailbox.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mail::Uid;
use maildir::name;
use maildir::scan::Place;
use maildir::uidlist::{self, Locked, UidList};
use maildir::{keywords::Keywords, validity};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::listing::{Found, Listing};
use crate::log::Event;
use crate::record::{Bits, Message, NO_DATE, Row, short_size};
use crate::state::{SOONEST_CUR, SOONEST_NEW, Seen, State};
use crate::table::Table;

/// Ticks of file systems' clocks are shorter than this.
const TICK: Duration = Duration::from_millis(20);

/// A look at all names may take this fraction of the time.
const SHARE: u32 = 50;

impl State {
    /// Looks whether other programs changed something, at most every `mailbox.check_interval` unless there was a hint.
    pub(crate) fn check(&mut self, env: &Env) -> Result<()> {
        self.open(env)?;
        let now = Instant::now();
        let hinted = std::mem::take(&mut self.watch.hinted);
        let recent = self.watch.checked.is_some_and(|at| now.duration_since(at) < env.world.mailbox.check_interval);
        if recent && !hinted {
            return Ok(());
        }
        self.watch.checked = Some(now);
        let seen = self.look(env)?;
        if seen.cur == 0 {
            self.gone = true;
            return Err(Error::Gone);
        }
        let stamp = uidlist::stamp(env.disk(), &self.folder)?;
        let due = |at: Option<Instant>| at.is_none_or(|at| now >= at);
        let lines = stamp != self.stamp || self.unread;
        let all = seen.cur != self.seen.cur || lines || (self.watch.suspect_cur && due(self.watch.due_cur));
        if all {
            if lines {
                self.load(env)?;
                self.read_list(env, true)?;
            }
            return self.compare(env);
        }
        if seen.new != self.seen.new || (self.watch.suspect_new && (hinted || due(self.watch.due_new))) {
            return self.compare_new(env);
        }
        Ok(())
    }

    /// Opens the mailbox, and makes sure that its folder is still there.
    pub(crate) fn look_after(&mut self, env: &Env) -> Result<()> {
        self.open(env)?;
        if self.look(env)?.cur == 0 {
            self.gone = true;
            return Err(Error::Gone);
        }
        Ok(())
    }

    /// Takes over what the UID list says. With `known` the state holds what it said before.
    pub(crate) fn read_list(&mut self, env: &Env, known: bool) -> Result<()> {
        let (list, stamp) = match uidlist::read(env.disk(), &self.folder)? {
            Some((list, stamp)) => (list, Some(stamp)),
            None => (UidList::default(), None),
        };
        let header = list.header.clone();
        if let Some(header) = header.as_ref().filter(|header| known && header.validity != self.validity) {
            tracing::warn!(mailbox = self.name, validity = header.validity, "another program gave the mailbox a new UIDVALIDITY");
            if self.log.has_readers() {
                self.gone = true;
                return Err(Error::Gone);
            }
            let (name, folder, slot) = (std::mem::take(&mut self.name), std::mem::take(&mut self.folder), self.slot);
            let (highest, bound, behind) = (self.highest, self.bound, self.behind);
            *self = Self { name, folder, slot, highest, bound, behind, table: Some(Table::default()), rebuilt: true, ..Self::default() };
            self.keywords = Keywords::read(env.disk(), &self.folder)?;
            env.store.forget_facts(self.slot);
            env.forget_content(self.slot);
            return self.read_list(env, false);
        }
        if let Some(header) = &header {
            self.validity = header.validity;
            self.guid.clone_from(&header.guid);
        } else if self.validity == 0 {
            self.validity = validity::next(&env.locks, env.root.path())?;
        }
        if self.guid.is_empty() {
            self.guid = new_guid(env);
        }
        self.take_lines(env, &list)?;
        self.next = self.next.max(header.as_ref().map_or(1, |header| header.next)).max(1);
        self.listed = self.next;
        self.unread = false;
        self.lines = list.lines.len() as u32;
        self.stamp = stamp;
        // A mailbox that is opened for the first time gets its list with the first lines, in one write.
        let first = stamp.is_none() && !self.opened;
        if (header.is_none() && !first) || list.damage > 0 {
            let folder = self.folder.clone();
            let locked = Locked::take(&env.locks, &folder)?;
            // It was read without the lock: another program may have been at it.
            let (again, _) = uidlist::read(env.disk(), &folder)?.unwrap_or_default();
            if again.header.is_some() && again.damage == 0 {
                drop(locked);
                return self.read_list(env, known);
            }
            self.rewrite_list(env, &locked, &again)?;
        }
        Ok(())
    }

    /// Sorts in the files of lines that are new here. A known line whose message is not here belongs to one that was
    /// expunged; should its file come back, it is a new message.
    fn take_lines(&mut self, env: &Env, list: &UidList) -> Result<()> {
        self.load_pages(env);
        let Some(table) = &self.table else { return Err(Error::Unavailable) };
        let fresh: Vec<_> = list.lines.iter().filter(|line| line.uid >= self.listed && table.row(line.uid).is_none()).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let listing = Listing::read(env.disk(), &self.folder, &[Place::New, Place::Cur])?;
        let told = table.last().filter(|_| self.log.has_readers()).unwrap_or(0);
        let mut messages = Vec::new();
        for line in fresh {
            let Some(at) = listing.find(list.name(line)).filter(|_| line.uid > told) else { continue };
            messages.push((line.uid, at, list.number(line, 'W')));
        }
        self.drop_renamed(env, messages.iter().map(|(_, at, _)| listing.at(*at).base).collect());
        for (uid, at, size) in messages {
            let found = listing.at(at);
            if !self.parked.contains_key(&uid) && !self.expected.contains(found.base) {
                let row = row_of(&found, size);
                self.note_suffix(uid, row.bits, found.suffix);
                self.arrive(env, Message { uid, row, name: found.base.into() });
            }
        }
        Ok(())
    }

    /// Another program gave these files new UIDs: the old ones are gone.
    fn drop_renamed(&mut self, env: &Env, bases: HashSet<&[u8]>) {
        let names = self.table.iter().flat_map(Table::names);
        let old: Vec<Uid> = names.filter(|(_, name)| bases.contains(name)).map(|(uid, _)| uid).collect();
        if !old.is_empty() {
            let modseq = self.next_modseq(env);
            old.into_iter().for_each(|uid| self.forget(uid, modseq));
        }
    }

    /// Compares all names with the table.
    pub(crate) fn compare(&mut self, env: &Env) -> Result<()> {
        self.load(env)?;
        let begun = Instant::now();
        self.keywords = self.read_keywords(env)?;
        let seen = self.look(env)?;
        let listing = Listing::read(env.disk(), &self.folder, &[Place::New, Place::Cur])?;
        let (missing, unknown) = self.match_names(env, &listing);
        if !missing.is_empty() {
            self.confirm_missing(env, &missing)?;
        }
        // Those under a new name count as unknown above only if they were not known by their base.
        self.welcome(env, &listing, &unknown)?;
        self.seen = seen;
        self.plan(env, begun, seen, true);
        self.generation += 1;
        self.tidy_list(env);
        Ok(())
    }

    fn read_keywords(&mut self, env: &Env) -> Result<Keywords> {
        let keywords = Keywords::read(env.disk(), &self.folder)?;
        if keywords != self.keywords {
            self.log.push(Event::Keywords);
        }
        Ok(keywords)
    }

    /// Takes over changed flags. Gives the messages without a file, and the files without a message.
    fn match_names(&mut self, env: &Env, listing: &Listing) -> (Vec<Uid>, Vec<usize>) {
        let mut matched = vec![false; listing.len()];
        let (mut missing, mut differ) = (Vec::new(), Vec::new());
        let Some(table) = &self.table else { return (missing, Vec::new()) };
        for ((uid, base), (_, row)) in table.names().zip(table.rows()) {
            let Some(at) = listing.find(base) else {
                missing.push(uid);
                continue;
            };
            matched[at] = true;
            let found = listing.at(at);
            let same_place = found.place == row.bits.place();
            if !same_place
                || self.odd.get(&uid).map_or_else(|| crate::state::canonical(row.bits) != found.suffix, |odd| **odd != *found.suffix)
            {
                differ.push((uid, row, at));
            }
        }
        for (uid, row, at) in differ {
            self.take_name(env, uid, row, &listing.at(at));
        }
        let unknown = (0..listing.len()).filter(|at| !matched[*at]).collect();
        (missing, unknown)
    }

    /// A file was renamed by another program.
    fn take_name(&mut self, env: &Env, uid: Uid, row: Row, found: &Found<'_>) {
        let bits = bits_of(found);
        self.note_suffix(uid, bits, found.suffix);
        let told = (bits.flags(), bits.keywords()) != (row.bits.flags(), row.bits.keywords());
        let modseq = if told { self.next_modseq(env) } else { row.modseq };
        if let Some(table) = &mut self.table {
            table.set(uid, Row { bits, modseq, ..row });
        }
        if told {
            self.log.push(Event::Flags(uid, 0));
        }
    }

    /// A file that was renamed while its folder was read may not have been seen at all: only what is missing twice is gone.
    fn confirm_missing(&mut self, env: &Env, missing: &[Uid]) -> Result<()> {
        if is_recent(env, self.look(env)?.cur) {
            std::thread::sleep(TICK);
        }
        let listing = Listing::read(env.disk(), &self.folder, &[Place::New, Place::Cur])?;
        let mut gone = Vec::new();
        let mut taken = HashSet::new();
        for uid in missing {
            let Some(table) = &self.table else { break };
            let (Some(row), Some(base)) = (table.row(*uid), table.name(*uid)) else { continue };
            match listing.find(base).filter(|at| taken.insert(*at)) {
                Some(at) => self.take_name(env, *uid, row, &listing.at(at)),
                None => gone.push(*uid),
            }
        }
        if !gone.is_empty() {
            tracing::debug!(mailbox = self.name, count = gone.len(), "messages were removed by another program");
            let modseq = self.next_modseq(env);
            gone.into_iter().for_each(|uid| self.forget(uid, modseq));
        }
        Ok(())
    }

    /// Gives UIDs to files that nobody has told us of, in the order of their names' times; durable before anybody is told.
    fn welcome(&mut self, env: &Env, listing: &Listing, unknown: &[usize]) -> Result<()> {
        let mut files: Vec<Found<'_>> = unknown.iter().map(|at| listing.at(*at)).filter(|f| !self.expected.contains(f.base)).collect();
        if files.is_empty() {
            return Ok(());
        }
        files.sort_by_key(|found| (name::seconds(found.base).unwrap_or(i64::MAX), found.base));
        let names: Vec<&[u8]> = files.iter().map(|found| found.base).collect();
        let first = self.give_uids(env, &names, true)?;
        for (uid, found) in (first..).zip(&files) {
            let row = row_of(found, None);
            self.note_suffix(uid, row.bits, found.suffix);
            self.arrive(env, Message { uid, row, name: found.base.into() });
        }
        Ok(())
    }

    /// Compares only `new`, because nothing else changed: costs what is in it, and not what is in `cur`.
    fn compare_new(&mut self, env: &Env) -> Result<()> {
        self.load(env)?;
        let begun = Instant::now();
        let seen = self.look(env)?;
        let listing = Listing::read(env.disk(), &self.folder, &[Place::New])?;
        let mut matched = vec![false; listing.len()];
        let Some(table) = &self.table else { return Ok(()) };
        for uid in table.fresh() {
            let Some(at) = table.name(*uid).and_then(|base| listing.find(base)) else { return self.compare(env) };
            matched[at] = true;
        }
        let unknown: Vec<usize> = (0..listing.len()).filter(|at| !matched[*at]).collect();
        let bases: HashSet<&[u8]> = unknown.iter().map(|at| listing.at(*at).base).collect();
        if !bases.is_empty() && table.names().any(|(_, name)| bases.contains(name)) {
            // A message that is in `cur` has come a second time, or went back.
            return self.compare(env);
        }
        self.welcome(env, &listing, &unknown)?;
        self.seen.new = seen.new;
        self.plan(env, begun, seen, false);
        self.generation += 1;
        Ok(())
    }

    /// When to look at the names again though nothing seems to have changed.
    fn plan(&mut self, env: &Env, begun: Instant, seen: Seen, all: bool) {
        let now = Instant::now();
        let cost = now.duration_since(begun);
        self.watch.suspect_new = is_recent(env, seen.new);
        self.watch.due_new = Some(now + (cost * SHARE).max(SOONEST_NEW));
        if all {
            self.watch.suspect_cur = is_recent(env, seen.cur);
            self.watch.due_cur = Some(now + (cost * SHARE).max(SOONEST_CUR));
        }
    }
}

/// Whether a file system's time is so recent that a further change may show the same.
fn is_recent(env: &Env, modified: i64) -> bool {
    let now = i64::try_from(env.world.clock.micros()).unwrap_or(i64::MAX).saturating_mul(1_000);
    now.saturating_sub(modified) < TICK.as_nanos() as i64
}

fn bits_of(found: &Found<'_>) -> Bits {
    // The suffix alone is as good as the name: its base is empty.
    let info = name::info(found.suffix);
    Bits::new(info.flags, info.keywords, found.place)
}

fn row_of(found: &Found<'_>, size: Option<u64>) -> Row {
    let size = name::virtual_size(found.base).or(size);
    Row { modseq: 0, date: NO_DATE, size: short_size(size), bits: bits_of(found) }
}

/// A number for the mailbox that no other has, as Dovecot keeps in its list.
fn new_guid(env: &Env) -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut random = std::collections::hash_map::RandomState::new().build_hasher();
    random.write_u64(env.world.clock.micros());
    format!("{:016x}{:016x}", mail::MessageId::new(env.world.clock.micros()).number(), random.finish())
}
