//! A mailbox as one session sees it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use imap::Notice;
use imap::store::{Body, Change, Copied, Detail, Meta, Pending, Refusal, Result, Selected, Status, StoreChange, StoreMode};
use mail::{Flag, Flags, Keyword, ModSeq, Uid, UidSet, search};

use super::{Account, Changes, Mailbox, Message, State, durable};

pub(crate) struct View {
    account: Account,
    id: u64,
    watcher: u64,
    read_only: bool,
    uids: Vec<Uid>,
    /// Flags and keywords as the session was told of them.
    told: HashMap<Uid, (Flags, u64)>,
    recent: BTreeSet<Uid>,
    keywords: usize,
    status: Status,
}

impl View {
    pub(crate) fn open(account: Account, name: &str, read_only: bool) -> Result<Self> {
        let mut state = account.lock();
        state.serial += 1;
        let watcher = state.serial;
        let (id, mailbox) = state.by_name(name)?;
        let keywords = mailbox.keywords.len();
        drop(state);
        let (uids, told, recent, status) = (Vec::new(), HashMap::new(), BTreeSet::new(), Status::default());
        let mut view = Self { account, id, watcher, read_only, uids, told, recent, keywords, status };
        view.poll(true)?;
        Ok(view)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Mailbox) -> T) -> Result<T> {
        let mut state = self.account.lock();
        state.mailboxes.get_mut(&self.id).map(look).ok_or(Refusal::Gone)
    }

    fn known(mailbox: &Mailbox, uid: Uid) -> Option<&Message> {
        mailbox.messages.get(&uid).or_else(|| mailbox.gone.get(&uid).map(|(_, message)| message))
    }

    /// Copies or moves messages between mailboxes of one account.
    fn transfer(&mut self, uids: &[Uid], target: &str, moves: bool) -> Result<(Copied, Pending)> {
        let mut state = self.account.lock();
        let now = state.clock;
        let (target, _) = state.by_name(target)?;
        let source = state.mailboxes.get(&self.id).ok_or(Refusal::Gone)?;
        let found: Vec<_> = uids.iter().filter_map(|uid| source.messages.get(uid).map(|m| (*uid, m.clone()))).collect();
        if found.len() < uids.len() && !moves {
            return Err(Refusal::Expunged);
        }
        let names = source.keywords.clone();
        let mailbox = state.mailboxes.get_mut(&target).ok_or(Refusal::Nonexistent)?;
        let mut copied = Copied { uid_validity: mailbox.uid_validity, ..Copied::default() };
        for (uid, mut message) in found {
            let keywords: Vec<_> =
                names.iter().enumerate().filter(|(at, _)| message.keywords >> at & 1 == 1).map(|(_, k)| k.clone()).collect();
            message.keywords = mailbox.keyword_bits(&keywords)?;
            message.save_date = now;
            copied.from.push(uid);
            copied.to.push(mailbox.add(message));
        }
        mailbox.notify();
        if moves {
            let source = state.mailboxes.get_mut(&self.id).ok_or(Refusal::Gone)?;
            copied.from.iter().for_each(|uid| source.remove(*uid));
            source.notify();
        }
        Ok((copied, durable()))
    }

    fn tell_expunged(&mut self, mailbox: &Mailbox, changes: &mut Changes) {
        let (mut kept, mut sequence) = (Vec::with_capacity(self.uids.len()), 1);
        for uid in std::mem::take(&mut self.uids) {
            if mailbox.messages.contains_key(&uid) {
                kept.push(uid);
                sequence += 1;
            } else {
                changes.push(Change::Expunged { uid, sequence });
                self.told.remove(&uid);
                self.recent.remove(&uid);
            }
        }
        self.uids = kept;
    }

    fn tell_flags(&mut self, mailbox: &Mailbox, changes: &mut Changes) {
        for (at, uid) in self.uids.iter().enumerate() {
            let Some(message) = Self::known(mailbox, *uid) else { continue };
            let now = (message.flags, message.keywords);
            if self.told.insert(*uid, now) != Some(now) {
                changes.push(Change::Flags { uid: *uid, sequence: at as u32 + 1 });
            }
        }
    }

    fn tell_new(&mut self, mailbox: &mut Mailbox, changes: &mut Changes) {
        let last = self.uids.last().copied().unwrap_or(0);
        let new: Vec<_> = mailbox.messages.range(last + 1..).map(|(uid, m)| (*uid, (m.flags, m.keywords))).collect();
        self.uids.extend(new.iter().map(|(uid, _)| *uid));
        self.told.extend(new.iter().copied());
        self.recent.extend(new.iter().map(|(uid, _)| *uid).filter(|uid| *uid >= mailbox.recent_from));
        if !self.read_only {
            mailbox.recent_from = mailbox.uid_next;
        }
        if !new.is_empty() {
            changes.push(Change::Exists { count: self.uids.len() as u32, recent: self.recent.len() as u32 });
        }
    }

    fn count(&self, mailbox: &Mailbox) -> Status {
        let known = || self.uids.iter().filter_map(|uid| Self::known(mailbox, *uid));
        let kept_back = self.uids.iter().filter_map(|uid| mailbox.gone.get(uid)).map(|(modseq, _)| modseq - 1).min();
        Status {
            messages: self.uids.len() as u32,
            recent: self.recent.len() as u32,
            unseen: known().filter(|m| !m.flags.has(Flag::Seen)).count() as u32,
            deleted: known().filter(|m| m.flags.has(Flag::Deleted)).count() as u32,
            uid_next: mailbox.uid_next,
            uid_validity: mailbox.uid_validity,
            highest_modseq: kept_back.unwrap_or(mailbox.highest),
            size: known().map(|m| m.size).sum(),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.watch(None);
    }
}

