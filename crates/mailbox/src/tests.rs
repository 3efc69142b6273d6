//! The mailbox as sessions, deliveries and other programs use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mail::search::Key;
use mail::{Flag, Flags, Keyword, SpecialUse, UidSet};

use crate::testing::{World, append, show, told};
use crate::{Delivery, Error, Replay, StoreChange, StoreMode, View};

fn seen() -> Flags {
    Flags::NONE.with(Flag::Seen, true)
}

fn deleted() -> Flags {
    Flags::NONE.with(Flag::Deleted, true)
}

fn add(view: &mut View, uids: &[u32], flags: Flags, keywords: &[&str]) {
    let keywords: Vec<Keyword> = keywords.iter().map(|k| k.parse().unwrap()).collect();
    let change = StoreChange { mode: StoreMode::Add, flags, keywords: &keywords, unchanged_since: None, silent: false };
    view.store(uids, &change).unwrap();
}

#[test]
fn a_delivery_is_seen_by_all_and_recent_for_one() {
    let world = World::new();
    let (mut one, mut two) = (world.view(), world.view());
    let notices = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&notices);
    two.watch(Some(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    })));
    assert_eq!((world.deliver("a\r\nb"), world.deliver("c")), (1, 2));
    assert!(notices.load(Ordering::Relaxed) >= 2);
    assert_eq!(world.files("new").len(), 2);
    assert_eq!(told(&one.poll(true).unwrap()), "=2/2");
    assert_eq!(world.files("new").len(), 0);
    assert_eq!(world.files("cur")[0], "1764000000.T1_1.host,S=3,W=4:2,");
    assert_eq!(told(&two.poll(true).unwrap()), "=2/0");
    assert!(one.is_recent(1) && !two.is_recent(1));
    assert_eq!(one.body(1).unwrap().all().unwrap(), b"a\nb");
    let meta = one.meta(1).unwrap();
    assert_eq!((meta.size, meta.internal_date, meta.save_date), (4, 1_764_000_000, 1_764_000_000));
    let status = world.account.status("inbox", true).unwrap();
    assert_eq!((status.messages, status.unseen, status.recent, status.uid_next, status.size), (2, 2, 0, 3, 5));
}

#[test]
fn flags_and_keywords_are_in_names_and_told_to_others() {
    let world = World::new();
    world.deliver("a");
    world.deliver("b");
    let (mut one, mut two) = (world.view(), world.view());
    add(&mut one, &[2], seen(), &["$Forwarded", "x"]);
    assert_eq!(told(&one.poll(false).unwrap()), "K ~2(2)");
    assert_eq!(told(&two.poll(false).unwrap()), "K ~2(2)");
    assert_eq!(show(&two), "1: 2:Sab");
    assert!(world.files("cur")[1].ends_with(":2,Sab"));
    let silent = StoreChange { mode: StoreMode::Replace, flags: deleted(), keywords: &[], unchanged_since: None, silent: true };
    one.store(&[1, 2, 99], &silent).unwrap();
    assert_eq!((told(&one.poll(true).unwrap()), told(&two.poll(true).unwrap())), (String::new(), "~1(1) ~2(2)".to_owned()));
    assert_eq!(show(&one), "1:T 2:T");
    let old = one.meta(1).unwrap().modseq - 1;
    let refused =
        one.store(&[1], &StoreChange { mode: StoreMode::Add, flags: seen(), keywords: &[], unchanged_since: Some(old), silent: true });
    assert_eq!(refused.unwrap().to_string(), "1");
    // A store that changes nothing is still told to its own session.
    add(&mut one, &[1], deleted(), &[]);
    assert_eq!((told(&one.poll(true).unwrap()), told(&two.poll(true).unwrap())), ("~1(1)".to_owned(), String::new()));
    let mut reader = world.account.view("INBOX", true).unwrap();
    assert_eq!(reader.store(&[1], &silent), Err(Error::ReadOnly));
    assert_eq!(reader.expunge(None), Err(Error::ReadOnly));
}

