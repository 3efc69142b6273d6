//! Changing flags: a renaming for each message.

use mail::{Flags, Uid, UidSet};
use maildir::delivery::path_of;
use maildir::name;
use maildir::scan::Place;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::log::Event;
use crate::record::{Bits, Row};
use crate::state::{State, canonical};
use crate::types::{StoreChange, StoreMode};
use crate::view::View;

impl View {
    /// Changes flags. Gives the UIDs that were left alone because of `unchanged_since`; the changes are told by the next
    /// poll. Of messages that others have expunged, only what this view still shows changes (RFC 2180 section 4.2).
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Limit`] for too many keywords, [`Error::Unavailable`].
    pub fn store(&mut self, uids: &[Uid], change: &StoreChange<'_>) -> Result<UidSet> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        let number = self.number;
        let mailbox = std::sync::Arc::clone(&self.mailbox);
        let mut state = self.lock()?;
        let bits = match change.mode {
            StoreMode::Remove => state.known_bits(change.keywords),
            StoreMode::Replace | StoreMode::Add => state.keyword_bits(&mailbox.env, change.keywords)?,
        };
        let silent = if change.silent { number } else { 0 };
        let mut work = Work { change, keywords: bits, silent, modseq: None, refused: UidSet::new(), touched: Vec::new(), gone: Vec::new() };
        let known = uids.iter().copied().filter(|uid| self.uids.sequence(*uid).is_some());
        let result = state.own(&mailbox.env, |state| work.run(state, &mailbox.env, known));
        let ghosts: Vec<_> = work.gone.iter().filter_map(|uid| self.ghost(&state, *uid).cloned()).collect();
        drop(state);
        for mut ghost in ghosts {
            if change.unchanged_since.is_some_and(|since| ghost.row.modseq > since) {
                work.refused.insert(ghost.uid);
                continue;
            }
            let (flags, keywords) = work.target(ghost.row.bits);
            ghost.row.bits = Bits::new(flags, keywords, ghost.row.bits.place());
            self.held.insert(ghost.uid, Some(ghost));
        }
        if !change.silent {
            self.echo.extend(work.touched);
        }
        result.map(|()| work.refused)
    }
}

/// One store at work.
struct Work<'a> {
    change: &'a StoreChange<'a>,
    keywords: u32,
    /// The session that does not want to hear of it.
    silent: u64,
    modseq: Option<u64>,
    refused: UidSet,
    touched: Vec<Uid>,
    gone: Vec<Uid>,
}

impl Work<'_> {
    fn run(&mut self, state: &mut State, env: &Env, uids: impl Iterator<Item = Uid>) -> Result<()> {
        for uid in uids {
            let Some(row) = state.table.as_ref().and_then(|table| table.row(uid)) else {
                self.gone.push(uid);
                continue;
            };
            if self.change.unchanged_since.is_some_and(|since| row.modseq > since) {
                self.refused.insert(uid);
                continue;
            }
            if self.one(state, env, uid, row)? {
                self.touched.push(uid);
            } else {
                self.gone.push(uid);
            }
        }
        Ok(())
    }

    /// Changes one message; false if it is gone.
    fn one(&mut self, state: &mut State, env: &Env, uid: Uid, row: Row) -> Result<bool> {
        let (flags, keywords) = self.target(row.bits);
        if (flags, keywords) == (row.bits.flags(), row.bits.keywords()) {
            return Ok(true);
        }
        if !rename(state, env, uid, flags, keywords)? {
            return Ok(false);
        }
        let modseq = match self.modseq {
            Some(modseq) => modseq,
            None => *self.modseq.insert(state.next_modseq(env)),
        };
        if let Some(table) = &mut state.table
            && let Some(row) = table.row(uid)
        {
            table.set(uid, Row { modseq, bits: Bits::new(flags, keywords, Place::Cur), ..row });
        }
        state.log.push(Event::Flags(uid, self.silent));
        Ok(true)
    }

    fn target(&self, bits: Bits) -> (Flags, u32) {
        let (flags, keywords) = (bits.flags(), bits.keywords());
        match self.change.mode {
            StoreMode::Replace => (self.change.flags, self.keywords),
            StoreMode::Add => (flags.union(self.change.flags), keywords | self.keywords),
            StoreMode::Remove => (flags.without(self.change.flags), keywords & !self.keywords),
        }
    }
}

/// Gives a message's file the name for these flags; false if the message is gone.
fn rename(state: &mut State, env: &Env, uid: Uid, flags: Flags, keywords: u32) -> Result<bool> {
    for last in [false, true] {
        let Some(from) = state.path(uid) else { return Ok(false) };
        let bits = Bits::new(flags, keywords, Place::Cur);
        let others = state.odd.get(&uid).map(|suffix| name::info(suffix).others).unwrap_or_default();
        let suffix = if others.is_empty() { canonical(bits) } else { name::suffix(flags, keywords, &others).into_bytes() };
        let Some(base) = state.table.as_ref().and_then(|table| table.name(uid)) else { return Ok(false) };
        let to = path_of(&state.folder, Place::Cur, base, &suffix);
        match env.disk().rename(&from, &to) {
            Ok(()) => {
                state.note_suffix(uid, bits, &suffix);
                return Ok(true);
            }
            // Another program renamed or removed it: look, and try once more.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !last => state.compare(env)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                tracing::warn!(mailbox = state.name, uid, %error, "cannot change a message's flags");
                return Err(Error::Unavailable);
            }
        }
    }
    Ok(false)
}
