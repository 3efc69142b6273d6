//! One account: its mailboxes by name.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::SpecialUse;
use maildir::folder;
use maildir::subscriptions::Subscriptions;

use crate::env::{Env, Environment, Paths};
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::special::Special;
use crate::types::{Listed, Status};
use crate::view::View;

/// One account's mail. Clones stand for the same account; there must be no second one for the same Maildir in the process.
#[derive(Clone)]
pub struct Account {
    pub(crate) env: Arc<Env>,
    inner: Arc<Mutex<Inner>>,
    /// Held while folders are made, removed and renamed; taken before all other locks.
    folders: Arc<Mutex<()>>,
}

struct Inner {
    mailboxes: HashMap<String, Arc<Mailbox>>,
    special: Special,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.env.account)
    }
}

/// INBOX in capitals, everything else as it is.
pub(crate) fn canonical_name(name: &str) -> &str {
    if folder::is_inbox(name) { "INBOX" } else { name }
}

impl Account {
    /// Opens an account. `name` stands in the journal and in logs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the Maildir or the index folder cannot be made.
    pub fn open(name: &str, world: &Environment, paths: Paths) -> Result<Self> {
        make_folders(world, &paths.index)?;
        let env = Env::new(name, world.clone(), paths);
        env.root.create("INBOX")?;
        let special = Special::read(env.disk(), &env.paths.index);
        let inner = Inner { mailboxes: HashMap::new(), special };
        Ok(Self { env: Arc::new(env), inner: Arc::new(Mutex::new(inner)), folders: Arc::default() })
    }

    /// Writes everything that the index has not heard of and marks it as complete, for an orderly end. The account is not
    /// to be used afterwards.
    pub fn close(&self) {
        let mailboxes: Vec<_> = self.lock().mailboxes.values().cloned().collect();
        if self.env.store.flush(mailboxes, true) {
            self.env.marks.close();
        }
    }

    /// Whether the machine may have lost what was written before the account was opened. It stays so until an orderly end.
    #[must_use]
    pub fn after_power_cut(&self) -> bool {
        self.env.marks.power_cut()
    }

    /// Writes what the index has not heard of now instead of a moment later.
    pub fn flush(&self) {
        let mailboxes: Vec<_> = self.lock().mailboxes.values().cloned().collect();
        self.env.store.flush(mailboxes, false);
    }

    fn lock_folders(&self) -> MutexGuard<'_, ()> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mailbox of this name, looked up but not opened.
    pub(crate) fn mailbox(&self, name: &str) -> Result<Arc<Mailbox>> {
        let name = canonical_name(name);
        folder::folder_name(name).map_err(|_| Error::Nonexistent)?;
        let mut inner = self.lock();
        let known = inner.mailboxes.get(name).cloned();
        drop(inner);
        if let Some(mailbox) = known
            && !mailbox.is_gone()
        {
            mailbox.touch();
            return Ok(mailbox);
        }
        if !self.env.root.exists(name)? {
            return Err(Error::Nonexistent);
        }
        inner = self.lock();
        let fresh = Mailbox::new(Arc::clone(&self.env), name);
        let entry = inner.mailboxes.entry(name.to_owned()).or_insert_with(|| Arc::clone(&fresh));
        if entry.is_gone() {
            *entry = fresh;
        }
        Ok(Arc::clone(entry))
    }

    /// Does something with a mailbox; once more if that mailbox turns out to have been deleted and made again.
    pub(crate) fn with<T>(&self, name: &str, work: impl Fn(&Arc<Mailbox>) -> Result<T>) -> Result<T> {
        match work(&self.mailbox(name)?) {
            Err(Error::Gone) => match work(&self.mailbox(name)?) {
                Err(Error::Gone) => Err(Error::Nonexistent),
                other => other,
            },
            other => other,
        }
    }