#[test]
fn expunges_wait_until_they_may_be_told() {
    let world = World::new();
    for text in ["a", "b", "c", "d"] {
        world.deliver(text);
    }
    let (mut one, mut two) = (world.view(), world.view());
    let before = one.status().highest_modseq;
    add(&mut one, &[1, 3, 4], deleted(), &[]);
    one.expunge(Some(&[1, 2, 3].into_iter().collect())).unwrap();
    assert_eq!(told(&one.poll(true).unwrap()), "-1(1) -2(3) ~2(4)");
    world.deliver("e");
    let held = two.status().highest_modseq;
    assert_eq!(told(&two.poll(false).unwrap()), "=5/1 ~4(4)");
    assert_eq!(two.status().highest_modseq, held);
    assert_eq!(two.meta(1).unwrap().flags, deleted());
    assert_eq!(two.body(1).unwrap_err(), Error::Expunged);
    assert_eq!(told(&two.poll(true).unwrap()), "-1(1) -2(3)");
    assert_eq!((two.meta(1), show(&two)), (None, "2: 4:T 5:".to_owned()));
    assert_eq!(one.vanished(before, None).to_string(), "1,3");
    assert_eq!(one.vanished(0, None).to_string(), "1,3");
    assert_eq!(one.vanished(before, Some(&[3].into_iter().collect())).to_string(), "3");
    assert_eq!(world.files("cur").len() + world.files("new").len(), 3);
}

#[test]
fn an_upload_is_there_with_all_that_was_said_of_it() {
    let mut world = World::new();
    let mut view = world.view();
    assert_eq!(append(&world.account, "INBOX", seen(), &["one\r\n"]).uids.to_string(), "1");
    assert_eq!(append(&world.account, "INBOX", Flags::NONE, &["two\r\n", "three\r\n", "four"]).uids.to_string(), "2:4");
    assert_eq!(told(&view.poll(true).unwrap()), "=4/4");
    assert_eq!(show(&view), "1:S 2: 3: 4:");
    assert_eq!(view.meta(1).unwrap().internal_date, 1_000_000_000);
    assert_eq!(view.body(3).unwrap().all().unwrap(), b"three\n");
    let mut upload = world.account.upload("INBOX").unwrap();
    upload.begin(seen(), &[], None).unwrap();
    upload.write(b"half").unwrap();
    drop(upload);
    assert!(world.files("tmp").iter().all(|name| name.ends_with(".pillarbox.lock")));
    assert_eq!(world.account.upload("none").unwrap_err(), Error::Nonexistent);
    drop(view);
    world.restart();
    assert_eq!(show(&world.view()), "1:S 2: 3: 4:");
}

#[test]
fn copies_and_moves_keep_flags_keywords_and_dates() {
    let world = World::new();
    world.account.create("a.b", None).unwrap();
    for text in ["a", "b", "c"] {
        world.deliver(text);
    }
    let (mut one, mut two) = (world.view(), world.view());
    add(&mut one, &[2], seen(), &["k0", "k1"]);
    let mut target = world.account.view("a.b", false).unwrap();
    append(&world.account, "a.b", Flags::NONE, &["x"]);
    add(&mut target, &[], Flags::NONE, &["k1"]);
    let (copied, pending) = one.copy(&[3, 2], "a.b").unwrap();
    pending.wait().unwrap();
    assert_eq!((copied.from, copied.to), (vec![2, 3], vec![2, 3]));
    assert_eq!(told(&target.poll(true).unwrap()), "K =3/3");
    assert_eq!(show(&target), "1: 2:Sab 3:");
    assert_eq!(target.keywords().iter().map(Keyword::as_str).collect::<Vec<_>>(), ["k1", "k0"]);
    let (moved, pending) = one.relocate(&[1, 2, 77], "a.b").unwrap();
    pending.wait().unwrap();
    assert_eq!((moved.from, moved.to), (vec![1, 2], vec![4, 5]));
    two.poll(true).unwrap();
    one.poll(true).unwrap();
    assert_eq!((show(&one), show(&two)), ("3:".to_owned(), "3:".to_owned()));
    target.poll(true).unwrap();
    assert_eq!(show(&target), "1: 2:Sab 3: 4: 5:Sab");
    assert_eq!(target.meta(5).unwrap().internal_date, 1_764_000_000);
    assert_eq!(target.body(5).unwrap().all().unwrap(), b"b");
    assert_eq!(one.copy(&[3], "none").unwrap_err(), Error::Nonexistent);
    // To the mailbox itself: a copy, and a new UID.
    one.copy(&[3], "INBOX").unwrap().1.wait().unwrap();
    one.relocate(&[3], "INBOX").unwrap().1.wait().unwrap();
    one.poll(true).unwrap();
    assert_eq!(show(&one), "4: 5:");
    // The target still has all that was copied when sources go.
    add(&mut one, &[4], deleted(), &[]);
    one.expunge(None).unwrap();
    assert_eq!(two.copy(&[4], "a.b").map(|(copied, _)| copied.to), Ok(Vec::new()));
}

