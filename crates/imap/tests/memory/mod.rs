//! A mail store in memory that keeps every promise of `imap::store`: for the dialogue tests, the example server and the
//! fuzz targets. It is written for being right, not for being fast.

#![allow(dead_code)]

mod search;
mod upload;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imap::Notice;
use imap::store::{Change, Listed, Meta, Pending, Refusal, Result, Selected, Status, Store, Upload};
use mail::{Flag, Flags, Keyword, ModSeq, SpecialUse, Uid, UidValidity};

/// Names may have so many octets.
const LONGEST_NAME: usize = 200;

/// A message in a mailbox.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) raw: Arc<[u8]>,
    pub(crate) flags: Flags,
    pub(crate) keywords: u64,
    pub(crate) modseq: ModSeq,
    pub(crate) size: u64,
    pub(crate) internal_date: i64,
    pub(crate) save_date: i64,
    pub(crate) facts: Option<Arc<[u8]>>,
}

impl Message {
    pub(crate) fn meta(&self, uid: Uid) -> Meta {
        Meta {
            uid,
            flags: self.flags,
            keywords: self.keywords,
            modseq: self.modseq,
            size: self.size,
            internal_date: self.internal_date,
            save_date: self.save_date,
        }
    }
}

/// A mailbox as it is now.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: Uid,
    pub(crate) highest: ModSeq,
    pub(crate) messages: BTreeMap<Uid, Message>,
    /// What was expunged, with the MODSEQ of that and what was known last.
    pub(crate) gone: BTreeMap<Uid, (ModSeq, Message)>,
    pub(crate) keywords: Vec<Keyword>,
    /// Messages from this UID on are recent to the next session that asks.
    pub(crate) recent_from: Uid,
    pub(crate) special_use: Option<SpecialUse>,
    pub(crate) watchers: HashMap<u64, Notice>,
}

impl Mailbox {
    pub(crate) fn next_modseq(&mut self) -> ModSeq {
        self.highest += 1;
        self.highest
    }

    /// The bits of these keywords, which are added if there is room.
    pub(crate) fn keyword_bits(&mut self, keywords: &[Keyword]) -> Result<u64> {
        let mut bits = 0;
        for keyword in keywords {
            let at = self.keywords.iter().position(|k| k == keyword);
            let at = match at {
                Some(at) => at,
                None if self.keywords.len() >= 64 => return Err(Refusal::Limit("too many keywords".to_owned())),
                None => {
                    self.keywords.push(keyword.clone());
                    self.keywords.len() - 1
                }
            };
            bits |= 1 << at;
        }
        Ok(bits)
    }

    pub(crate) fn add(&mut self, mut message: Message) -> Uid {
        let uid = self.uid_next;
        self.uid_next += 1;
        message.modseq = self.next_modseq();
        self.messages.insert(uid, message);
        uid
    }

    pub(crate) fn remove(&mut self, uid: Uid) {
        if let Some(message) = self.messages.remove(&uid) {
            let modseq = self.next_modseq();
            self.gone.insert(uid, (modseq, message));
        }
    }

    pub(crate) fn notify(&self) {
        for notice in self.watchers.values() {
            notice();
        }
    }

    fn status(&self) -> Status {
        let count = |test: &dyn Fn(&Message) -> bool| self.messages.values().filter(|m| test(m)).count() as u32;
        Status {
            messages: self.messages.len() as u32,
            recent: self.messages.range(self.recent_from..).count() as u32,
            unseen: count(&|m| !m.flags.has(Flag::Seen)),
            deleted: count(&|m| m.flags.has(Flag::Deleted)),
            uid_next: self.uid_next,
            uid_validity: self.uid_validity,
            highest_modseq: self.highest,
            size: self.messages.values().map(|m| m.size).sum(),
        }
    }
}

/// All of an account.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) mailboxes: HashMap<u64, Mailbox>,
    pub(crate) names: BTreeMap<String, u64>,
    subscriptions: BTreeSet<String>,
    pub(crate) serial: u64,
    validity: UidValidity,
    /// What time it is, in seconds since 1970.
    pub(crate) clock: i64,
}

impl State {
    pub(crate) fn by_name(&mut self, name: &str) -> Result<(u64, &mut Mailbox)> {
        let id = *self.names.get(name).ok_or(Refusal::Nonexistent)?;
        Ok((id, self.mailboxes.get_mut(&id).ok_or(Refusal::Nonexistent)?))
    }

    fn check_name(name: &str) -> Result<()> {
        let bad = |reason: &str| Err(Refusal::BadName(reason.to_owned()));
        if name.len() > LONGEST_NAME {
            return bad("the name is too long");
        }
        if name.is_empty() || name.split('.').any(str::is_empty) || name.contains(['/', '\0']) || name.starts_with('~') {
            return bad("the name cannot be a mailbox");
        }
        if name.chars().any(char::is_control) { bad("the name has control characters") } else { Ok(()) }
    }

