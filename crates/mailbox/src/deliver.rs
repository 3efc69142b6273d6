//! Delivery of accepted mail: one file, one line in the UID list, whatever the size of the mailbox.

use std::io::Read;
use std::sync::Arc;

use mail::{Flags, Uid, UidValidity};
use maildir::delivery::{Incoming, Ready, path_of};
use maildir::scan::Place;
use maildir::uidlist;

use crate::account::{Account, canonical_name};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::record::{Bits, Message, Row, short_size};
use crate::state::State;

/// Read from the body at once, in octets. Most messages are no longer.
const PIECE: usize = 8 << 10;

/// What is known of earlier attempts to deliver the same message to the same mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// There was none.
    No,
    /// The daemon stopped before anything was noted: it may have been delivered.
    Maybe,
    /// It was delivered and got this UID, but the machine may have lost it.
    Told(UidValidity, Uid),
    /// It was delivered since the daemon was started and got this UID: where it is not now, its readers have put it.
    Sure(UidValidity, Uid),
}

/// What is to be delivered where.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The mailbox, made if it is missing.
    pub mailbox: &'a str,
    /// The first part of the file's name, the same in every attempt, see [`maildir::name::unique`].
    pub unique: &'a str,
    /// When the message was received, in seconds since 1970 (INTERNALDATE).
    pub received: i64,
    /// What is known of earlier attempts.
    pub replay: Replay,
}

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The mailbox's name.
    pub mailbox: String,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The message's UID.
    pub uid: Uid,
    /// The base of the file's name.
    pub file: String,
}

/// What a look for an earlier attempt found.
enum Earlier {
    /// The message is there, or was there and has been moved or removed since.
    Done(UidValidity, Uid, String),
    /// A file of its name is there, but the disk may have lost some of its content.
    Doubtful(Uid),
    /// It is not there; it had this UID.
    Undone(Option<Uid>),
}

impl Account {
    /// Delivers a message. When this returns, the message is in the Maildir, though not yet synced: whoever holds it in the
    /// journal may release it there. Doing it again with a [`Replay`] other than `No` finds what was done before.
    ///
    /// # Errors
    /// [`Error::BadName`] if the name cannot be a mailbox, [`Error::Limit`], [`Error::Unavailable`]; nothing was delivered then.
    pub fn deliver(&self, delivery: &Delivery<'_>, body: &mut dyn Read) -> Result<Delivered> {
        let env = &*self.env;
        let told = |uid_validity, uid, file| {
            let mailbox = canonical_name(delivery.mailbox).to_owned();
            Delivered { mailbox, uid_validity, uid, file }
        };
        let (mailbox, incoming, earlier) = self.begin_delivery(delivery)?;
        let wanted = match &earlier {
            Earlier::Done(validity, uid, file) => return Ok(told(*validity, *uid, file.clone())),
            Earlier::Doubtful(uid) => Some(*uid),
            Earlier::Undone(uid) => *uid,
        };
        let Some(incoming) = incoming else { return Err(Error::Unavailable) };
        let ready = write(incoming, delivery.received, body)?;
        let file = ready.base.clone();
        let size = short_size(Some(ready.virtual_size));
        let row = Row { modseq: 0, date: delivery.received, size, bits: Bits::new(Flags::NONE, 0, Place::New) };
        if matches!(earlier, Earlier::Undone(None)) {
            let (uid_validity, uid) = mailbox.settle_together(ready, row)?;
            return Ok(told(uid_validity, uid, file));
        }
        let mut state = mailbox.lock();
        state.open(env)?;
        if let (Earlier::Doubtful(uid), Some(path)) = (&earlier, wanted.and_then(|uid| state.path(uid))) {
            state.own(env, |_| ready.place_at(&path))?;
            return Ok(told(state.validity, *uid, file));
        }
        let uid = state.settle(env, wanted, ready, row)?;
        state.shorten_tail(env);
        Ok(told(state.validity, uid, file))
    }

    /// Finds the mailbox, makes it if it is missing, looks for earlier attempts, and begins the file. Another program may
    /// have removed the folder since it was last used: then all this is done once more.
    fn begin_delivery(&self, delivery: &Delivery<'_>) -> Result<(Arc<Mailbox>, Option<Incoming>, Earlier)> {
        for last in [false, true] {
            let mailbox = self.mailbox_for_delivery(delivery.mailbox)?;
            if delivery.replay == Replay::No && !last {
                // Nearly always the folder is there, and the file needs no lock.
                let folder = self.env.root.folder(canonical_name(delivery.mailbox))?;
                if let Ok(incoming) = Incoming::create(Arc::clone(&self.env.world.disk), &folder, delivery.unique) {
                    return Ok((mailbox, Some(incoming), Earlier::Undone(None)));
                }
            }
            let mut state = mailbox.lock();
            let begun = state.open(&self.env).and_then(|()| state.begin_delivery(&self.env, delivery));
            if begun.is_err() && !last && state.look_after(&self.env) == Err(Error::Gone) {
                continue;
            }
            drop(state);
            return begun.map(|(incoming, earlier)| (mailbox, incoming, earlier));
        }
        Err(Error::Unavailable)
    }

    fn mailbox_for_delivery(&self, name: &str) -> Result<Arc<Mailbox>> {
        match self.mailbox(name) {
            Err(Error::Nonexistent) => {}
            other => return other,
        }
        match self.create(name, None) {
            Ok(()) | Err(Error::AlreadyExists) => self.mailbox(name),
            Err(error) => Err(error),
        }
    }
}

fn write(mut incoming: Incoming, received: i64, body: &mut dyn Read) -> Result<Ready> {
    let mut buffer = [0; PIECE];
    loop {
        let read = body.read(&mut buffer).map_err(crate::error::disk("read a message to be delivered", 0))?;
        if read == 0 {
            break;
        }
        incoming.write(&buffer[..read])?;
    }
    Ok(incoming.finish(received)?)
}