#[test]
fn mailboxes_are_made_listed_renamed_and_deleted() {
    let world = World::new();
    let account = &world.account;
    account.create("junk", None).unwrap();
    account.create("a.b.c", None).unwrap();
    account.create("Gesendete Entwürfe", Some(SpecialUse::Sent)).unwrap();
    let list = || {
        let one =
            |l: &crate::Listed| format!("{}{}{}", l.name, if l.selectable { "" } else { "!" }, l.special_use.map_or("", SpecialUse::name));
        account.mailboxes().unwrap().iter().map(one).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(), "INBOX Gesendete Entwürfe\\Sent a! a.b! a.b.c junk\\Junk");
    assert_eq!(account.create("junk", None), Err(Error::AlreadyExists));
    assert_eq!(account.create("inbox", None), Err(Error::AlreadyExists));
    assert!(matches!(account.create("x/y", None), Err(Error::BadName(_))));
    assert_eq!((account.delete("a"), account.delete("zz")), (Err(Error::HasChildren), Err(Error::Nonexistent)));
    let validity = account.status("a.b.c", true).unwrap().uid_validity;
    world.deliver_to("a.b.c", "x");
    let mut view = account.view("a.b.c", false).unwrap();
    account.rename("a", "z").unwrap();
    world.deliver_to("z.b.c", "y");
    assert_eq!(told(&view.poll(true).unwrap()), "=2/2");
    assert_eq!(account.status("z.b.c", true).unwrap().uid_validity, validity);
    assert_eq!(account.rename("a", "q"), Err(Error::Nonexistent));
    assert_eq!(account.rename("junk", "z.b.c"), Err(Error::AlreadyExists));
    account.delete("z.b.c").unwrap();
    assert_eq!(view.poll(true), Err(Error::Gone));
    account.create("z.b.c", None).unwrap();
    let again = account.status("z.b.c", true).unwrap();
    assert!(again.uid_validity > validity && again.messages == 0);
    account.rename("Gesendete Entwürfe", "Raus").unwrap();
    assert_eq!(list(), "INBOX Raus\\Sent junk\\Junk z! z.b! z.b.c");
    account.subscribe("Raus", true).unwrap();
    account.subscribe("gone", true).unwrap();
    account.subscribe("inbox", true).unwrap();
    account.subscribe("gone", false).unwrap();
    assert_eq!(account.subscriptions().unwrap(), ["Raus", "INBOX"]);
    world.deliver("i");
    account.rename("INBOX", "old").unwrap();
    assert_eq!((account.status("INBOX", true).unwrap().messages, account.status("old", true).unwrap().messages), (0, 1));
}

