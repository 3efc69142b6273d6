//! Removing messages for good.

use mail::{Uid, UidSet};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::state::State;
use crate::view::View;

impl View {
    /// Removes the messages of the view with `\Deleted`, all or those in `only`; the next poll tells which.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Unavailable`]; some may be gone then.
    pub fn expunge(&mut self, only: Option<&UidSet>) -> Result<()> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        let mut state = self.lock()?;
        let wanted = |uid: &Uid| only.is_none_or(|only| only.contains(*uid)) && self.uids.sequence(*uid).is_some();
        let uids: Vec<Uid> = state.table.iter().flat_map(|table| table.deleted().iter().copied()).filter(wanted).collect();
        state.remove(self.env(), &uids)
    }
}

impl State {
    /// Removes messages with their files.
    pub(crate) fn remove(&mut self, env: &Env, uids: &[Uid]) -> Result<()> {
        if uids.is_empty() {
            return Ok(());
        }
        let bases = uids.iter().filter_map(|uid| self.table.as_ref()?.name(*uid));
        env.before_removal(bases)?;
        let modseq = self.next_modseq(env);
        let removed = self.own(env, |state| uids.iter().try_for_each(|uid| state.remove_one(env, *uid, modseq)));
        self.tidy_list(env);
        removed
    }

    fn remove_one(&mut self, env: &Env, uid: Uid, modseq: u64) -> Result<()> {
        for last in [false, true] {
            let Some(path) = self.path(uid) else { return Ok(()) };
            match env.disk().remove(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !last => self.compare(env)?,
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(mailbox = self.name, uid, %error, "cannot remove a message");
                    return Err(Error::Unavailable);
                }
                _ => {
                    self.forget(uid, modseq);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