impl Selected for View {
    fn read_only(&self) -> bool {
        self.read_only
    }

    fn status(&self) -> Status {
        self.status
    }

    fn keywords(&self) -> Vec<Keyword> {
        self.with(|mailbox| mailbox.keywords.clone()).unwrap_or_default()
    }

    fn uids(&self) -> &[Uid] {
        &self.uids
    }

    fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(&uid)
    }

    fn meta(&self, uid: Uid) -> Option<Meta> {
        self.with(|mailbox| Self::known(mailbox, uid).map(|message| message.meta(uid))).ok()?
    }

    fn metas(&self, uids: &[Uid], _detail: Detail, known: &mut Vec<Meta>) {
        let _ = self.with(|m| known.extend(uids.iter().filter_map(|uid| Some(Self::known(m, *uid)?.meta(*uid)))));
    }

    fn poll(&mut self, expunges: bool) -> Result<Vec<Change>> {
        let account = self.account.clone();
        let mut state = account.lock();
        let mailbox = state.mailboxes.get_mut(&self.id).ok_or(Refusal::Gone)?;
        let mut changes = Vec::new();
        if mailbox.keywords.len() > self.keywords {
            self.keywords = mailbox.keywords.len();
            changes.push(Change::Keywords);
        }
        if expunges {
            self.tell_expunged(mailbox, &mut changes);
        }
        self.tell_flags(mailbox, &mut changes);
        self.tell_new(mailbox, &mut changes);
        self.status = self.count(mailbox);
        Ok(changes)
    }

    fn watch(&mut self, notice: Option<Notice>) {
        let watcher = self.watcher;
        let _ = self.with(|mailbox| match notice {
            Some(notice) => mailbox.watchers.insert(watcher, notice),
            None => mailbox.watchers.remove(&watcher),
        });
    }

    fn body(&self, uid: Uid) -> Result<Box<dyn Body>> {
        let raw = self.with(|mailbox| mailbox.messages.get(&uid).map(|m| m.raw.clone()))?;
        Ok(Box::new(Raw(raw.ok_or(Refusal::Expunged)?)))
    }

    fn facts(&self, uid: Uid) -> Option<Arc<[u8]>> {
        self.with(|mailbox| Self::known(mailbox, uid)?.facts.clone()).ok()?
    }

    fn keep_facts(&self, uid: Uid, facts: Arc<[u8]>) {
        let _ = self.with(|mailbox| {
            if let Some(message) = mailbox.messages.get_mut(&uid) {
                message.facts = Some(facts);
            }
        });
    }

    fn store(&mut self, uids: &[Uid], change: &StoreChange<'_>) -> Result<UidSet> {
        if self.read_only {
            return Err(Refusal::ReadOnly);
        }
        let account = self.account.clone();
        let mut state = account.lock();
        let mailbox = state.mailboxes.get_mut(&self.id).ok_or(Refusal::Gone)?;
        let bits = mailbox.keyword_bits(change.keywords)?;
        let mut modified = UidSet::new();
        for uid in uids {
            // A ghost changes like a message that is there: no session can tell the difference until it is told.
            let message = mailbox.messages.get_mut(uid).or_else(|| mailbox.gone.get_mut(uid).map(|(_, message)| message));
            let Some(message) = message else { continue };
            if change.unchanged_since.is_some_and(|since| message.modseq > since) {
                modified.insert(*uid);
                continue;
            }
            let before = (message.flags, message.keywords);
            let after = match change.mode {
                StoreMode::Replace => (change.flags, bits),
                StoreMode::Add => (before.0.union(change.flags), before.1 | bits),
                StoreMode::Remove => (before.0.without(change.flags), before.1 & !bits),
            };
            if before == after {
                continue;
            }
            (message.flags, message.keywords) = after;
            mailbox.highest += 1;
            message.modseq = mailbox.highest;
            if change.silent && self.told.get(uid) == Some(&before) {
                self.told.insert(*uid, after);
            }
        }
        mailbox.notify();
        Ok(modified)
    }

    fn expunge(&mut self, only: Option<&UidSet>) -> Result<()> {
        if self.read_only {
            return Err(Refusal::ReadOnly);
        }
        self.with(|mailbox| {
            let deleted = |(uid, message): (&Uid, &Message)| {
                (message.flags.has(Flag::Deleted) && only.is_none_or(|only| only.contains(*uid))).then_some(*uid)
            };
            let uids: Vec<_> = mailbox.messages.iter().filter_map(deleted).collect();
            uids.into_iter().for_each(|uid| mailbox.remove(uid));
            mailbox.notify();
        })
    }

    fn copy(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)> {
        self.transfer(uids, target, false)
    }

    fn relocate(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)> {
        if self.read_only { Err(Refusal::ReadOnly) } else { self.transfer(uids, target, true) }
    }

    fn search(&self, key: &search::Key) -> Result<Vec<Uid>> {
        let state: &State = &self.account.lock();
        let mailbox = state.mailboxes.get(&self.id).ok_or(Refusal::Gone)?;
        let holds = |uid: &Uid| Self::known(mailbox, *uid).is_some_and(|m| super::search::holds(key, *uid, m, mailbox, state.clock));
        Ok(self.uids.iter().copied().filter(holds).collect())
    }

    fn vanished(&self, since: ModSeq, known: Option<&UidSet>) -> UidSet {
        let gone =
            self.with(|mailbox| mailbox.gone.iter().filter(|(_, (modseq, _))| *modseq > since).map(|(uid, _)| *uid).collect::<Vec<_>>());
        gone.unwrap_or_default().into_iter().filter(|uid| known.is_none_or(|known| known.contains(*uid))).collect()
    }
}

struct Raw(Arc<[u8]>);

impl Body for Raw {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn all(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_vec())
    }
}
