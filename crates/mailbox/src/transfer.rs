//! COPY and MOVE: a further name for the same file, or a new one in its stead.
//!
//! The journal gets an entry without a body: which file was to become which. The copies are made when the entry is
//! durable, so that after a crash all or none are there, and a moved message is in exactly one mailbox.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::{Keyword, Uid};
use maildir::delivery::{Incoming, path_of};
use maildir::name;

use journal::{Durable, EntryId};

use crate::account::canonical_name;
use crate::entries::{COPY, MOVE, Promise, Record};
use crate::env::Env;
use crate::error::{Error, Result, disk};
use crate::mailbox::{Mailbox, lock_both};
use crate::record::{Message, NO_SIZE, Row};
use crate::state::{State, canonical};
use crate::types::{Copied, Pending};
use crate::upload::row_for;
use crate::view::View;

/// What is done with the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Copy,
    Move,
}

/// One message of a transfer.
#[derive(Debug)]
struct Item {
    from: Uid,
    to: Uid,
    row: Row,
    source: Box<[u8]>,
    base: Box<[u8]>,
    keywords: Vec<Keyword>,
    done: bool,
}

impl View {
    /// Copies messages with flags, keywords and internal dates: all or none, also after a crash.
    ///
    /// # Errors
    /// [`Error::Nonexistent`] for the target, [`Error::Expunged`] if one of them is gone, [`Error::Limit`],
    /// [`Error::Unavailable`].
    pub fn copy(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)> {
        self.transfer(uids, target, Way::Copy)
    }

    /// Moves messages (RFC 6851); a message is at every moment, and after every crash, in exactly one of the two. Those
    /// that are gone are passed over.
    ///
    /// # Errors
    /// [`Error::Nonexistent`] for the target, [`Error::ReadOnly`], [`Error::Limit`], [`Error::Unavailable`]; some may have
    /// been moved then.
    pub fn relocate(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        self.transfer(uids, target, Way::Move)
    }

    fn transfer(&mut self, uids: &[Uid], target: &str, way: Way) -> Result<(Copied, Pending)> {
        let target = self.account.mailbox(canonical_name(target))?;
        let source = Arc::clone(&self.mailbox);
        let mut items = self.gather(uids, way)?;
        let (validity, target_name) = {
            let mut state = target.lock();
            state.open(&target.env)?;
            if !items.is_empty() {
                reserve(&mut state, &target.env, &mut items)?;
            }
            (state.validity, state.name.clone())
        };
        if items.is_empty() {
            return Ok((Copied { uid_validity: validity, ..Copied::default() }, Pending::done()));
        }
        let outcome = self.promise(&items, target_name, validity, way);
        let (entry, outcome) =
            outcome.map_or_else(|error| (None, Err(error)), |(id, durable)| (Some(id), durable.wait().map_err(Error::from)));
        let outcome = outcome.and_then(|()| before(&source.env, &items, way));
        let result = carry_out(&source, &target, &mut items, way, outcome);
        if let Some(id) = entry {
            source.env.world.journal.release(id);
        }
        result?;
        target.wait_shown(items.iter().map(|item| item.to).max().unwrap_or_default());
        let mut copied = Copied { uid_validity: validity, ..Copied::default() };
        for item in items.iter().filter(|item| item.done) {
            copied.from.push(item.from);
            copied.to.push(item.to);
        }
        Ok((copied, Pending::done()))
    }

    /// Writes what is to be done into the journal.
    fn promise(&self, items: &[Item], target: String, validity: u32, way: Way) -> Result<(EntryId, Durable)> {
        let record = self.record(items, target, validity)?;
        let kind = if way == Way::Copy { COPY } else { MOVE };
        Ok(self.env().world.journal.entry(kind, &record.short_header(), &record.encode()))
    }

