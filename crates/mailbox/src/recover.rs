//! Doing again what the journal says was promised. Everything here looks first: an entry may have been carried out in
//! full, in part, or not at all, and the disk may have forgotten any of it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use journal::Recovered;
use mail::Uid;
use maildir::delivery::{Incoming, Ready, path_of};

use crate::account::Account;
use crate::entries::{APPEND, MOVE, Promise, Record};
use crate::env::Env;
use crate::error::{Error, Result, disk};
use crate::mailbox::{Mailbox, lock_both};
use crate::record::{Message, NO_DATE, Row};
use crate::state::{State, canonical};
use crate::transfer::link;
use crate::upload::row_for;

/// Room for a transfer of more messages than a mailbox has.
const LONGEST_RECORD: usize = 1 << 30;

impl Account {
    /// Carries out an entry of ours ([`crate::KINDS`]) that the journal gave back, and releases it. To be called before
    /// anybody uses the account, in the order of the entries and after earlier deliveries that are in doubt were done again:
    /// a copy may be one of a message that only the journal has. `complete` says that all of them were: then a message to be
    /// copied that is not there has gone since.
    ///
    /// # Errors
    /// [`Error::BadRecord`], [`Error::Unavailable`]; the entry then stays in the journal.
    pub fn recover(&self, entry: &Recovered, complete: bool) -> Result<()> {
        let body;
        let record = if entry.kind == APPEND {
            &entry.header[..]
        } else {
            body = entry.body.whole(LONGEST_RECORD)?;
            &body[..]
        };
        let record = Record::decode(record).filter(|record| record.account == self.env.account).ok_or(Error::BadRecord)?;
        match self.mailbox(&record.target) {
            Ok(target) if entry.kind == APPEND => self.append_again(&target, &record, &mut entry.body.reader())?,
            Ok(target) => self.transfer_again(&target, &record, entry.kind == MOVE, complete)?,
            Err(Error::Nonexistent) => tracing::info!(mailbox = record.target, "a mailbox was deleted before its journal was released"),
            Err(error) => return Err(error),
        }
        self.env.world.journal.release(entry.id);
        Ok(())
    }

    fn append_again(&self, target: &Arc<Mailbox>, record: &Record, body: &mut dyn Read) -> Result<()> {
        let env = &*self.env;
        let mut state = target.lock();
        state.open_fully(env)?;
        for promise in &record.promises {
            let mut part = body.take(promise.length);
            let there = state.reseat_promise(env, record, promise)?;
            if there.is_some() && !env.marks.power_cut() {
                std::io::copy(&mut part, &mut std::io::sink()).map_err(disk("read the journal", promise.uid))?;
                continue;
            }
            let ready = write_again(env, &state, promise, &mut part)?;
            if let Some(path) = there.and_then(|uid| state.path(uid)) {
                // The name is there, but the disk may have lost some of the content.
                state.own(env, |_| ready.place_at(&path))?;
                continue;
            }
            let keywords = state.keyword_bits(env, &promise.keywords)?;
            let row = row_for(promise.flags, keywords, promise.date, ready.virtual_size);
            let wanted = wanted(&state, record, promise);
            let uid = state.settle(env, wanted, ready, row)?;
            tracing::info!(mailbox = state.name, uid, "stored a message again from the journal");
        }
        Ok(())
    }

    fn transfer_again(&self, target: &Arc<Mailbox>, record: &Record, moved: bool, complete: bool) -> Result<()> {
        let env = &*self.env;
        let source = match self.mailbox(&record.source) {
            Err(Error::Nonexistent) => return Ok(()),
            other => other?,
        };
        source.lock().open_fully(env)?;
        target.lock().open_fully(env)?;
        let (mut from, mut to) = lock_both(&source, target);
        for promise in &record.promises {
            let there = to.as_deref_mut().unwrap_or(&mut from).reseat_promise(env, record, promise)?;
            let Some(uid) = find(&from, &promise.source) else {
                if there.is_none() && !complete {
                    return Err(Error::Unavailable);
                }
                if there.is_none() {
                    tracing::info!(mailbox = record.target, uid = promise.uid, "a copied message has gone since");
                }
                continue;
            };
            let size = from.table.as_ref().and_then(|table| table.row(uid)).map_or(crate::record::NO_SIZE, |row| row.size);
            let path = from.path(uid).ok_or(Error::Unavailable)?;
            let state = to.as_deref_mut().unwrap_or(&mut from);
            match there.and_then(|there| state.path(there)) {
                // What the source has is sure by now; of the target only that it has the name.
                Some(old) => state.own(env, |_| transfer_over(env, &path, &old, moved)),
                None => state.transfer_in(env, &path, moved, record, promise, size)?,
            }
            .map_err(disk("copy or move a message again", promise.uid))?;
            if moved {
                let modseq = from.next_modseq(env);
                from.forget(uid, modseq);
            }
        }
        Ok(())
    }
}