    /// The folder of a mailbox, for a watcher. News there is told by [`Account::hint`].
    ///
    /// # Errors
    /// [`Error::BadName`].
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        Ok(self.env.root.folder(canonical_name(name))?)
    }

    /// Something may have changed in the mailbox's folder: its sessions are told to look. Cheap when it was only we.
    pub fn hint(&self, name: &str) {
        let known = self.lock().mailboxes.get(canonical_name(name)).cloned();
        if let Some(mailbox) = known {
            mailbox.hint();
        }
    }

    /// Reads all names of the mailbox's folder now, whatever its times say.
    ///
    /// # Errors
    /// [`Error::Nonexistent`], [`Error::Unavailable`].
    pub fn rescan(&self, name: &str) -> Result<()> {
        let mailbox = self.mailbox(name)?;
        let mut state = mailbox.lock();
        state.open(&self.env)?;
        state.load(&self.env)?;
        state.read_list(&self.env, true)?;
        state.compare(&self.env)
    }

    /// All mailboxes, INBOX first, the others sorted by name. Names that only have inferiors are among them.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn mailboxes(&self) -> Result<Vec<Listed>> {
        let names = self.env.root.list()?;
        let inner = self.lock();
        let mut all = vec![Listed { name: "INBOX".to_owned(), selectable: true, special_use: None }];
        let mut seen = std::collections::BTreeMap::new();
        for name in &names {
            for (at, _) in name.match_indices('.') {
                seen.entry(name[..at].to_owned()).or_insert(false);
            }
            seen.insert(name.clone(), true);
        }
        seen.remove("INBOX");
        all.extend(seen.into_iter().map(|(name, selectable)| {
            let special_use = if selectable { inner.special.of(&name) } else { None };
            Listed { name, selectable, special_use }
        }));
        Ok(all)
    }

    /// The subscribed names, existing or not.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn subscriptions(&self) -> Result<Vec<String>> {
        Ok(Subscriptions::read(self.env.disk(), self.env.root.path())?.names())
    }

    /// Adds a name to the subscriptions or takes it out.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::Unavailable`].
    pub fn subscribe(&self, name: &str, on: bool) -> Result<()> {
        let name = canonical_name(name);
        folder::folder_name(name)?;
        self.change_subscriptions(|subscriptions| subscriptions.set(name, on))
    }

    fn change_subscriptions(&self, change: impl FnOnce(&mut Subscriptions) -> bool) -> Result<()> {
        let env = &self.env;
        Ok(Subscriptions::change(&env.locks, env.root.path(), change)?)
    }

    /// Makes a mailbox. Superior names that are missing need no folder: they are listed as not selectable.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::BadName`], [`Error::Limit`], [`Error::Unavailable`].
    pub fn create(&self, name: &str, special_use: Option<SpecialUse>) -> Result<()> {
        folder::folder_name(name)?;
        let _folders = self.lock_folders();
        if self.env.root.exists(name)? {
            return Err(Error::AlreadyExists);
        }
        let most = self.env.world.mailbox.max_mailboxes;
        if self.env.root.list()?.len() >= most {
            return Err(Error::Limit(format!("an account can have at most {most} mailboxes")));
        }
        let mut inner = self.lock();
        self.env.root.create(name)?;
        if let Some(special) = special_use {
            inner.special.set(self.env.disk(), &self.env.paths.index, name, special)?;
        }
        drop(inner);
        // The UIDVALIDITY is fixed now, before anybody may be told of it.
        self.with(name, |mailbox| mailbox.lock().open(&self.env))
    }

    /// Removes a mailbox with its messages; inferior mailboxes stay.
    ///
    /// # Errors
    /// [`Error::Nonexistent`], [`Error::HasChildren`] for a name that only has inferiors, [`Error::BadName`] for INBOX,
    /// [`Error::Unavailable`].
    pub fn delete(&self, name: &str) -> Result<()> {
        if folder::is_inbox(name) {
            return Err(Error::BadName("INBOX cannot be deleted".to_owned()));
        }
        let _folders = self.lock_folders();
        let mailbox = match self.mailbox(name) {
            Err(Error::Nonexistent) if self.has_inferiors(name)? => return Err(Error::HasChildren),
            other => other?,
        };
        // The number it had is used up also if nobody has opened it since.
        let validity = maildir::validity::next(&self.env.locks, self.env.root.path());
        validity?;
        let mut state = mailbox.lock();
        self.env.before_any_removal()?;
        self.env.root.remove(name)?;
        state.gone = true;
        let slot = state.slot;
        drop(state);
        self.env.store.delete(name);
        self.env.forget_content(slot);
        let mut inner = self.lock();
        inner.mailboxes.remove(name);
        inner.special.rename(self.env.disk(), &self.env.paths.index, &[(name.to_owned(), None)])
    }

    fn has_inferiors(&self, name: &str) -> Result<bool> {
        let inferior = format!("{name}.");
        Ok(self.env.root.list()?.iter().any(|other| other.starts_with(&inferior)))
    }

    /// Renames a mailbox and its inferiors; renaming INBOX moves its messages and leaves it empty (RFC 3501 section 6.3.5).
    ///
    /// # Errors
    /// [`Error::Nonexistent`], [`Error::AlreadyExists`], [`Error::BadName`], [`Error::Unavailable`].
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        folder::folder_name(to)?;
        if self.env.root.exists(to)? {
            return Err(Error::AlreadyExists);
        }
        if folder::is_inbox(from) {
            return self.empty_inbox_into(to);
        }
        if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('.')) {
            return Err(Error::BadName("a mailbox cannot become its own inferior".to_owned()));
        }
        folder::folder_name(from).map_err(|_| Error::Nonexistent)?;
        let _folders = self.lock_folders();
        let mut inner = self.lock();
        let pairs = match self.env.root.rename(from, to) {
            Err(maildir::Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::AlreadyExists);
            }
            other => other?,
        };
        if pairs.is_empty() {
            return Err(Error::Nonexistent);
        }
        for (old, new) in &pairs {
            if let Some(mailbox) = inner.mailboxes.remove(old) {
                let mut state = mailbox.lock();
                state.name.clone_from(new);
                if state.opened {
                    state.folder = self.env.root.folder(new)?;
                }
                drop(state);
                inner.mailboxes.insert(new.clone(), mailbox);
            }
            self.env.store.rename(old, new);
        }
        let moved: Vec<_> = pairs.into_iter().map(|(old, new)| (old, Some(new))).collect();
        inner.special.rename(self.env.disk(), &self.env.paths.index, &moved)
    }

    fn empty_inbox_into(&self, to: &str) -> Result<()> {
        self.create(to, None)?;
        let mut inbox = self.view("INBOX", false)?;
        let uids = inbox.uids().to_vec();
        for some in uids.chunks(self.env.world.mailbox.max_messages_per_append.max(1)) {
            let (_, pending) = inbox.relocate(some, to)?;
            pending.wait()?;
        }
        Ok(())
    }

    /// The counts of a mailbox, which may be open elsewhere. With `sizes`, sizes that nobody has counted yet are counted.
    ///
    /// # Errors
    /// [`Error::Nonexistent`], [`Error::Unavailable`].
    pub fn status(&self, name: &str, sizes: bool) -> Result<Status> {
        self.with(name, |mailbox| {
            let mut state = mailbox.lock();
            state.check(&self.env)?;
            if sizes && state.counts().unsized_messages > 0 {
                state.count_sizes(&self.env)?;
            }
            Ok(state.status())
        })
    }

    /// Opens a mailbox for a session.
    ///
    /// # Errors
    /// [`Error::Nonexistent`], [`Error::Unavailable`].
    pub fn view(&self, name: &str, read_only: bool) -> Result<View> {
        self.with(name, |mailbox| View::open(self.clone(), Arc::clone(mailbox), read_only))
    }
}

/// Makes the folder for index and marks, with those above it.
fn make_folders(world: &Environment, path: &Path) -> Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|path| world.disk.stat(path).is_err()).collect();
    for path in missing.into_iter().rev() {
        make_folder(world, path).map_err(crate::error::disk("make a folder for the index", 0))?;
    }
    Ok(())
}

fn make_folder(world: &Environment, path: &Path) -> io::Result<()> {
    match world.disk.create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    path.parent().map_or(Ok(()), |parent| world.disk.sync_dir(parent))
}
