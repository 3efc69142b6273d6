//! The IMAP session's [`imap::store`] traits over an account's mailboxes. Nothing is decided here: each call has its
//! counterpart in `mailbox`, and each value its twin.

use std::sync::Arc;

use imap::store::{
    Appended, Body, Change, Copied, Detail, Listed, Meta, Pending, Refusal, Result, Selected, Status, Store, StoreChange, StoreMode, Upload,
};
use mail::{Flags, Keyword, ModSeq, SpecialUse, Uid, UidSet, search};
use mailbox::View;

use crate::agent::Agent;

/// One account's mail, for one session.
#[derive(Debug)]
pub(crate) struct AccountStore(pub(crate) Arc<Agent>);

fn refusal(error: mailbox::Error) -> Refusal {
    match error {
        mailbox::Error::Nonexistent => Refusal::Nonexistent,
        mailbox::Error::AlreadyExists => Refusal::AlreadyExists,
        mailbox::Error::BadName(reason) => Refusal::BadName(reason),
        mailbox::Error::HasChildren => Refusal::HasChildren,
        mailbox::Error::ReadOnly => Refusal::ReadOnly,
        mailbox::Error::Limit(limit) => Refusal::Limit(limit),
        mailbox::Error::Expunged => Refusal::Expunged,
        mailbox::Error::Gone => Refusal::Gone,
        mailbox::Error::Unavailable | mailbox::Error::BadRecord => Refusal::Unavailable,
    }
}

fn pending(pending: mailbox::Pending) -> Pending {
    Pending(Box::pin(async move { pending.await.map_err(refusal) }))
}

fn status(status: &mailbox::Status) -> Status {
    let mailbox::Status { messages, recent, unseen, deleted, uid_next, uid_validity, highest_modseq, size } = *status;
    Status { messages, recent, unseen, deleted, uid_next, uid_validity, highest_modseq, size }
}

fn meta(meta: &mailbox::Meta) -> Meta {
    let mailbox::Meta { uid, flags, keywords, modseq, size, internal_date, save_date } = *meta;
    Meta { uid, flags, keywords, modseq, size, internal_date, save_date }
}

fn change(change: mailbox::Change) -> Change {
    match change {
        mailbox::Change::Expunged { uid, sequence } => Change::Expunged { uid, sequence },
        mailbox::Change::Exists { count, recent } => Change::Exists { count, recent },
        mailbox::Change::Flags { uid, sequence } => Change::Flags { uid, sequence },
        mailbox::Change::Keywords => Change::Keywords,
    }
}

fn copied((copied, durable): (mailbox::Copied, mailbox::Pending)) -> (Copied, Pending) {
    let mailbox::Copied { uid_validity, from, to } = copied;
    (Copied { uid_validity, from, to }, pending(durable))
}

impl Store for AccountStore {
    fn mailboxes(&self) -> Result<Vec<Listed>> {
        let twin = |mailbox::Listed { name, selectable, special_use }| Listed { name, selectable, special_use };
        Ok(self.0.account().mailboxes().map_err(refusal)?.into_iter().map(twin).collect())
    }

    fn subscriptions(&self) -> Result<Vec<String>> {
        self.0.account().subscriptions().map_err(refusal)
    }

    fn subscribe(&self, name: &str, on: bool) -> Result<()> {
        self.0.account().subscribe(name, on).map_err(refusal)
    }

    fn create(&self, name: &str, special_use: Option<SpecialUse>) -> Result<()> {
        self.0.account().create(name, special_use).map_err(refusal)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.0.account().delete(name).map_err(refusal)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.account().rename(from, to).map_err(refusal)
    }

    fn status(&self, name: &str) -> Result<Status> {
        self.0.account().status(name, true).map(|s| status(&s)).map_err(refusal)
    }

    fn open(&self, name: &str, read_only: bool) -> Result<Box<dyn Selected>> {
        let view = self.0.account().view(name, read_only).map_err(refusal)?;
        self.0.watch(name);
        Ok(Box::new(Open { view, agent: self.0.clone(), mailbox: name.to_owned(), expunging: false }))
    }

    fn upload(&self, mailbox: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(Uploading(self.0.account().upload(mailbox).map_err(refusal)?)))
    }
}

struct Uploading(mailbox::Upload);

impl Upload for Uploading {
    fn begin(&mut self, flags: Flags, keywords: &[Keyword], internal_date: Option<i64>) -> Result<()> {
        self.0.begin(flags, keywords, internal_date).map_err(refusal)
    }

    fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.0.write(octets).map_err(refusal)
    }

    fn commit(self: Box<Self>) -> Result<(Appended, Pending)> {
        let (mailbox::Appended { uid_validity, uids }, durable) = self.0.commit().map_err(refusal)?;
        Ok((Appended { uid_validity, uids }, pending(durable)))
    }
}

struct Content(mailbox::Body);

impl Body for Content {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_at(buffer, offset).map_err(refusal)
    }

    fn all(&self) -> Result<Vec<u8>> {
        self.0.all().map_err(refusal)
    }
}

/// A mailbox that a session has selected.
struct Open {
    view: View,
    agent: Arc<Agent>,
    mailbox: String,
    /// This session expunged messages, and has not been told yet which they were.
    expunging: bool,
}

impl Selected for Open {
    fn read_only(&self) -> bool {
        self.view.read_only()
    }

    fn status(&self) -> Status {
        status(&self.view.status())
    }

    fn keywords(&self) -> Vec<Keyword> {
        self.view.keywords()
    }

    fn uids(&self) -> &[Uid] {
        self.view.uids()
    }

    fn is_recent(&self, uid: Uid) -> bool {
        self.view.is_recent(uid)
    }

    fn meta(&self, uid: Uid) -> Option<Meta> {
        self.view.meta(uid).as_ref().map(meta)
    }

    fn metas(&self, uids: &[Uid], detail: Detail, known: &mut Vec<Meta>) {
        let Detail { size, dates } = detail;
        self.view.metas(uids, mailbox::Detail { size, dates }, |one| known.push(meta(&one)));
    }

    fn first_unseen(&self) -> Option<u32> {
        self.view.first_unseen()
    }

    fn poll(&mut self, expunges: bool) -> Result<Vec<Change>> {
        let changes = self.view.poll(expunges).map_err(refusal)?;
        if expunges && std::mem::take(&mut self.expunging) {
            let gone = |change: &mailbox::Change| if let mailbox::Change::Expunged { uid, .. } = change { Some(*uid) } else { None };
            self.agent.tell("expunged", &self.mailbox, &changes.iter().filter_map(gone).collect::<Vec<_>>(), None);
        }
        Ok(changes.into_iter().map(change).collect())
    }

    fn watch(&mut self, notice: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.view.watch(notice);
    }

    fn body(&self, uid: Uid) -> Result<Box<dyn Body>> {
        Ok(Box::new(Content(self.view.body(uid).map_err(refusal)?)))
    }

    fn facts(&self, uid: Uid) -> Option<Arc<[u8]>> {
        self.view.facts(uid)
    }

    fn many_facts(&self, uids: &[Uid], found: &mut Vec<Option<Arc<[u8]>>>) {
        self.view.many_facts(uids, found);
    }

    fn keep_facts(&self, uid: Uid, facts: Arc<[u8]>) {
        self.view.keep_facts(uid, facts);
    }

    fn store(&mut self, uids: &[Uid], change: &StoreChange<'_>) -> Result<UidSet> {
        let mode = match change.mode {
            StoreMode::Replace => mailbox::StoreMode::Replace,
            StoreMode::Add => mailbox::StoreMode::Add,
            StoreMode::Remove => mailbox::StoreMode::Remove,
        };
        let StoreChange { flags, keywords, unchanged_since, silent, .. } = *change;
        self.view.store(uids, &mailbox::StoreChange { mode, flags, keywords, unchanged_since, silent }).map_err(refusal)
    }

    fn expunge(&mut self, only: Option<&UidSet>) -> Result<()> {
        self.expunging = true;
        self.view.expunge(only).map_err(refusal)
    }

    fn copy(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)> {
        let done = self.view.copy(uids, target).map_err(refusal)?;
        self.agent.tell("copied", &self.mailbox, &done.0.from, Some((target, &done.0.to)));
        Ok(copied(done))
    }

    fn relocate(&mut self, uids: &[Uid], target: &str) -> Result<(Copied, Pending)> {
        let done = self.view.relocate(uids, target).map_err(refusal)?;
        self.agent.tell("moved", &self.mailbox, &done.0.from, Some((target, &done.0.to)));
        Ok(copied(done))
    }

    fn search(&self, key: &search::Key) -> Result<Vec<Uid>> {
        self.view.search(key).map_err(refusal)
    }

    fn vanished(&self, since: ModSeq, known: Option<&UidSet>) -> UidSet {
        self.view.vanished(since, known)
    }
}
