//! SIGKILL at random moments under load. After each restart: nothing acknowledged is missing, nothing is there twice, no
//! UID names another message, and the Maildir holds what IMAP shows.
//!
//! Ten rounds by default; `make crash` sets `PILLARBOX_CRASH_ROUNDS` and `PILLARBOX_CRASH_MESSAGES`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::harness::{Instance, until};
use crate::talk::{Imap, Smtp};

const ACCOUNT: &str = "joe";
const ADDRESS: &str = "joe@mail.example.org";
const SENDERS: usize = 4;
/// Crashes of one instance. Then comes a new one, since all its messages are read after each crash.
const ROUNDS: u64 = 20;
/// Copies go here; every other mailbox together holds each message once.
const COPIES: &str = "Copies";

/// What was said to be done, over all rounds.
#[derive(Default)]
struct Acknowledged {
    stored: HashSet<String>,
    copied: HashSet<String>,
    flagged: HashSet<String>,
    /// What UID has which message, by mailbox.
    uids: BTreeMap<(String, u32), String>,
    validity: HashMap<String, String>,
}

type Shared = Arc<Mutex<Acknowledged>>;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A small generator of random numbers (xorshift64); its seed is printed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Runs `work` until it panics because the server was killed; what a thread says when that happens is of no interest.
fn until_killed(work: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    })
}

fn text(token: &str) -> Vec<u8> {
    format!("From: a@client.test\r\nSubject: {token}\r\n\r\nThe text of {token}.\r\n").into_bytes()
}

fn send(address: SocketAddr, shared: &Shared, numbers: &AtomicU64) {
    let mut client = Smtp::to(address);
    loop {
        let token = format!("s{}", numbers.fetch_add(1, Ordering::Relaxed));
        if client.send("a@client.test", ADDRESS, &text(&token)).starts_with("250 ") {
            shared.lock().unwrap().stored.insert(token);
        }
    }
}

/// Uploads, flags, copies and moves, one after the other.
fn shuffle(address: SocketAddr, shared: &Shared, numbers: &AtomicU64) {
    let mut imap = Imap::to(address, ACCOUNT);
    imap.ok("SELECT INBOX");
    loop {
        let token = format!("a{}", numbers.fetch_add(1, Ordering::Relaxed));
        imap.append("INBOX", &text(&token));
        shared.lock().unwrap().stored.insert(token.clone());
        imap.ok("NOOP");
        let found = imap.ok(&format!("UID SEARCH SUBJECT \"{token}\""));
        let numbers = found.iter().find_map(|line| line.strip_prefix("* SEARCH ")).unwrap_or_default();
        // "a1" is found in "a12" too.
        for uid in numbers.split(' ').filter(|uid| !uid.is_empty()) {
            let subject = imap.ok(&format!("UID FETCH {uid} BODY.PEEK[HEADER.FIELDS (SUBJECT)]")).concat();
            if !subject.contains(&format!("Subject: {token}\r\n")) {
                continue;
            }
            imap.ok(&format!("UID STORE {uid} +FLAGS (\\Flagged $Kept)"));
            shared.lock().unwrap().flagged.insert(token.clone());
            imap.ok(&format!("UID COPY {uid} {COPIES}"));
            shared.lock().unwrap().copied.insert(token.clone());
            imap.ok(&format!("UID MOVE {uid} Moved"));
        }
    }
}

/// `(UID, subject, flagged)` of all messages of a mailbox.
fn listing(imap: &mut Imap, mailbox: &str) -> Vec<(u32, String, bool)> {
    let lines = imap.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    let parse = |line: &String| {
        let uid = line.split_once("UID ")?.1.split([' ', ')']).next()?.parse().ok()?;
        let subject = line.split_once("Subject: ")?.1.lines().next()?.to_owned();
        Some((uid, subject, line.contains("\\Flagged") && line.contains("$Kept")))
    };
    let found: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(" FETCH ("))
        .map(|line| parse(line).unwrap_or_else(|| panic!("{mailbox}: {line}")))
        .collect();
    found
}