    /// What is known of the messages now.
    fn gather(&self, uids: &[Uid], way: Way) -> Result<Vec<Item>> {
        let mut state = self.lock()?;
        let names = state.keyword_list();
        let mut items = Vec::new();
        for uid in uids.iter().copied().collect::<BTreeSet<Uid>>() {
            let Some(mut row) = state.table.as_ref().and_then(|table| table.row(uid)).filter(|_| self.uids.sequence(uid).is_some()) else {
                if way == Way::Copy && self.uids.sequence(uid).is_some() {
                    return Err(Error::Expunged);
                }
                continue;
            };
            state.date(self.env(), uid, &mut row);
            let Some(source) = state.table.as_ref().and_then(|table| table.name(uid)) else { continue };
            let bits = row.bits.keywords() & state.keywords.known();
            let keywords = names.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, k)| k.clone()).collect();
            let base = target_name(self.env(), source, &row);
            items.push(Item { from: uid, to: 0, row, source: source.into(), base, keywords, done: false });
        }
        Ok(items)
    }

    fn record(&self, items: &[Item], target: String, validity: u32) -> Result<Record> {
        let promise = |item: &Item| Promise {
            uid: item.to,
            base: item.base.to_vec(),
            source: item.source.to_vec(),
            length: 0,
            flags: item.row.bits.flags(),
            keywords: item.keywords.clone(),
            date: item.row.date,
        };
        let source = self.lock()?.name.clone();
        Ok(Record { account: self.env().account.clone(), target, validity, source, promises: items.iter().map(promise).collect() })
    }
}

/// The name of a copy: a new one, with the sizes that are known.
fn target_name(env: &Env, source: &[u8], row: &Row) -> Box<[u8]> {
    let unique = env.unique();
    let name = match name::size(source) {
        Some(size) if row.size != NO_SIZE => name::with_sizes(&unique, size, u64::from(row.size)),
        _ => unique,
    };
    name.into_bytes().into()
}

/// Gives the copies their UIDs; they are shown when all are made.
fn reserve(state: &mut State, env: &Env, items: &mut [Item]) -> Result<()> {
    for item in items.iter_mut() {
        let keywords = state.keyword_bits(env, &item.keywords)?;
        let size = if item.row.size == NO_SIZE { u64::MAX } else { u64::from(item.row.size) };
        item.row = row_for(item.row.bits.flags(), keywords, item.row.date, size);
    }
    let names: Vec<&[u8]> = items.iter().map(|item| &*item.base).collect();
    let first = state.give_uids(env, &names, false)?;
    state.reserve(first, names.into_iter());
    for (uid, item) in (first..).zip(items.iter_mut()) {
        item.to = uid;
    }
    Ok(())
}

/// What must be so before sources change.
fn before(env: &Env, items: &[Item], way: Way) -> Result<()> {
    let mut sources = items.iter().map(|item| &*item.source);
    match way {
        Way::Copy => env.note_copied(sources),
        Way::Move => env.before_removal(&mut sources),
    }
}

/// Makes the copies and shows them, or takes everything back.
fn carry_out(source: &Arc<Mailbox>, target: &Arc<Mailbox>, items: &mut [Item], way: Way, outcome: Result<()>) -> Result<()> {
    let env = &*source.env;
    let (mut from, mut to) = lock_both(source, target);
    let folder = to.as_ref().map_or(&from.folder, |state| &state.folder).clone();
    let gone = to.as_ref().map_or(from.gone, |state| state.gone);
    let outcome = if gone { outcome.and(Err(Error::Nonexistent)) } else { outcome };
    if outcome.is_ok() {
        refresh(&mut from, to.as_deref_mut(), env, items);
    }
    let work = |from: &mut State| outcome.and_then(|()| make_all(from, env, &folder, items, way));
    let result = match &mut to {
        Some(to) => to.own(env, |_| from.own(env, work)),
        None => from.own(env, work),
    };
    if result.is_err() && way == Way::Copy {
        // All or none.
        for item in items.iter_mut().filter(|item| item.done) {
            item.done = false;
            let _ = env.disk().remove(&path_in(&folder, item));
        }
    }
    let state = to.as_deref_mut().unwrap_or(&mut from);
    for item in items {
        if item.done {
            state.recent.insert(item.to);
            state.arrive(env, Message { uid: item.to, row: item.row, name: item.base.clone() });
        } else {
            state.cancel(env, item.to, &item.base);
        }
    }
    result
}