#[test]
fn other_programs_may_do_as_they_like() {
    let world = World::new();
    let mut view = world.view();
    world.deliver("a");
    world.deliver("b");
    view.poll(true).unwrap();
    let cur = world.maildir().join("cur");
    let poll = |view: &mut View| {
        world.account.rescan("INBOX").unwrap();
        told(&view.poll(true).unwrap())
    };
    // mutt marks, procmail delivers, rm removes.
    std::fs::rename(cur.join("1764000000.T1_1.host,S=1,W=1:2,"), cur.join("1764000000.T1_1.host,S=1,W=1:2,FPa")).unwrap();
    std::fs::write(world.maildir().join("new/1234.procmail.host"), "c\nd\n").unwrap();
    assert_eq!(poll(&mut view), "=3/3 ~1(1)");
    let meta = view.meta(3).unwrap();
    assert_eq!((meta.size, meta.save_date), (6, 1234));
    assert!(view.is_recent(3));
    add(&mut view, &[1], seen(), &[]);
    assert!(cur.join("1764000000.T1_1.host,S=1,W=1:2,FPSa").exists());
    std::fs::remove_file(cur.join("1764000000.T2_1.host,S=1,W=1:2,")).unwrap();
    assert_eq!(poll(&mut view), "-2(2) ~1(1)");
    // A file that goes while nobody looks: the command finds out.
    std::fs::rename(cur.join("1234.procmail.host:2,"), cur.join("1234.procmail.host:2,R")).unwrap();
    assert_eq!(view.body(3).unwrap().all().unwrap(), b"c\nd\n");
    add(&mut view, &[3], deleted(), &[]);
    assert_eq!(show(&view), "1:FS 3:RT");
    let text = std::fs::read_to_string(world.maildir().join("dovecot-uidlist")).unwrap();
    assert!(text.ends_with("1 :1764000000.T1_1.host,S=1,W=1\n2 :1764000000.T2_1.host,S=1,W=1\n3 :1234.procmail.host\n"), "{text}");
}

#[test]
fn everything_comes_back_without_index_and_uidlist() {
    for lost in ["index/index.sqlite", "index/marks", "Maildir/dovecot-uidlist", "nothing", "index/index.sqlite and marks"] {
        let mut world = World::new();
        for text in ["a", "b", "c"] {
            world.deliver(text);
        }
        let mut view = world.view();
        add(&mut view, &[2], seen(), &["k"]);
        add(&mut view, &[1], deleted(), &[]);
        view.expunge(None).unwrap();
        view.poll(true).unwrap();
        let before = (show(&view), view.status());
        drop(view);
        world.account.close();
        for file in lost.split(" and ") {
            let file = if file == "marks" { "index/marks" } else { file };
            let _ = std::fs::remove_file(world.folder.path().join(file));
        }
        if lost.contains("sqlite") {
            let _ = std::fs::remove_file(world.folder.path().join("index/index.sqlite-wal"));
        }
        world.restart_without_flush();
        let view = world.view();
        let after = (show(&view), view.status());
        assert_eq!(before.0, after.0, "{lost}");
        assert_eq!((before.1.uid_validity, before.1.uid_next), (after.1.uid_validity, after.1.uid_next), "{lost}");
        assert!(after.1.highest_modseq >= before.1.highest_modseq, "{lost}");
        assert_eq!(view.vanished(before.1.highest_modseq - 1, Some(&[1, 2].into_iter().collect())), UidSet::from_iter([1]), "{lost}");
        assert_eq!(view.keywords(), ["k".parse().unwrap()], "{lost}");
        if lost == "nothing" {
            assert_eq!(before.1.highest_modseq, after.1.highest_modseq);
        }
    }
}

#[test]
fn after_a_kill_nothing_told_is_forgotten() {
    let mut world = World::new();
    let mut view = world.view();
    for text in ["a", "b", "c"] {
        world.deliver(text);
    }
    add(&mut view, &[], seen(), &[]);
    view.poll(true).unwrap();
    add(&mut view, &[2], seen(), &[]);
    view.poll(true).unwrap();
    let before = view.status();
    std::mem::forget(view);
    world.restart_without_flush();
    let view = world.view();
    assert_eq!(show(&view), "1: 2:S 3:");
    assert!(view.status().highest_modseq >= before.highest_modseq);
    assert!(view.meta(2).unwrap().modseq >= before.highest_modseq);
    assert_eq!((view.status().uid_next, view.status().uid_validity), (before.uid_next, before.uid_validity));
}