    fn create(&mut self, name: &str, special_use: Option<SpecialUse>) -> Result<()> {
        Self::check_name(name)?;
        if self.names.contains_key(name) {
            return Err(Refusal::AlreadyExists);
        }
        self.serial += 1;
        self.validity += 1;
        let mailbox =
            Mailbox { uid_validity: 1_000 + self.validity, uid_next: 1, recent_from: 1, highest: 1, special_use, ..Mailbox::default() };
        self.mailboxes.insert(self.serial, mailbox);
        self.names.insert(name.to_owned(), self.serial);
        Ok(())
    }
}

/// An account. Clones are the same account.
#[derive(Clone, Default)]
pub(crate) struct Account(Arc<Mutex<State>>);

impl Account {
    /// An account with an empty INBOX, at a fixed time.
    pub(crate) fn new() -> Self {
        let account = Self::default();
        account.lock().clock = 1_700_000_000;
        let _ = account.lock().create("INBOX", None);
        account
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message into a mailbox, as a delivery does; 0 if there is no such mailbox.
    pub(crate) fn deliver(&self, mailbox: &str, raw: &[u8]) -> Uid {
        let mut state = self.lock();
        let now = state.clock;
        let Ok((_, mailbox)) = state.by_name(mailbox) else { return 0 };
        let size = mime::eol::size(raw).octets;
        let message =
            Message { raw: raw.into(), flags: Flags::NONE, keywords: 0, modseq: 0, size, internal_date: now, save_date: now, facts: None };
        let uid = mailbox.add(message);
        mailbox.notify();
        uid
    }
}

/// What is in memory is as durable as it will ever be.
pub(crate) fn durable() -> Pending {
    Pending(Box::pin(std::future::ready(Ok(()))))
}

impl Store for Account {
    fn mailboxes(&self) -> Result<Vec<Listed>> {
        let state = self.lock();
        let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
        for (name, id) in &state.names {
            let special_use = state.mailboxes.get(id).and_then(|m| m.special_use);
            listed.insert(name.clone(), Listed { name: name.clone(), selectable: true, special_use });
            for (at, _) in name.match_indices('.') {
                let above = name[..at].to_owned();
                if !state.names.contains_key(&above) {
                    listed.insert(above.clone(), Listed { name: above, selectable: false, special_use: None });
                }
            }
        }
        let inbox = listed.remove("INBOX");
        Ok(inbox.into_iter().chain(listed.into_values()).collect())
    }

    fn subscriptions(&self) -> Result<Vec<String>> {
        Ok(self.lock().subscriptions.iter().cloned().collect())
    }

    fn subscribe(&self, name: &str, on: bool) -> Result<()> {
        let mut state = self.lock();
        State::check_name(name)?;
        if on {
            state.subscriptions.insert(name.to_owned())
        } else {
            state.subscriptions.remove(name)
        };
        Ok(())
    }

    fn create(&self, name: &str, special_use: Option<SpecialUse>) -> Result<()> {
        self.lock().create(name, special_use)
    }

    fn delete(&self, name: &str) -> Result<()> {
        if name == "INBOX" {
            return Err(Refusal::BadName("INBOX cannot be deleted".to_owned()));
        }
        let mut state = self.lock();
        let id = state.names.remove(name).ok_or(Refusal::Nonexistent)?;
        if let Some(mailbox) = state.mailboxes.remove(&id) {
            mailbox.notify();
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut state = self.lock();
        State::check_name(to)?;
        if state.names.contains_key(to) {
            return Err(Refusal::AlreadyExists);
        }
        if from == "INBOX" {
            state.create(to, None)?;
            let (_, inbox) = state.by_name("INBOX")?;
            let messages: Vec<_> = inbox.messages.iter().map(|(uid, m)| (*uid, m.clone())).collect();
            messages.iter().for_each(|(uid, _)| inbox.remove(*uid));
            let keywords = inbox.keywords.clone();
            inbox.notify();
            let (_, target) = state.by_name(to)?;
            target.keywords = keywords;
            messages.into_iter().for_each(|(_, message)| {
                target.add(message);
            });
            return Ok(());
        }
        let below = format!("{from}.");
        let moved: Vec<_> = state.names.keys().filter(|name| *name == from || name.starts_with(&below)).cloned().collect();
        if moved.is_empty() {
            return Err(Refusal::Nonexistent);
        }
        for name in moved {
            if let Some(id) = state.names.remove(&name) {
                state.names.insert(format!("{to}{}", &name[from.len()..]), id);
            }
        }
        Ok(())
    }

    fn status(&self, name: &str) -> Result<Status> {
        Ok(self.lock().by_name(name)?.1.status())
    }

    fn open(&self, name: &str, read_only: bool) -> Result<Box<dyn Selected>> {
        Ok(Box::new(view::View::open(self.clone(), name, read_only)?))
    }

    fn upload(&self, mailbox: &str) -> Result<Box<dyn Upload>> {
        self.lock().by_name(mailbox)?;
        Ok(Box::new(upload::Incoming::new(self.clone(), mailbox)))
    }
}

/// The changes in the order in which they are told; only for reading in `view`.
pub(crate) type Changes = Vec<Change>;
