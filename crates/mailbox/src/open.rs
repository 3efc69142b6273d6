//! Filling a mailbox's state: from the index if that can be believed, from the folder otherwise.

use mail::Uid;
use maildir::delivery::path_of;
use maildir::keywords::Keywords;
use maildir::scan::Place;
use maildir::uidlist::{self, Locked, Stamp};

use crate::codec::{Reader, Writer};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::index::Save;
use crate::listing::{Found, Listing};
use crate::record::{Bits, Message, Row};
use crate::state::{Seen, State};
use crate::table::{Counts, Table};
use crate::vanished::Vanished;

/// Changes with the form of [`State::head`].
const FORM: u32 = 1;

/// How far UIDs jump ahead after the machine went down without order: a UID that was told for a message which the disk has
/// lost must not come again for another. More than can come between two syncs; and enough are left for many thousand power cuts.
const UID_GAP: Uid = 250_000;

/// How many messages may come before the table is needed.
const LONGEST_TAIL: usize = 512;

impl State {
    /// Fills the state if it is not. Costs a few `stat`s when the index is good.
    pub(crate) fn open(&mut self, env: &Env) -> Result<()> {
        if self.gone {
            return Err(Error::Gone);
        }
        if self.opened {
            return Ok(());
        }
        if !env.root.exists(&self.name)? {
            return Err(Error::Nonexistent);
        }
        // An earlier attempt may have failed half-way.
        *self = Self { name: std::mem::take(&mut self.name), ..Self::default() };
        self.folder = env.root.create(&self.name)?;
        let stored = env.store.head(&self.name);
        self.slot = stored.as_ref().map_or(0, |stored| stored.slot);
        let head = stored.and_then(|stored| stored.head);
        let boot = head.as_deref().and_then(|head| self.read_head(head));
        let (bound, behind) = if self.slot > 0 { env.marks.bound(self.slot) } else { (0, false) };
        let clean = boot.is_some_and(|boot| !behind && (env.marks.trusted() || boot == env.marks.boot()));
        (self.bound, self.behind) = (bound, behind);
        self.highest = match boot {
            Some(_) if !behind => self.highest,
            Some(_) => self.highest.max(bound),
            None => env.marks.highest(),
        };
        self.keywords = Keywords::read(env.disk(), &self.folder)?;
        let known = boot.is_some();
        let agrees = known && uidlist::stamp(env.disk(), &self.folder)? == self.stamp && self.stamp.is_some();
        self.clean_tmp(env);
        if clean && agrees {
            self.opened = true;
            return Ok(());
        }
        self.rebuild(env, known, clean)?;
        self.opened = true;
        Ok(())
    }

    fn clean_tmp(&self, env: &Env) {
        if let Err(error) = maildir::scan::clean_tmp(env.disk(), env.clock(), &self.folder, env.world.maildir.tmp_age) {
            tracing::warn!(mailbox = self.name, %error, "cannot clean tmp");
        }
    }

    /// Compares everything with the folder. Unless the index was complete, every message gets a new modification sequence:
    /// a client that was told something that the index has not heard of must not miss it.
    fn rebuild(&mut self, env: &Env, known: bool, clean: bool) -> Result<()> {
        if known {
            self.load_pages(env);
        } else {
            // What was kept of its messages may be from another life of the mailbox.
            env.store.forget_facts(self.slot);
            env.forget_content(self.slot);
        }
        if self.table.is_none() {
            self.tail.clear();
            self.listed = 0;
            self.table = Some(Table::default());
            self.rebuilt = true;
        }
        self.drop_second_names(env)?;
        self.read_list(env, known)?;
        if env.marks.crashed() {
            self.next = self.next.saturating_add(UID_GAP);
        }
        self.compare(env)?;
        if self.stamp.is_none() {
            // Another program may have made the list just now.
            let folder = self.folder.clone();
            self.stamp = Some(self.agree(env, &Locked::take(&env.locks, &folder)?)?);
        }
        if !clean {
            let modseq = self.next_modseq(env);
            if let Some(table) = &mut self.table {
                table.renumber(modseq);
            }
            self.vanished = Vanished::since(modseq);
        }
        Ok(())
    }

