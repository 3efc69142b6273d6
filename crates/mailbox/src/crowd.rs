//! Many sessions at once append, copy, move and expunge in two mailboxes. Whatever the order in which it happens: every
//! message is there once for each command that was answered, under the UID that was told, and under no other.

use std::collections::{BTreeMap, BTreeSet};

use mail::{Flags, Uid, UidSet};
use maildir::uidlist;

use crate::testing::World;
use crate::{Account, Copied, Error, StoreChange, StoreMode, View};

const BOXES: [&str; 2] = ["INBOX", "other"];
const SESSIONS: u64 = 8;
const STEPS: u64 = 80;

/// A message in one of the mailboxes.
type Place = (usize, Uid);

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It was appended with this number as its text.
    Text(u64),
    /// It is what that one was.
    Same(Place),
}

/// What was answered to one session, or to all.
#[derive(Debug, Default)]
struct Answers {
    came: Vec<(Place, Origin)>,
    moved: Vec<Place>,
    expunged: Vec<Place>,
}

/// One session, which does as its numbers say.
struct Session {
    account: Account,
    number: u64,
    random: u64,
    at: usize,
    view: View,
    answers: Answers,
}

impl Session {
    fn new(account: Account, number: u64) -> Self {
        let at = number as usize % 2;
        let view = account.view(BOXES[at], false).unwrap();
        Self { account, number, random: number + 1, at, view, answers: Answers::default() }
    }

    /// The next number below a bound (Knuth's MMIX generator).
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % bound
    }

    fn run(mut self) -> Answers {
        for step in 0..STEPS {
            match self.below(10) {
                0 | 1 => self.append(self.number * STEPS + step),
                2 | 3 => self.copy(),
                4 | 5 => self.relocate(),
                6 => self.expunge(),
                7 => self.change(),
                8 => self.account.rescan(BOXES[step as usize % 2]).unwrap(),
                _ => drop(self.view.poll(true).unwrap()),
            }
        }
        self.answers
    }

    /// The other mailbox.
    fn change(&mut self) {
        self.at = 1 - self.at;
        self.view = self.account.view(BOXES[self.at], false).unwrap();
    }

    /// A few messages next to each other; others may choose them as well.
    fn pick(&mut self) -> Vec<Uid> {
        let uids = self.view.uids().to_vec();
        let (first, count) = (self.below(uids.len().max(1)), 1 + self.below(4));
        uids.into_iter().skip(first).take(count).collect()
    }

    fn append(&mut self, text: u64) {
        let to = self.below(2);
        let mut upload = self.account.upload(BOXES[to]).unwrap();
        upload.begin(Flags::from_bits(text as u8 & 8), &[], None).unwrap();
        upload.write(text.to_string().as_bytes()).unwrap();
        let (appended, pending) = upload.commit().unwrap();
        if text.is_multiple_of(3) {
            // Nobody waits for the answer; it is done nevertheless.
            drop(pending);
        } else {
            pending.wait().unwrap();
        }
        self.answers.came.extend(appended.uids.iter().map(|uid| ((to, uid), Origin::Text(text))));
    }

    fn came(&mut self, to: usize, copied: &Copied) {
        let pairs = copied.from.iter().zip(&copied.to);
        self.answers.came.extend(pairs.map(|(from, uid)| ((to, *uid), Origin::Same((self.at, *from)))));
    }

    fn copy(&mut self) {
        let (uids, to) = (self.pick(), self.below(2));
        match self.view.copy(&uids, BOXES[to]) {
            Ok((copied, pending)) => {
                pending.wait().unwrap();
                assert_eq!(copied.from, uids);
                self.came(to, &copied);
            }
            Err(error) => assert_eq!(error, Error::Expunged),
        }
    }

    fn relocate(&mut self) {
        let (uids, to) = (self.pick(), self.below(2));
        let (copied, pending) = self.view.relocate(&uids, BOXES[to]).unwrap();
        pending.wait().unwrap();
        self.came(to, &copied);
        self.answers.moved.extend(copied.from.iter().map(|uid| (self.at, *uid)));
    }

    fn expunge(&mut self) {
        let uids = self.pick();
        let uids = &uids[..uids.len().min(1)];
        let deleted = StoreChange { mode: StoreMode::Add, flags: Flags::from_bits(4), keywords: &[], unchanged_since: None, silent: false };
        self.view.store(uids, &deleted).unwrap();
        self.view.expunge(Some(&uids.iter().copied().collect::<UidSet>())).unwrap();
        self.answers.expunged.extend(uids.iter().map(|uid| (self.at, *uid)));
    }
}