fn verify(instance: &Instance, shared: &Shared) {
    let mut imap = Imap::to(instance.address("imap"), ACCOUNT);
    let mut state = shared.lock().unwrap();
    let all = until("all acknowledged mail", || {
        let mut all = BTreeMap::new();
        for mailbox in ["INBOX", "Moved", COPIES] {
            let opened = imap.ok(&format!("SELECT {mailbox}")).concat();
            let validity = opened.split_once("[UIDVALIDITY ").unwrap().1.split(']').next().unwrap().to_owned();
            let before = state.validity.entry(mailbox.to_owned()).or_insert_with(|| validity.clone());
            assert_eq!(*before, validity, "UIDVALIDITY of {mailbox}");
            all.insert(mailbox, listing(&mut imap, mailbox));
        }
        let there: HashSet<_> = ["INBOX", "Moved"].iter().flat_map(|m| all[m].iter().map(|(_, subject, _)| subject.clone())).collect();
        // What the journal has but nobody was told of may still be on its way: the files and the messages that are shown
        // agree as soon as that has come to rest.
        let settled = all.iter().all(|(mailbox, messages)| files(instance, mailbox) == messages.len());
        (settled && state.stored.iter().all(|token| there.contains(token))).then_some(all)
    });
    let mut times: HashMap<&str, u32> = HashMap::new();
    for (uid, subject, flagged) in all["INBOX"].iter().chain(&all["Moved"]) {
        *times.entry(subject).or_default() += 1;
        assert!(*flagged || !state.flagged.contains(subject), "flags of {subject} (UID {uid}) are lost");
    }
    let twice: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "there twice: {twice:?}");
    for token in &state.copied {
        let copies = all[COPIES].iter().filter(|(_, subject, _)| subject == token).count();
        assert_eq!(copies, 1, "copies of {token}: files {:?}", files_with(instance, token));
    }
    for (mailbox, messages) in &all {
        for (uid, subject, _) in messages {
            let before = state.uids.entry(((*mailbox).to_owned(), *uid)).or_insert_with(|| subject.clone());
            assert_eq!(before, subject, "UID {uid} of {mailbox} names another message");
        }
    }
}

/// The files of all mailboxes whose subject is `token`.
fn files_with(instance: &Instance, token: &str) -> Vec<PathBuf> {
    let maildir = instance.home(ACCOUNT).join("Maildir");
    let folders = [maildir.clone(), maildir.join(".Moved"), maildir.join(format!(".{COPIES}"))];
    let all = folders.iter().flat_map(|folder| ["new", "cur"].map(|sub| folder.join(sub))).flat_map(|sub| std::fs::read_dir(sub).unwrap());
    let subject = format!("Subject: {token}\n");
    all.map(|entry| entry.unwrap().path()).filter(|path| std::fs::read_to_string(path).unwrap().contains(&subject)).collect()
}

fn files(instance: &Instance, mailbox: &str) -> usize {
    let maildir = instance.home(ACCOUNT).join("Maildir");
    let folder = if mailbox == "INBOX" { maildir } else { maildir.join(format!(".{mailbox}")) };
    ["new", "cur"].iter().map(|sub| std::fs::read_dir(folder.join(sub)).unwrap().count()).sum()
}

/// One instance through some crashes.
fn crash(random: &mut Random, rounds: u64) -> Acknowledged {
    let mut instance = Instance::new("mail.example.org", &[ACCOUNT]);
    instance.start();
    let mut imap = Imap::to(instance.address("imap"), ACCOUNT);
    imap.ok("CREATE Moved");
    imap.ok(&format!("CREATE {COPIES}"));
    drop(imap);
    let (shared, numbers) = (Shared::default(), Arc::new(AtomicU64::new(0)));
    for _ in 0..rounds {
        let (smtp, reader) = (instance.address("smtp"), instance.address("imap"));
        let mut threads = Vec::new();
        for _ in 0..SENDERS {
            let (shared, numbers) = (shared.clone(), numbers.clone());
            threads.push(until_killed(move || send(smtp, &shared, &numbers)));
        }
        let (also, more) = (shared.clone(), numbers.clone());
        threads.push(until_killed(move || shuffle(reader, &also, &more)));
        // The moment of the crash is what is random here; nothing is waited for.
        std::thread::park_timeout(Duration::from_millis(100 + random.below(900)));
        instance.kill();
        for thread in threads {
            thread.join().unwrap();
        }
        instance.start();
        verify(&instance, &shared);
    }
    std::mem::take(&mut *shared.lock().unwrap())
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled() {
    let (rounds, messages) = (setting("PILLARBOX_CRASH_ROUNDS", 10), setting("PILLARBOX_CRASH_MESSAGES", 0));
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    let mut random = Random(seed);
    let (start, mut done) = (Instant::now(), 0);
    let (mut stored, mut copied, mut flagged) = (0, 0, 0);
    while done < rounds || (stored as u64) < messages {
        let now = ROUNDS.min(rounds.saturating_sub(done)).max(1);
        let state = crash(&mut random, now);
        done += now;
        stored += state.stored.len();
        copied += state.copied.len();
        flagged += state.flagged.len();
    }
    println!(
        "crash: {done} rounds in {:?}: {stored} messages stored, {copied} copied, {flagged} flagged; 0 lost, 0 doubled, 0 UIDs changed",
        start.elapsed()
    );
}
