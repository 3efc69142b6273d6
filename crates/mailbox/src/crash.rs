//! Power cuts at any moment, on a disk that loses whatever was not synced, in any order: what was acknowledged is there
//! once, under the UID that was told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use journal::{EntryId, Recovered};
use mail::{Flag, Flags, Uid, UidValidity};
use system::{Disk, Random, SimDisk, SystemClock};

use crate::testing::{environment, paths};
use crate::{Account, Delivered, Delivery, Environment, Replay, StoreChange, StoreMode};

const BOXES: [&str; 2] = ["INBOX", "other"];

/// A delivery of the queue's in the journal.
const MAIL: u8 = 1;

/// Where a message must be. Nothing is demanded while an operation that was not acknowledged may have touched it.
#[derive(Clone, Debug)]
struct Expected {
    /// Where it is, if that was acknowledged.
    place: Option<(&'static str, Uid)>,
    /// It was expunged: it may be back.
    expunged: bool,
    /// It was copied: it may be there more than once.
    copied: bool,
    /// Of how many messages it is a part that come together.
    group: usize,
    acknowledged: bool,
}

struct Machine {
    disk: SimDisk,
    environment: Environment,
    account: Account,
    random: Random,
    messages: BTreeMap<String, Expected>,
    validity: BTreeMap<&'static str, UidValidity>,
    count: usize,
    /// What was done, for whoever has to find out why it failed.
    story: Vec<String>,
}

fn make_root(disk: &SimDisk, root: &Path) {
    let above: Vec<_> = root.ancestors().collect();
    for path in above.into_iter().rev() {
        let _ = disk.create_dir(path);
        if let Some(parent) = path.parent() {
            disk.sync_dir(parent).unwrap();
        }
    }
    disk.create_dir(&root.join("journal")).unwrap();
    disk.sync_dir(root).unwrap();
}

fn start(disk: &SimDisk, root: &Path) -> (Environment, Account, Vec<Recovered>) {
    let (environment, recovered) = environment(root, Arc::new(disk.clone()), Arc::new(SystemClock));
    let account = Account::open("test", &environment, paths(root)).unwrap();
    (environment, account, recovered)
}

impl Machine {
    fn new(seed: u64, root: &Path) -> Self {
        let disk = SimDisk::new(seed);
        make_root(&disk, root);
        let (environment, account, _) = start(&disk, root);
        account.create("other", None).unwrap();
        let validity = BOXES.map(|name| (name, account.status(name, false).unwrap().uid_validity)).into_iter().collect();
        let (random, messages) = (Random::new(seed), BTreeMap::new());
        Self { disk, environment, account, random, messages, validity, count: 0, story: Vec::new() }
    }

    fn fresh(&mut self, group: usize) -> String {
        self.count += 1;
        let text = format!("message {}\n", self.count);
        self.messages.insert(text.clone(), Expected { place: None, expunged: false, copied: false, group, acknowledged: false });
        text
    }

    /// One operation. What it acknowledged is noted only if the power did not fail meanwhile.
    fn step(&mut self) -> Vec<(String, Expected)> {
        let name = BOXES[self.random.below(2) as usize];
        match self.random.below(8) {
            0..=2 => self.mail(name),
            3 => self.append(name),
            4 => self.transfer(name, false),
            5 => self.transfer(name, true),
            6 => self.flag(name),
            _ => self.expunge(name),
        }
    }

    fn mail(&mut self, name: &'static str) -> Vec<(String, Expected)> {
        let text = self.fresh(1);
        let unique = format!("5.M{}_0.host", self.count);
        let header = format!("{name} {unique}");
        let (entry, durable) = self.environment.journal.entry(MAIL, header.as_bytes(), text.as_bytes());
        durable.wait().unwrap();
        let delivered = deliver(&self.account, &header, text.as_bytes(), Replay::No);
        let told = self.note(entry, &delivered);
        self.story.push(format!("{entry:?} delivers {text:?} to {name} {} told {told}", delivered.uid));
        let place = told.then_some((name, delivered.uid));
        vec![(text, Expected { place, expunged: false, copied: false, group: 1, acknowledged: true })]
    }