/// Writes a promised message from the journal into `tmp`.
fn write_again(env: &Env, state: &State, promise: &Promise, part: &mut dyn Read) -> Result<Ready> {
    let unique = promise.base.split(|b| *b == b',').next().unwrap_or_default();
    let mut incoming = Incoming::create(Arc::clone(&env.world.disk), &state.folder, &String::from_utf8_lossy(unique))?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = part.read(&mut buffer).map_err(disk("read the journal", promise.uid))?;
        if read == 0 {
            break;
        }
        incoming.write(&buffer[..read])?;
    }
    Ok(incoming.finish(promise.date)?)
}

/// Puts the source in the place of what the disk has kept of its copy.
fn transfer_over(env: &Env, source: &Path, target: &Path, moved: bool) -> io::Result<()> {
    let same = env.disk().stat(source)?.inode == env.disk().stat(target)?.inode;
    match (moved, same) {
        (true, true) => env.disk().remove(source),
        (true, false) => env.disk().rename(source, target),
        (false, true) => Ok(()),
        (false, false) => {
            env.disk().remove(target)?;
            link(env, source, target)
        }
    }
}

fn find(state: &State, base: &[u8]) -> Option<Uid> {
    state.table.as_ref()?.names().find(|(_, name)| *name == base).map(|(uid, _)| uid)
}

/// The promised UID, if the mailbox is still the one that it was promised for.
fn wanted(state: &State, record: &Record, promise: &Promise) -> Option<Uid> {
    (state.validity == record.validity).then_some(promise.uid)
}

impl State {
    /// Opens the mailbox and compares it with its folder.
    fn open_fully(&mut self, env: &Env) -> Result<()> {
        self.open(env)?;
        self.load(env)?;
        self.compare(env)
    }

    /// Where a promised message is, if it is there; it gets the UID that was promised if it has another.
    fn reseat_promise(&mut self, env: &Env, record: &Record, promise: &Promise) -> Result<Option<Uid>> {
        match (find(self, &promise.base), wanted(self, record, promise)) {
            (Some(uid), Some(told)) => self.reseat(env, uid, told).map(Some),
            (there, _) => Ok(there),
        }
    }

    /// Copies or moves a file here, and gives it the UID that was promised.
    fn transfer_in(
        &mut self,
        env: &Env,
        path: &Path,
        moved: bool,
        record: &Record,
        promise: &Promise,
        size: u32,
    ) -> Result<io::Result<()>> {
        let keywords = self.keyword_bits(env, &promise.keywords)?;
        let row = Row { size, date: NO_DATE, ..row_for(promise.flags, keywords, promise.date, 0) };
        let new = path_of(&self.folder, row.bits.place(), &promise.base, &canonical(row.bits));
        let done = self.own(env, |_| if moved { env.disk().rename(path, &new) } else { link(env, path, &new) });
        if done.is_ok() {
            let wanted = wanted(self, record, promise);
            let uid = self.adopt(env, wanted, &promise.base, row)?;
            tracing::info!(mailbox = self.name, uid, "copied or moved a message again");
        }
        Ok(done)
    }

    /// A file has its place; it gets the UID that was promised, or a new one.
    fn adopt(&mut self, env: &Env, wanted: Option<Uid>, base: &[u8], row: Row) -> Result<Uid> {
        let uid = match wanted.filter(|uid| self.is_free(*uid)) {
            Some(uid) if uid < self.next => uid,
            other => {
                self.next = self.next.max(other.unwrap_or(0));
                let uid = self.give_uids(env, &[base], false)?;
                self.arrive(env, Message { uid, row, name: base.into() });
                return Ok(uid);
            }
        };
        self.arrive(env, Message { uid, row, name: base.into() });
        self.restore_line(env, uid)?;
        Ok(uid)
    }
}
