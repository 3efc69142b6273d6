//! Random sequences of what sessions, deliveries and other programs do, against a model of a few lines.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use mail::{Flags, Uid};
use proptest::prelude::*;

use crate::testing::{World, append};
use crate::{Change, Detail, Error, StoreChange, StoreMode, View};

/// One step. Views and messages are chosen modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Deliver,
    Append(u8, u8),
    Store(usize, usize, u8, StoreMode),
    Expunge(usize),
    Copy(usize, usize),
    Move(usize, usize),
    Poll(usize, bool),
    Reopen(usize),
    Rename(usize, u8),
    Remove(usize),
    Foreign,
    Flush,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0usize..50;
    let flags = || 0u8..32;
    let mode = prop::sample::select(vec![StoreMode::Add, StoreMode::Remove, StoreMode::Replace]);
    prop_oneof![
        3 => Just(Step::Deliver),
        2 => (1u8..4, flags()).prop_map(|(count, flags)| Step::Append(count, flags)),
        5 => (n(), n(), flags(), mode).prop_map(|(view, at, flags, mode)| Step::Store(view, at, flags, mode)),
        3 => n().prop_map(Step::Expunge),
        2 => (n(), n()).prop_map(|(view, at)| Step::Copy(view, at)),
        2 => (n(), n()).prop_map(|(view, at)| Step::Move(view, at)),
        6 => (n(), any::<bool>()).prop_map(|(view, expunges)| Step::Poll(view, expunges)),
        1 => n().prop_map(Step::Reopen),
        1 => (n(), flags()).prop_map(|(at, flags)| Step::Rename(at, flags)),
        1 => n().prop_map(Step::Remove),
        1 => Just(Step::Foreign),
        1 => Just(Step::Flush),
        1 => Just(Step::Restart),
    ]
}

/// What INBOX must hold, and what each session was told.
struct Model {
    world: World,
    views: Vec<(View, Told)>,
    messages: BTreeMap<Uid, u8>,
    highest_uid: Uid,
    highest_modseq: u64,
    others: u32,
}

#[derive(Default)]
struct Told {
    uids: Vec<Uid>,
    modseqs: BTreeMap<Uid, u64>,
    flags: BTreeMap<Uid, u8>,
}

impl Model {
    fn new() -> Self {
        let world = World::new();
        world.account.create("other", None).unwrap();
        let mut model = Self { world, views: Vec::new(), messages: BTreeMap::new(), highest_uid: 0, highest_modseq: 0, others: 0 };
        model.open_views();
        model
    }

    fn open_views(&mut self) {
        for read_only in [false, false, true] {
            let view = self.world.account.view("INBOX", read_only).unwrap();
            let told = Told { uids: view.uids().to_vec(), ..Told::default() };
            self.views.push((view, told));
        }
        self.views.iter_mut().for_each(|(view, told)| learn(view, told));
    }

    fn add(&mut self, uid: Uid, flags: u8) {
        assert!(uid > self.highest_uid, "UID {uid} was given before");
        self.highest_uid = uid;
        self.messages.insert(uid, flags);
    }