    /// Notes a delivery; the UID may be relied on once the note is durable.
    fn note(&mut self, entry: EntryId, delivered: &Delivered) -> bool {
        let payload = format!("{} {}", delivered.uid_validity, delivered.uid);
        let mark = self.environment.journal.mark(entry, payload.as_bytes());
        let told = self.random.once_in(2);
        if told {
            mark.wait().unwrap();
        }
        if self.random.once_in(2) {
            self.environment.journal.release(entry);
            self.story.push(format!("{entry:?} is released"));
        }
        told
    }

    fn append(&mut self, name: &'static str) -> Vec<(String, Expected)> {
        let count = 1 + self.random.below(3) as usize;
        let first = self.count;
        let mut upload = self.account.upload(name).unwrap();
        let texts: Vec<String> = (0..count).map(|_| self.fresh(first * 10 + count)).collect();
        for text in &texts {
            upload.begin(Flags::NONE.with(Flag::Seen, true), &["k".parse().unwrap()], None).unwrap();
            upload.write(text.as_bytes()).unwrap();
        }
        let (appended, pending) = upload.commit().unwrap();
        pending.wait().unwrap();
        let group = first * 10 + count;
        self.story.push(format!("append {texts:?} to {name} {}", appended.uids));
        let told = |(text, uid)| (text, Expected { place: Some((name, uid)), expunged: false, copied: false, group, acknowledged: true });
        texts.into_iter().zip(appended.uids.iter()).map(told).collect()
    }

    fn transfer(&mut self, name: &'static str, moved: bool) -> Vec<(String, Expected)> {
        let target = BOXES[usize::from(name == BOXES[0])];
        let mut view = self.account.view(name, false).unwrap();
        let uids: Vec<Uid> = view.uids().iter().copied().filter(|_| self.random.once_in(3)).take(3).collect();
        let texts: Vec<String> = uids.iter().map(|uid| String::from_utf8(view.body(*uid).unwrap().all().unwrap()).unwrap()).collect();
        if !moved {
            // A copy has the text of its source: only that it is somewhere can be asked.
            for (_, expected) in self.messages.iter_mut().filter(|(text, _)| texts.contains(text)) {
                (expected.copied, expected.place) = (true, None);
            }
            let (copied, pending) = view.copy(&uids, target).unwrap();
            pending.wait().unwrap();
            self.story.push(format!("copy {name} {:?} to {:?} {texts:?}", copied.from, copied.to));
            return Vec::new();
        }
        for text in &texts {
            // In flight: in one of the two.
            self.messages.entry(text.clone()).and_modify(|expected| expected.place = None);
        }
        let (copied, pending) = view.relocate(&uids, target).unwrap();
        pending.wait().unwrap();
        self.story.push(format!("move {name} {:?} to {:?} {texts:?}", copied.from, copied.to));
        let told = |(text, uid): (String, Uid)| {
            let old = self.messages.get(&text)?;
            Some((text, Expected { place: (!old.copied).then_some((target, uid)), ..old.clone() }))
        };
        texts.into_iter().zip(copied.to).filter_map(told).collect()
    }

    fn flag(&mut self, name: &'static str) -> Vec<(String, Expected)> {
        let mut view = self.account.view(name, false).unwrap();
        let uids: Vec<Uid> = view.uids().iter().copied().filter(|_| self.random.once_in(3)).collect();
        let flags = Flags::from_bits(self.random.below(32) as u8).with(Flag::Deleted, false);
        let change = StoreChange { mode: StoreMode::Replace, flags, keywords: &[], unchanged_since: None, silent: true };
        view.store(&uids, &change).unwrap();
        Vec::new()
    }

    fn expunge(&mut self, name: &'static str) -> Vec<(String, Expected)> {
        let mut view = self.account.view(name, false).unwrap();
        let Some(uid) = view.uids().first().copied() else { return Vec::new() };
        let text = String::from_utf8(view.body(uid).unwrap().all().unwrap()).unwrap();
        if let Some(expected) = self.messages.get_mut(&text) {
            (expected.expunged, expected.place) = (true, None);
        }
        self.story.push(format!("expunge {name} {uid} {text:?}"));
        let flags = Flags::NONE.with(Flag::Deleted, true);
        let change = StoreChange { mode: StoreMode::Add, flags, keywords: &[], unchanged_since: None, silent: true };
        view.store(&[uid], &change).unwrap();
        view.expunge(None).unwrap();
        Vec::new()
    }

