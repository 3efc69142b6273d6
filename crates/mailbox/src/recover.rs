//! Doing again what the journal says was promised. Everything here looks first: an entry may have been carried out in
//! full, in part, or not at all, and the disk may have forgotten any of it.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use journal::Recovered;
use mail::Uid;
use maildir::delivery::{Incoming, path_of};

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
    /// a copy may be one of a message that only the journal has.
    ///
    /// # Errors
    /// [`Error::BadRecord`], [`Error::Unavailable`]; the entry then stays in the journal.
    pub fn recover(&self, entry: &Recovered) -> Result<()> {
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
            Ok(target) => self.transfer_again(&target, &record, entry.kind == MOVE)?,
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
        let here = names(&state);
        for promise in &record.promises {
            let mut part = body.take(promise.length);
            if here.contains(&*promise.base) {
                std::io::copy(&mut part, &mut std::io::sink()).map_err(disk("read the journal", promise.uid))?;
                continue;
            }
            let unique = promise.base.split(|b| *b == b',').next().unwrap_or_default();
            let unique = String::from_utf8_lossy(unique).into_owned();
            let mut incoming = Incoming::create(Arc::clone(&env.world.disk), &state.folder, &unique)?;
            let mut buffer = vec![0; 64 << 10];
            loop {
                let read = part.read(&mut buffer).map_err(disk("read the journal", promise.uid))?;
                if read == 0 {
                    break;
                }
                incoming.write(&buffer[..read])?;
            }
            let ready = incoming.finish()?;
            ready.set_date(promise.date)?;
            let keywords = state.keyword_bits(env, &promise.keywords)?;
            let row = row_for(promise.flags, keywords, promise.date, ready.virtual_size);
            let wanted = wanted(&state, record, promise);
            let uid = state.settle(env, wanted, ready, row)?;
            tracing::info!(mailbox = state.name, uid, "stored a message again from the journal");
        }
        Ok(())
    }

    fn transfer_again(&self, target: &Arc<Mailbox>, record: &Record, moved: bool) -> Result<()> {
        let env = &*self.env;
        let source = match self.mailbox(&record.source) {
            Err(Error::Nonexistent) => return Ok(()),
            other => other?,
        };
        source.lock().open_fully(env)?;
        target.lock().open_fully(env)?;
        let (mut from, mut to) = lock_both(&source, target);
        for promise in &record.promises {
            let there = names(to.as_deref().unwrap_or(&from)).contains(&*promise.base);
            let Some(uid) = find(&from, &promise.source) else {
                if !there {
                    tracing::info!(mailbox = record.target, uid = promise.uid, "a copied message has gone since");
                }
                continue;
            };
            if there {
                if moved {
                    from.drop_second_name(env, uid, to.as_deref_mut(), &promise.base)?;
                }
                continue;
            }
            let path = from.path(uid).ok_or(Error::Unavailable)?;
            let size = from.table.as_ref().and_then(|table| table.row(uid)).map_or(crate::record::NO_SIZE, |row| row.size);
            let state = to.as_deref_mut().unwrap_or(&mut from);
            let keywords = state.keyword_bits(env, &promise.keywords)?;
            let row = Row { size, date: NO_DATE, ..row_for(promise.flags, keywords, promise.date, 0) };
            let new = path_of(&state.folder, row.bits.place(), &promise.base, &canonical(row.bits));
            let done = state.own(env, |_| if moved { env.disk().rename(&path, &new) } else { link(env, &path, &new) });
            done.map_err(disk("copy or move a message again", promise.uid))?;
            let wanted = wanted(state, record, promise);
            let to_uid = state.adopt(env, wanted, &promise.base, row)?;
            tracing::info!(mailbox = record.target, uid = to_uid, "copied or moved a message again");
            if moved {
                let modseq = from.next_modseq(env);
                from.forget(uid, modseq);
            }
        }
        Ok(())
    }
}

fn names(state: &State) -> HashSet<Box<[u8]>> {
    state.table.iter().flat_map(|table| table.names()).map(|(_, name)| name.into()).collect()
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

    /// A message was moved, but the disk has kept its old name as well.
    fn drop_second_name(&mut self, env: &Env, uid: Uid, target: Option<&mut Self>, base: &[u8]) -> Result<()> {
        let other = target.as_deref().and_then(|target| target.path(find(target, base)?));
        let (Some(old), Some(new)) = (self.path(uid), other) else { return Ok(()) };
        let stat = |path: &std::path::Path| env.disk().stat(path).map_err(disk("look at a moved message", uid));
        if stat(&old)?.inode == stat(&new)?.inode {
            self.remove(env, &[uid])?;
        }
        Ok(())
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