    /// A crash may have left a message its old name beside the new one, ours or another program's: one is enough. Files that
    /// only have the base in common are left alone.
    fn drop_second_names(&self, env: &Env) -> Result<()> {
        let listing = Listing::read(env.disk(), &self.folder, &[Place::New, Place::Cur])?;
        for (first, second) in listing.twins() {
            let path = |found: &Found<'_>| path_of(&self.folder, found.place, found.base, found.suffix);
            let (first, second) = (path(&first), path(&second));
            let inode = |path| env.disk().stat(path).map(|stat| stat.inode);
            if inode(&first).is_ok_and(|first| inode(&second).is_ok_and(|second| first == second)) {
                tracing::info!(path = %second.display(), "removing the second name of a message");
                env.disk().remove(&second).map_err(crate::error::disk("remove a second name", 0))?;
            }
        }
        Ok(())
    }

    /// Loads the table if there is none. What the index cannot give comes from the folder.
    pub(crate) fn load(&mut self, env: &Env) -> Result<()> {
        self.load_pages(env);
        if self.table.is_some() {
            return Ok(());
        }
        tracing::info!(mailbox = self.name, "the index has lost its pages and is made anew");
        self.rebuild(env, false, false)
    }

    /// Loads the table if the index has it.
    pub(crate) fn load_pages(&mut self, env: &Env) {
        if self.table.is_some() {
            return;
        }
        let Some(mut table) = read_pages(env, self.slot) else { return };
        for message in &self.tail {
            if table.row(message.uid).is_none() {
                table.insert(message);
            }
        }
        if table.counts() != self.counts {
            tracing::warn!(mailbox = self.name, "the index disagrees with itself");
            return;
        }
        self.tail.clear();
        self.table = Some(table);
    }

    /// Gives the table's memory back. Everything in it was saved.
    pub(crate) fn unload(&mut self) {
        if let Some(table) = self.table.take() {
            self.counts = table.counts();
        }
    }

    /// Loads the table if so many messages came without it that this is better. What came is there in any case.
    pub(crate) fn shorten_tail(&mut self, env: &Env) {
        if self.tail.len() >= LONGEST_TAIL
            && let Err(error) = self.load(env)
        {
            tracing::warn!(mailbox = self.name, %error, "cannot load the list of messages");
        }
    }

    /// What the index is to keep; `None` if there is no index.
    pub(crate) fn save(&mut self, env: &Env) -> Option<Save> {
        if self.slot == 0 || !self.opened || self.gone {
            return None;
        }
        let all = std::mem::take(&mut self.rebuilt);
        if let Some(table) = self.table.as_mut().filter(|_| all) {
            table.touch();
        }
        let pages = self.table.as_mut().map(Table::take_pages).unwrap_or_default();
        let forgotten = std::mem::take(&mut self.forgotten);
        Some(Save { name: self.name.clone(), slot: self.slot, generation: self.generation, head: self.head(env), pages, all, forgotten })
    }

    /// The index could not be written: the next save has everything.
    pub(crate) fn save_failed(&mut self) {
        self.rebuilt = self.table.is_some();
        self.generation += 1;
    }