    /// Goes on until the power fails; gives the disk as it is then.
    fn run(&mut self) -> SimDisk {
        let (skip, seed) = (self.random.below(400), self.random.number());
        self.disk.crash_later(skip, seed);
        loop {
            let acknowledged = self.step();
            if let Some(crashed) = self.disk.take_crashed() {
                return crashed;
            }
            self.messages.extend(acknowledged);
        }
    }
}

fn deliver(account: &Account, header: &str, body: &[u8], replay: Replay) -> Delivered {
    let (mailbox, unique) = header.split_once(' ').unwrap();
    let delivery = Delivery { mailbox, unique, received: 1_000, replay };
    account.deliver(&delivery, &mut &*body).unwrap()
}

/// What the daemon does at its start.
fn recover(environment: &Environment, account: &Account, recovered: &[Recovered]) {
    for entry in recovered {
        if entry.kind != MAIL {
            account.recover(entry, true).unwrap();
            continue;
        }
        if !entry.notes.is_empty() {
            environment.journal.release(entry.id);
            continue;
        }
        let note = entry.doubts.last().map(|note| String::from_utf8(note.clone()).unwrap());
        let replay = note.map_or(Replay::Maybe, |note| {
            let (validity, uid) = note.split_once(' ').unwrap();
            Replay::Told(validity.parse().unwrap(), uid.parse().unwrap())
        });
        let header = String::from_utf8(entry.header.clone()).unwrap();
        deliver(account, &header, &entry.body.whole(1 << 20).unwrap(), replay);
        environment.journal.release(entry.id);
    }
}

/// Every message text with the places where it is.
fn found(account: &Account) -> BTreeMap<String, Vec<(&'static str, Uid)>> {
    let mut found: BTreeMap<String, Vec<(&'static str, Uid)>> = BTreeMap::new();
    for name in BOXES {
        let view = account.view(name, true).unwrap();
        for uid in view.uids() {
            let text = String::from_utf8_lossy(&view.body(*uid).unwrap().all().unwrap()).into_owned();
            found.entry(text).or_default().push((name, *uid));
        }
    }
    found
}

fn check(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    // The index itself is on the real disk; what a power cut does to it is not asked, for it is not believed then.
    std::fs::create_dir(root.join("index")).unwrap();
    let mut machine = Machine::new(seed, &root);
    let crashed = machine.run();
    let Machine { messages, validity, environment, account, story, .. } = machine;
    drop(account);
    environment.journal.close();
    if seed.is_multiple_of(2) {
        // A life that ends before anything was delivered again: the next must not believe more than this one.
        let (environment, account, _) = start(&crashed, &root);
        drop(account);
        environment.journal.close();
    }
    let (environment, account, recovered) = start(&crashed, &root);
    recover(&environment, &account, &recovered);
    let there = found(&account);
    for (name, validity) in validity {
        assert_eq!(account.status(name, false).unwrap().uid_validity, validity, "seed {seed}: UIDVALIDITY of {name}");
    }
    for (text, expected) in &messages {
        let places = there.get(text).map_or(&[][..], Vec::as_slice);
        if let Some(place) = expected.place {
            assert_eq!(places, [place], "seed {seed}: {text:?} {expected:?} {story:#?}");
        } else if expected.acknowledged && !expected.expunged {
            assert!(!places.is_empty(), "seed {seed}: {text:?} is lost {story:#?}");
        }
        let together = messages.iter().filter(|(_, other)| other.group == expected.group && !other.acknowledged);
        if !expected.acknowledged && expected.group > 1 {
            let here: Vec<bool> = together.map(|(text, _)| there.contains_key(text)).collect();
            assert!(here.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: a part of an append");
        }
    }
    let torn: Vec<_> = there.iter().filter(|(text, _)| !messages.contains_key(*text)).collect();
    assert!(torn.is_empty(), "seed {seed}: torn messages {torn:?} {story:#?}");
    // Once more from the same files: nothing changes.
    account.close();
    environment.journal.close();
    let (_environment, account, _) = start(&crashed, &root);
    assert_eq!(found(&account), there, "seed {seed}: not the same after an orderly end");
}

/// More with `MAILBOX_CRASHES=10000`.
#[test]
fn a_power_cut_loses_and_doubles_nothing() {
    let runs = std::env::var("MAILBOX_CRASHES").ok().and_then(|runs| runs.parse().ok()).unwrap_or(150);
    let first = std::env::var("MAILBOX_CRASH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    (first..first + runs).for_each(check);
}