    fn pick(&self, view: usize, at: usize) -> Option<Uid> {
        let uids = &self.views[view % 3].1.uids;
        (!uids.is_empty()).then(|| uids[at % uids.len()])
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Deliver => {
                let uid = self.world.deliver("a message\n");
                self.add(uid, 0);
            }
            Step::Append(count, flags) => {
                let texts = vec!["text\r\n"; count.into()];
                let appended = append(&self.world.account, "INBOX", Flags::from_bits(flags), &texts);
                appended.uids.iter().for_each(|uid| self.add(uid, flags));
            }
            Step::Store(view, at, flags, mode) => self.store(view % 3, at, flags, mode),
            Step::Expunge(view) => self.expunge(view % 3),
            Step::Copy(view, at) => self.transfer(view % 3, at, false),
            Step::Move(view, at) => self.transfer(view % 3, at, true),
            Step::Poll(view, expunges) => self.poll(view % 3, expunges),
            Step::Reopen(view) => {
                let (old, _) = &self.views[view % 3];
                let view_again = self.world.account.view("INBOX", old.read_only()).unwrap();
                let mut told = Told { uids: view_again.uids().to_vec(), ..Told::default() };
                learn(&view_again, &mut told);
                self.views[view % 3] = (view_again, told);
            }
            Step::Rename(at, flags) => self.foreign_change(at, Some(flags)),
            Step::Remove(at) => self.foreign_change(at, None),
            Step::Foreign => {
                self.others += 1;
                std::fs::write(self.world.maildir().join(format!("new/5.foreign{}.host", self.others)), "foreign\n").unwrap();
                self.world.account.rescan("INBOX").unwrap();
                let uid = self.highest_uid + 1;
                self.add(uid, 0);
            }
            Step::Flush => self.world.account.flush(),
            Step::Restart => {
                self.views.clear();
                self.world.restart_without_flush();
                self.open_views();
            }
        }
    }

    fn store(&mut self, view: usize, at: usize, flags: u8, mode: StoreMode) {
        let Some(uid) = self.pick(view, at) else { return };
        let change =
            StoreChange { mode, flags: Flags::from_bits(flags), keywords: &[], unchanged_since: None, silent: flags.is_multiple_of(2) };
        let (session, told) = &mut self.views[view];
        if session.read_only() {
            assert_eq!(session.store(&[uid], &change), Err(Error::ReadOnly));
            return;
        }
        session.store(&[uid], &change).unwrap();
        if let Some(old) = self.messages.get_mut(&uid) {
            *old = match mode {
                StoreMode::Add => *old | flags,
                StoreMode::Remove => *old & !flags,
                StoreMode::Replace => flags,
            };
            // It knows of what it did itself.
            let meta = session.meta(uid).unwrap();
            told.flags.insert(uid, *old);
            told.modseqs.insert(uid, meta.modseq);
        }
    }

    fn expunge(&mut self, view: usize) {
        let (session, told) = &mut self.views[view];
        if session.read_only() {
            return;
        }
        session.expunge(None).unwrap();
        let known: BTreeSet<Uid> = told.uids.iter().copied().collect();
        self.messages.retain(|uid, flags| *flags & 4 == 0 || !known.contains(uid));
    }

    fn transfer(&mut self, view: usize, at: usize, moved: bool) {
        let Some(uid) = self.pick(view, at) else { return };
        let target = if at.is_multiple_of(2) { "INBOX" } else { "other" };
        let (session, _) = &mut self.views[view];
        let result = if moved { session.relocate(&[uid], target) } else { session.copy(&[uid], target) };
        let here = self.messages.get(&uid).copied();
        let copied = match result {
            Ok((copied, pending)) => {
                pending.wait().unwrap();
                copied
            }
            Err(Error::ReadOnly) if moved && session.read_only() => return,
            Err(Error::Expunged) if !moved && here.is_none() => return,
            Err(error) => panic!("{error}"),
        };
        let Some(flags) = here else {
            assert!(moved && copied.from.is_empty());
            return;
        };
        assert_eq!(copied.from, [uid]);
        if moved {
            self.messages.remove(&uid);
        }
        if target == "INBOX" {
            self.add(copied.to[0], flags);
        }
    }

    fn foreign_change(&mut self, at: usize, flags: Option<u8>) {
        let mut files = self.world.files("cur");
        if files.is_empty() {
            return;
        }
        let name = files.swap_remove(at % files.len());
        let path = self.world.maildir().join("cur").join(&name);
        let uid = {
            let mailbox = self.world.account.mailbox("INBOX").unwrap();
            let state = mailbox.lock();
            let base = maildir::name::base(name.as_bytes());
            state.table.as_ref().unwrap().names().find(|(_, n)| *n == base).unwrap().0
        };
        match flags {
            Some(flags) => {
                let base = name.split(':').next().unwrap();
                let new = format!("{base}{}", maildir::name::suffix(Flags::from_bits(flags), 0, &[]));
                std::fs::rename(&path, path.with_file_name(new)).unwrap();
                self.messages.insert(uid, flags);
            }
            None => {
                std::fs::remove_file(path).unwrap();
                self.messages.remove(&uid);
            }
        }
        self.world.account.rescan("INBOX").unwrap();
    }

    fn poll(&mut self, view: usize, expunges: bool) {
        let (session, told) = &mut self.views[view];
        for change in session.poll(expunges).unwrap() {
            match change {
                Change::Expunged { uid, sequence } => {
                    assert!(expunges && !self.messages.contains_key(&uid));
                    assert_eq!(told.uids.remove(sequence as usize - 1), uid);
                }
                Change::Exists { count, .. } => {
                    assert!(count as usize > told.uids.len());
                    told.uids.extend(&session.uids()[told.uids.len()..]);
                    assert_eq!(told.uids.len(), count as usize);
                }
                Change::Flags { uid, sequence } => {
                    assert_eq!(told.uids[sequence as usize - 1], uid);
                    let meta = session.meta(uid).unwrap();
                    told.flags.insert(uid, meta.flags.bits());
                    told.modseqs.insert(uid, meta.modseq);
                }
                Change::Keywords => panic!("there are no keywords"),
            }
        }
        learn(session, told);
        assert_eq!(session.uids(), told.uids);
        // Many at once are told as each by itself, those that are gone and one that never was among them, in any order.
        let asked: Vec<_> = told.uids.iter().copied().chain([900_000]).chain(told.uids.iter().rev().copied()).collect();
        let mut metas = Vec::new();
        session.metas(&asked, Detail::ALL, |meta| metas.push(meta));
        assert_eq!(metas, asked.iter().filter_map(|uid| session.meta(*uid)).collect::<Vec<_>>());
        let mut flags = Vec::new();
        session.metas(&asked, Detail::default(), |meta| flags.push((meta.uid, meta.flags, meta.modseq)));
        assert_eq!(flags, metas.iter().map(|meta| (meta.uid, meta.flags, meta.modseq)).collect::<Vec<_>>());
        assert!(told.uids.windows(2).all(|pair| pair[0] < pair[1]));
        for (uid, flags) in &self.messages {
            assert_eq!(told.flags.get(uid), Some(flags), "flags of {uid} as told");
        }
        if expunges {
            assert_eq!(told.uids, self.messages.keys().copied().collect::<Vec<_>>());
        }
        let status = session.status();
        assert!(status.highest_modseq >= self.highest_modseq || !expunges);
        self.highest_modseq = self.highest_modseq.max(status.highest_modseq);
        assert!(told.modseqs.values().all(|modseq| *modseq <= status.highest_modseq) || !expunges);
    }

    /// Everything agrees: a new session, the counts, the files.
    fn check(&mut self) {
        (0..3).for_each(|view| self.poll(view, true));
        let status = self.world.account.status("INBOX", true).unwrap();
        let unseen = self.messages.values().filter(|flags| **flags & 8 == 0).count();
        let deleted = self.messages.values().filter(|flags| **flags & 4 != 0).count();
        assert_eq!((status.messages, status.unseen, status.deleted), (self.messages.len() as u32, unseen as u32, deleted as u32));
        assert!(status.uid_next > self.highest_uid);
        let mut expected: Vec<u8> = self.messages.values().copied().collect();
        let names = self.world.files("cur").into_iter().chain(self.world.files("new"));
        let mut found: Vec<u8> = names.map(|name| maildir::name::info(name.as_bytes()).flags.bits()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(self.world.files("tmp").iter().filter(|name| !name.ends_with(".lock")).count(), 0);
        let (view, _) = &self.views[0];
        let gone = view.vanished(0, None);
        assert!(self.messages.keys().all(|uid| !gone.contains(*uid)));
    }
}

/// The session asks for what it does not know yet, as FETCH 1:* FLAGS does for new messages.
fn learn(view: &View, told: &mut Told) {
    for uid in told.uids.clone() {
        if let Entry::Vacant(unknown) = told.flags.entry(uid) {
            let meta = view.meta(uid).unwrap();
            unknown.insert(meta.flags.bits());
            told.modseqs.insert(uid, meta.modseq);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn all_sessions_are_told_what_happens(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in &steps {
            model.run(step);
        }
        model.check();
        // What was told stays true over a new start without the index.
        model.views.clear();
        let before = model.world.account.status("INBOX", true).unwrap();
        model.world.account.close();
        std::fs::remove_file(model.world.folder.path().join("index/index.sqlite")).unwrap();
        model.world.restart_without_flush();
        model.open_views();
        let after = model.world.account.status("INBOX", true).unwrap();
        prop_assert_eq!((before.uid_next, before.uid_validity), (after.uid_next, after.uid_validity));
        model.check();
    }
}