impl Answers {
    fn add(&mut self, more: Self) {
        self.came.extend(more.came);
        self.moved.extend(more.moved);
        self.expunged.extend(more.expunged);
    }

    /// The messages that must be there, with their texts.
    fn expected(&self) -> BTreeMap<Place, u64> {
        let origins: BTreeMap<Place, Origin> = self.came.iter().copied().collect();
        assert_eq!(origins.len(), self.came.len(), "a UID was given twice");
        let gone: BTreeSet<Place> = self.moved.iter().copied().collect();
        assert_eq!(gone.len(), self.moved.len(), "a message was moved twice");
        let gone: BTreeSet<Place> = gone.into_iter().chain(self.expunged.iter().copied()).collect();
        let text = |mut place: Place| loop {
            match origins.get(&place) {
                Some(Origin::Text(text)) => return *text,
                Some(Origin::Same(other)) => place = *other,
                None => panic!("{place:?} was shown, but no command put it there"),
            }
        };
        origins.keys().filter(|place| !gone.contains(place)).map(|place| (*place, text(*place))).collect()
    }
}

/// What a new session finds.
fn found(world: &World) -> BTreeMap<Place, u64> {
    let mut found = BTreeMap::new();
    for (at, name) in BOXES.iter().enumerate() {
        world.account.rescan(name).unwrap();
        let view = world.account.view(name, true).unwrap();
        let text = |uid: Uid| String::from_utf8(view.body(uid).unwrap().all().unwrap()).unwrap().parse().unwrap();
        found.extend(view.uids().iter().map(|uid| ((at, *uid), text(*uid))));
    }
    found
}

/// Each file has one line in its list, and each message one file.
fn check_files(world: &World, messages: usize) {
    let mut files = 0;
    for name in BOXES {
        let folder = world.account.folder(name).unwrap();
        let count = |place: &str| std::fs::read_dir(folder.join(place)).unwrap().count();
        files += count("cur") + count("new");
        let (list, _) = uidlist::read(&*world.environment.disk, &folder).unwrap().unwrap();
        let names: BTreeSet<&[u8]> = list.lines.iter().map(|line| list.name(line)).collect();
        assert_eq!(names.len(), list.lines.len(), "a file of {name} has two UIDs");
    }
    assert_eq!(files, messages);
}

#[test]
fn every_message_is_there_once_for_each_answer() {
    let mut world = World::new();
    world.account.create("other", None).unwrap();
    let mut answers = Answers::default();
    std::thread::scope(|scope| {
        let begin = |number| {
            let account = world.account.clone();
            scope.spawn(move || Session::new(account, number).run())
        };
        let sessions: Vec<_> = (0..SESSIONS).map(begin).collect();
        sessions.into_iter().for_each(|session| answers.add(session.join().unwrap()));
    });
    let expected = answers.expected();
    assert!(!expected.is_empty() && !answers.moved.is_empty() && !answers.expunged.is_empty());
    assert_eq!(found(&world), expected);
    check_files(&world, expected.len());
    // The journal, from which all of it may be done again, adds nothing.
    world.restart_without_flush();
    assert_eq!(found(&world), expected);
    check_files(&world, expected.len());
}