impl State {
    fn begin_delivery(&mut self, env: &Env, delivery: &Delivery<'_>) -> Result<(Option<Incoming>, Earlier)> {
        let earlier = if delivery.replay == Replay::No { Earlier::Undone(None) } else { self.find_earlier(env, delivery)? };
        let incoming = match earlier {
            Earlier::Done(..) => None,
            Earlier::Doubtful(_) | Earlier::Undone(_) => {
                Some(Incoming::create(Arc::clone(&env.world.disk), &self.folder, delivery.unique)?)
            }
        };
        Ok((incoming, earlier))
    }

    /// Looks for a message that may have been delivered before.
    fn find_earlier(&mut self, env: &Env, delivery: &Delivery<'_>) -> Result<Earlier> {
        self.load(env)?;
        self.compare(env)?;
        let lost = env.marks.power_cut() && !matches!(delivery.replay, Replay::Sure(..));
        let is_it = |name: &[u8]| {
            let rest = name.strip_prefix(delivery.unique.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b","))
        };
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let here = self.table.iter().flat_map(|table| table.names()).find(|(_, name)| is_it(name));
        if let Some((uid, name)) = here {
            let file = text(name);
            let uid = match delivery.replay {
                Replay::Told(validity, told) if validity == self.validity => self.reseat(env, uid, told)?,
                _ => uid,
            };
            return Ok(if lost { Earlier::Doubtful(uid) } else { Earlier::Done(self.validity, uid, file) });
        }
        let (list, _) = uidlist::read(env.disk(), &self.folder)?.unwrap_or_default();
        let line = list.lines.iter().rev().find(|line| is_it(list.name(line)));
        let told = match delivery.replay {
            Replay::Told(validity, uid) | Replay::Sure(validity, uid) if validity == self.validity => Some(uid),
            _ => None,
        };
        let uid = told.or(line.map(|line| line.uid));
        // While the machine stays up nothing that was done is lost: the line was written after the file had its place.
        Ok(match uid.filter(|_| !lost) {
            Some(uid) => Earlier::Done(self.validity, uid, line.map_or_else(|| delivery.unique.to_owned(), |line| text(list.name(line)))),
            None => Earlier::Undone(uid),
        })
    }

    /// Puts a finished file into its place, under the UID wanted if that can still be had.
    pub(crate) fn settle(&mut self, env: &Env, wanted: Option<Uid>, ready: Ready, row: Row) -> Result<Uid> {
        let base: Box<[u8]> = ready.base.as_bytes().into();
        let place = row.bits.place();
        let suffix = String::from_utf8(crate::state::canonical(row.bits)).unwrap_or_default();
        let target = path_of(&self.folder, place, &base, suffix.as_bytes());
        let put = |state: &mut Self| state.own(env, |_| ready.place(place, &suffix)).map_err(Error::from);
        if let Some(uid) = wanted.filter(|uid| *uid < self.next && self.is_free(*uid)) {
            put(self)?;
            self.arrive(env, Message { uid, row, name: base });
            self.restore_line(env, uid)?;
            return Ok(uid);
        }
        if let Some(uid) = wanted.filter(|uid| *uid >= self.next && *uid < Uid::MAX - 1) {
            self.next = uid;
        }
        let mut placed = false;
        let given = self.give_uids_with(env, &[&*base], false, |state, _| {
            put(state)?;
            placed = true;
            Ok(1)
        });
        if given.is_err() && placed {
            // Without its line it would be found as a stranger's and be delivered twice.
            let _ = env.disk().remove(&target);
        }
        let uid = given?;
        self.arrive(env, Message { uid, row, name: base });
        Ok(uid)
    }

    /// The disk has kept a file, but not the line with the UID that was told, and a look at the folder gave it another one
    /// that nobody has heard of yet: it gets its own back if that is free.
    pub(crate) fn reseat(&mut self, env: &Env, uid: Uid, told: Uid) -> Result<Uid> {
        if uid == told || self.log.has_readers() || !self.is_free(told) || told == Uid::MAX {
            return Ok(uid);
        }
        let Some(mut message) = self.table.as_mut().and_then(|table| table.remove(uid)) else { return Ok(uid) };
        message.uid = told;
        message.row.modseq = self.next_modseq(env);
        if let Some(odd) = self.odd.remove(&uid) {
            self.odd.insert(told, odd);
        }
        if let Some(table) = &mut self.table {
            table.insert(&message);
        }
        self.next = self.next.max(told + 1);
        self.restore_line(env, told)?;
        Ok(told)
    }

    /// Whether a UID below the next one can be given to the message that had it.
    pub(crate) fn is_free(&self, uid: Uid) -> bool {
        let Some(table) = &self.table else { return false };
        let told = table.last().filter(|_| self.log.has_readers()).unwrap_or(0);
        table.row(uid).is_none() && uid > told && !self.parked.contains_key(&uid)
    }

    /// Sees to it that the UID list has the line of a message that is in the table.
    pub(crate) fn restore_line(&mut self, env: &Env, uid: Uid) -> Result<()> {
        let folder = self.folder.clone();
        let list = uidlist::Locked::take(&env.locks, &folder)?;
        let (old, _) = uidlist::read(env.disk(), &folder)?.unwrap_or_default();
        let name = self.table.as_ref().and_then(|table| table.name(uid));
        let there = old.lines.binary_search_by_key(&uid, |line| line.uid).is_ok_and(|at| Some(old.name(&old.lines[at])) == name);
        if !there {
            self.rewrite_list(env, &list, &old)?;
        }
        Ok(())
    }
}