#[test]
fn a_delivery_is_not_done_twice() {
    let mut world = World::new();
    let deliver = |world: &World, replay| {
        let delivery = Delivery { mailbox: "INBOX", unique: "1.X_0.host", received: 5, replay };
        world.account.deliver(&delivery, &mut &b"text"[..]).unwrap()
    };
    let first = deliver(&world, Replay::No);
    assert_eq!(deliver(&world, Replay::Maybe), first);
    assert_eq!(deliver(&world, Replay::Told(first.uid_validity, first.uid)), first);
    world.restart();
    assert_eq!(deliver(&world, Replay::Maybe), first);
    let mut view = world.view();
    add(&mut view, &[1], deleted(), &[]);
    view.expunge(None).unwrap();
    assert_eq!(deliver(&world, Replay::Maybe), first);
    assert_eq!(deliver(&world, Replay::Told(first.uid_validity, first.uid)).uid, first.uid);
    assert_eq!(deliver(&world, Replay::Sure(first.uid_validity, first.uid)).uid, first.uid);
    view.poll(true).unwrap();
    assert_eq!(show(&view), "");
    let junk = Delivery { mailbox: "junk", unique: "2.X_0.host", received: 5, replay: Replay::Maybe };
    assert_eq!(world.account.deliver(&junk, &mut &b"text"[..]).unwrap().uid, 1);
    let bad = Delivery { mailbox: "a..b", ..junk };
    assert!(matches!(world.account.deliver(&bad, &mut &b"x"[..]), Err(Error::BadName(_))));
}

#[test]
fn a_search_finds_what_the_keys_say() {
    let world = World::new();
    world.deliver("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\nhello world\n");
    world.deliver("Subject: two\nDate: Tue, 2 Jan 2024 10:00:00 +0000\n\nother text\n");
    world.deliver("no header at all, hello\n");
    let mut view = world.view();
    add(&mut view, &[2], seen(), &["k"]);
    let check = |key: Key, expected: &[u32]| assert_eq!(view.search(&key).unwrap(), expected, "{key:?}");
    let day = |day| mail::search::Day { year: 2024, month: 1, day };
    let header = |text: &str| Key::Header { name: "subject".to_owned(), text: text.to_owned() };
    use mail::search::{Date, When};
    check(Key::All, &[1, 2, 3]);
    check(Key::Flag(Flag::Seen), &[2]);
    check(Key::Keyword("K".parse().unwrap()), &[2]);
    check(Key::Keyword("none".parse().unwrap()), &[]);
    check(Key::Not(Box::new(Key::Keyword("none".parse().unwrap()))), &[1, 2, 3]);
    check(Key::Larger(70), &[1]);
    check(Key::Smaller(30), &[3]);
    check(header("GRÜSS"), &[]);
    check(header("GRÜ"), &[1]);
    check(header(""), &[1, 2]);
    check(Key::Day(Date::Sent, When::On, day(2)), &[2]);
    check(Key::Day(Date::Sent, When::Before, day(2)), &[1]);
    check(Key::Day(Date::Internal, When::Since, day(2)), &[1, 2, 3]);
    check(Key::Body("HELLO".to_owned()), &[1]);
    check(Key::Text("hello".to_owned()), &[1, 3]);
    check(Key::And(vec![Key::Text("e".to_owned()), Key::Flag(Flag::Seen)]), &[2]);
    check(Key::Or(Box::new(Key::Body("world".to_owned())), Box::new(Key::Flag(Flag::Seen))), &[1, 2]);
    check(Key::Uids([1, 3].into_iter().collect()), &[1, 3]);
    check(Key::ModSeq(view.meta(2).unwrap().modseq), &[2]);
    check(Key::Younger(10), &[]);
}