/// Takes over what others did to the flags while the journal was waited for: a change that was acknowledged goes along.
fn refresh(source: &mut State, mut target: Option<&mut State>, env: &Env, items: &mut [Item]) {
    let names = source.keyword_list();
    for item in items {
        let Some(row) = source.table.as_ref().and_then(|table| table.row(item.from)) else { continue };
        let bits = row.bits.keywords() & source.keywords.known();
        item.keywords = names.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, keyword)| keyword.clone()).collect();
        let state = target.as_deref_mut().unwrap_or(source);
        let keywords = state.keyword_bits(env, &item.keywords).unwrap_or_else(|_| state.known_bits(&item.keywords));
        let size = if item.row.size == NO_SIZE { u64::MAX } else { u64::from(item.row.size) };
        item.row = row_for(row.bits.flags(), keywords, item.row.date, size);
    }
}

fn path_in(folder: &Path, item: &Item) -> PathBuf {
    path_of(folder, item.row.bits.place(), &item.base, &canonical(item.row.bits))
}

fn make_all(source: &mut State, env: &Env, folder: &Path, items: &mut [Item], way: Way) -> Result<()> {
    let modseq = if way == Way::Move { source.next_modseq(env) } else { 0 };
    for item in items {
        let to = path_in(folder, item);
        item.done = make(source, env, item.from, &to, way)?;
        if item.done && way == Way::Move {
            source.forget(item.from, modseq);
        }
        if !item.done && way == Way::Copy {
            return Err(Error::Expunged);
        }
    }
    Ok(())
}

/// Makes one copy or move; false if the message is gone.
fn make(source: &mut State, env: &Env, uid: Uid, to: &Path, way: Way) -> Result<bool> {
    for last in [false, true] {
        let Some(path) = source.path(uid) else { return Ok(false) };
        let made = match way {
            Way::Copy => link(env, &path, to),
            Way::Move => env.disk().rename(&path, to),
        };
        match made {
            Ok(()) => return Ok(true),
            // Another program renamed or removed it: look, and try once more.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !last => source.compare(env)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(disk("copy or move a message", uid)(error)),
        }
    }
    Ok(false)
}

/// Gives a file one more name; where the file system cannot, copies it and waits until the copy is on disk.
pub(crate) fn link(env: &Env, from: &Path, to: &Path) -> io::Result<()> {
    match env.disk().link(from, to) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::TooManyLinks | io::ErrorKind::CrossesDevices | io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            copy_file(env, from, to)
        }
        other => other,
    }
}

fn copy_file(env: &Env, from: &Path, to: &Path) -> io::Result<()> {
    let unique = env.unique();
    let folder = to.parent().and_then(Path::parent).ok_or(io::ErrorKind::InvalidInput)?;
    let date = env.disk().stat(from)?.modified.div_euclid(1_000_000_000);
    let file = env.disk().open(from, system::Create::Read)?;
    let mut incoming = Incoming::create(Arc::clone(&env.world.disk), folder, &unique).map_err(io::Error::other)?;
    let (mut buffer, mut offset) = (vec![0; 64 << 10], 0);
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            break;
        }
        incoming.write(&buffer[..read]).map_err(io::Error::other)?;
        offset += read as u64;
    }
    let ready = incoming.finish(date).map_err(io::Error::other)?;
    ready.place_at(to).map_err(io::Error::other)?;
    env.disk().sync_all(to)
}