    fn head(&self, env: &Env) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(FORM);
        out.u128(env.marks.boot());
        out.u32(self.validity);
        out.u32(self.next);
        // Those that are still on their way are to be sorted in by who finds them.
        out.u32(self.parked.keys().next().map_or(self.listed, |first| self.listed.min(*first)));
        out.text(&self.guid);
        let stamp = self.stamp.filter(|_| !self.unread).unwrap_or_default();
        [stamp.inode, stamp.size, stamp.modified.cast_unsigned()].into_iter().for_each(|n| out.u64(n));
        out.u32(self.lines);
        out.u64(self.seen.new.cast_unsigned());
        out.u64(self.seen.cur.cast_unsigned());
        out.u8(u8::from(self.watch.suspect_new) | u8::from(self.watch.suspect_cur) << 1);
        out.u64(self.highest);
        write_counts(&mut out, &self.counts());
        self.vanished.encode(&mut out);
        out.u32(self.odd.len() as u32);
        for (uid, suffix) in &self.odd {
            out.u32(*uid);
            out.bytes(suffix);
        }
        out.u32(self.tail.len() as u32);
        for message in &self.tail {
            out.u32(message.uid);
            out.u64(message.row.modseq);
            out.u64(message.row.date.cast_unsigned());
            out.u32(message.row.size);
            out.u32(message.row.bits.0);
            out.bytes(&message.name);
        }
        out.sealed()
    }

    /// Takes a head over; gives the start of the machine that wrote it.
    fn read_head(&mut self, head: &[u8]) -> Option<u128> {
        let read = Self::decode_head(head);
        if read.is_none() {
            tracing::info!(mailbox = self.name, "the index is of another form or damaged, and is made anew");
        }
        let (boot, fresh) = read?;
        let (name, folder, slot) = (std::mem::take(&mut self.name), std::mem::take(&mut self.folder), self.slot);
        *self = Self { name, folder, slot, ..fresh };
        Some(boot)
    }

    fn decode_head(head: &[u8]) -> Option<(u128, Self)> {
        let mut input = Reader::sealed(head)?;
        if input.u32()? != FORM {
            return None;
        }
        let boot = input.u128()?;
        let mut state = Self { validity: input.u32()?, next: input.u32()?, listed: input.u32()?, guid: input.text()?, ..Self::default() };
        state.stamp = Some(Stamp { inode: input.u64()?, size: input.u64()?, modified: input.u64()?.cast_signed() });
        state.lines = input.u32()?;
        state.seen = Seen { new: input.u64()?.cast_signed(), cur: input.u64()?.cast_signed() };
        let suspect = input.u8()?;
        state.watch.suspect_new = suspect & 1 != 0;
        state.watch.suspect_cur = suspect & 2 != 0;
        state.highest = input.u64()?;
        state.counts = read_counts(&mut input)?;
        state.vanished = Vanished::decode(&mut input)?;
        for _ in 0..input.u32()? {
            state.odd.insert(input.u32()?, input.bytes()?.into());
        }
        for _ in 0..input.u32()? {
            let uid = input.u32()?;
            let row = Row { modseq: input.u64()?, date: input.u64()?.cast_signed(), size: input.u32()?, bits: Bits(input.u32()?) };
            state.tail.push(Message { uid, row, name: input.bytes()?.into() });
        }
        input.is_at_end().then_some((boot, state))
    }
}

/// A few pages at a time, so that opening a mailbox takes hardly more memory than having it open.
fn read_pages(env: &Env, slot: u32) -> Option<Table> {
    let mut table = Table::default();
    let mut from = 0;
    loop {
        let pages = env.store.pages(slot, from)?;
        table.add_pages(&pages)?;
        match pages.last() {
            Some((page, _)) => from = page.checked_add(1)?,
            None => return table.complete(),
        }
    }
}

fn write_counts(out: &mut Writer, counts: &Counts) {
    [counts.messages, counts.unseen, counts.deleted, counts.recent, counts.unsized_messages].into_iter().for_each(|n| out.u32(n));
    out.u64(counts.size);
}

fn read_counts(input: &mut Reader<'_>) -> Option<Counts> {
    Some(Counts {
        messages: input.u32()?,
        unseen: input.u32()?,
        deleted: input.u32()?,
        recent: input.u32()?,
        unsized_messages: input.u32()?,
        size: input.u64()?,
    })
}