#[test]
fn facts_are_kept_and_forgotten_with_their_message() {
    let mut world = World::new();
    world.deliver("a");
    world.deliver("b");
    let view = world.view();
    assert_eq!(view.facts(1), None);
    view.keep_facts(1, vec![1, 2, 3].into());
    view.keep_facts(2, vec![4].into());
    assert_eq!(view.facts(1).as_deref(), Some(&[1, 2, 3][..]));
    drop(view);
    world.restart();
    let mut view = world.view();
    assert_eq!(view.facts(2).as_deref(), Some(&[4][..]));
    add(&mut view, &[2], deleted(), &[]);
    view.expunge(None).unwrap();
    drop(view);
    world.restart();
    let view = world.view();
    assert_eq!((view.facts(1).as_deref(), view.facts(2)), (Some(&[1, 2, 3][..]), None));
}

#[test]
fn a_message_that_waits_to_be_shown_is_not_taken_for_a_stranger() {
    let world = World::new();
    let mut upload = world.account.upload("INBOX").unwrap();
    upload.begin(Flags::NONE, &[], None).unwrap();
    upload.write(b"first").unwrap();
    let (appended, pending) = upload.commit().unwrap();
    assert_eq!((appended.uids.to_string(), world.deliver("second")), ("1".to_owned(), 2));
    // Another program removes the list, and all names are read again.
    std::fs::remove_file(world.maildir().join("dovecot-uidlist")).unwrap();
    world.account.rescan("INBOX").unwrap();
    assert_eq!(world.account.status("INBOX", false).unwrap().messages, 0);
    pending.wait().unwrap();
    let mut world = world;
    assert_eq!(show(&world.view()), "1: 2:");
    world.restart();
    assert_eq!(show(&world.view()), "1: 2:");
}

#[test]
fn a_session_may_go_on_with_a_message_that_another_one_expunged() {
    let world = World::new();
    assert_eq!((world.deliver("a"), world.deliver("b")), (1, 2));
    let (mut one, mut two) = (world.view(), world.view());
    add(&mut one, &[1], deleted(), &[]);
    one.poll(true).unwrap();
    one.expunge(None).unwrap();
    add(&mut two, &[1, 2], seen(), &["x"]);
    assert_eq!(show(&two), "1:STa 2:Sa");
    assert_eq!(told(&two.poll(false).unwrap()), "K ~2(2)");
    add(&mut two, &[1], Flags::NONE, &["y"]);
    two.poll(false).unwrap();
    assert_eq!(show(&two), "1:STab 2:Sa");
    assert_eq!(told(&two.poll(true).unwrap()), "-1(1)");
    one.poll(true).unwrap();
    assert_eq!(show(&one), "2:Sa");
}

#[test]
fn the_index_waits_for_no_mailbox() {
    let world = World::new();
    world.deliver("a");
    let mailbox = world.account.mailbox("INBOX").unwrap();
    let held = mailbox.lock();
    let (store, delay) = (world.account.env.store.clone(), world.environment.mailbox.index_delay);
    let (done, asked) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let begun = std::time::Instant::now();
        // Meanwhile there is something to save of the mailbox that is held.
        while begun.elapsed() < delay * 5 {
            assert!(store.head("INBOX").is_some());
        }
        done.send(()).unwrap();
    });
    asked.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    thread.join().unwrap();
    drop(held);
    world.account.flush();
    assert!(world.account.env.store.head("INBOX").unwrap().head.is_some());
}

#[test]
fn a_message_that_comes_twice_is_one() {
    let world = World::new();
    assert_eq!((world.deliver("a"), world.deliver("b")), (1, 2));
    let mut view = world.view();
    let name = world.files("cur")[0].clone();
    std::fs::copy(world.maildir().join("cur").join(&name), world.maildir().join("new").join(maildir_base(&name))).unwrap();
    world.account.hint("INBOX");
    assert_eq!(told(&view.poll(true).unwrap()), "");
    std::fs::write(world.maildir().join("new/1764000009.X.host"), "c").unwrap();
    world.account.hint("INBOX");
    assert_eq!(told(&view.poll(true).unwrap()), "=3/3");
    assert_eq!(show(&view), "1: 2: 3:");
}

fn maildir_base(name: &str) -> &str {
    name.split(':').next().unwrap()
}
