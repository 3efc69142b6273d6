//! The account agent: the one seam through which everything goes that touches an account's files. It delivers messages by the
//! account's rules and serves its mailboxes to IMAP sessions. Today it lives in the daemon's process; nothing outside this
//! module would notice if it were a process of its own.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use auth::Account;
use config::Config;
use filter::Letter;
use filter::Programs;
use filter::confine::Confinement;
use journal::Recovered;
use mail::{MessageId, Uid, UidValidity};
use mailbox::Replay;
use tokio::sync::Semaphore;

use crate::details::Details;
use crate::house::House;
use crate::rules::{self, Surroundings};
use crate::store::AccountStore;

/// The most copies that one message's rules may store; their numbers are parts of file names.
const MOST_COPIES: u32 = 1_000;

/// So many sessions of one account work on its files at a time. The others would wait for the same locks, each with a thread of its
/// own; these are enough that all who wait for the disk share its next sync.
const WORKING_SESSIONS: usize = 16;

/// One account's files, and what may be done to them.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Places for sessions that work.
    places: Arc<Semaphore>,
    record: Arc<Account>,
    mail: mailbox::Account,
    surroundings: Surroundings,
    /// The Maildir, as [`normal`] has it.
    root: PathBuf,
    programs: Programs,
    /// What the rules' programs may do, and the settings that it was made for.
    confinement: Mutex<Option<(config::Filter, Arc<Confinement>)>>,
    /// Held while a large message goes through the rules.
    large: Mutex<()>,
    host: String,
    watcher: OnceLock<(Weak<House>, Weak<Agent>)>,
}

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// Its Maildir or index cannot be opened.
    #[error("the account's mail cannot be opened: {0}")]
    Mailbox(#[from] mailbox::Error),
    /// Its home cannot be made.
    #[error("{path}: {source}")]
    Home {
        /// The home.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Files made in it would be root's, its rules' programs would run as root, and root would follow its links.
    #[error(
        "{path} belongs to the Unix user {owner}, and the daemon runs as root, which must not act in it; run the daemon as that user, or give the folder to root with: chown -R root: {path}"
    )]
    Owner {
        /// The home.
        path: String,
        /// The number of its owner.
        owner: u32,
    },
    /// Two accounts have one home.
    #[error("{home} is the home of the account {other} already; give this account one of its own")]
    Shared {
        /// The home.
        home: String,
        /// The older account.
        other: String,
    },
    /// A defect, or the end of the daemon.
    #[error("internal error")]
    Task,
}

impl AgentError {
    pub(crate) fn task(_: tokio::task::JoinError) -> Self {
        Self::Task
    }
}

/// A message for this account.
pub(crate) struct Delivery<'a> {
    pub(crate) id: MessageId,
    /// The recipient's number in the envelope.
    pub(crate) number: u32,
    pub(crate) sender: String,
    /// What stood behind the delimiter in the recipient's address; `$1` of the rules.
    pub(crate) extension: String,
    /// It may have been delivered before a crash.
    pub(crate) doubtful: bool,
    /// What was noted by [`Delivery::note`] then.
    pub(crate) told: &'a [Vec<u8>],
    /// What was noted since: none of that is lost.
    pub(crate) noted: &'a [Vec<u8>],
    /// Writes down under which UID a mail program may see it from now on.
    pub(crate) note: &'a dyn Fn(&[u8]),
    /// Lines that go above it.
    pub(crate) head: Vec<u8>,
    pub(crate) content: &'a dyn Content,
}

/// A message's octets, in memory or not.
pub(crate) trait Content {
    fn len(&self) -> u64;

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// Messages from this size on go through an account's rules one at a time: rules need the whole of a message in memory.
const LARGE: u64 = 4 << 20;

/// Reads a message with the lines above it from the beginning.
struct Whole<'a> {
    head: &'a [u8],
    content: &'a dyn Content,
    at: u64,
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.at.checked_sub(self.head.len() as u64) {
            None => (&self.head[self.at as usize..]).read(buffer)?,
            Some(offset) => self.content.read_at(buffer, offset)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

/// Where a message is now.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) mailbox: String,
    pub(crate) uid: u32,
    pub(crate) file: String,
}

/// What became of a message.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Whose mailboxes.
    pub(crate) account: String,
    pub(crate) stored: Vec<Stored>,
    /// `file:line` of the rule that took it.
    pub(crate) rule: Option<String>,
    /// Targets that the journal does not cover.
    pub(crate) outside: Vec<String>,
    /// What the rules said.
    pub(crate) log: String,
}

/// The account that an entry of the journal belongs to.
pub(crate) fn account_of(entry: &Recovered) -> Option<String> {
    mailbox::account_of(&entry.header)
}

impl Agent {
    /// Opens the account, whose home is made if missing.
    pub(crate) fn open(house: &Arc<House>, record: &Arc<Account>) -> Result<Arc<Self>, AgentError> {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};
        let home = record.home.clone();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&home);
        let wrong = |source| AgentError::Home { path: home.display().to_string(), source };
        made.map_err(wrong)?;
        let owner = std::fs::metadata(&home).map_err(wrong)?.uid();
        if !may_act_in(rustix::process::geteuid().as_raw(), owner) {
            return Err(AgentError::Owner { path: home.display().to_string(), owner });
        }
        let name = record.name.as_str();
        let paths = mailbox::Paths { maildir: home.join("Maildir"), index: house.layout.index(name) };
        let mail = mailbox::Account::open(name, &house.environment, paths)?;
        let root = normal(&home.join("Maildir"));
        let surroundings =
            Surroundings { account: name.to_owned(), home, sendmail: house.layout.sendmail(), config: house.config_path.clone() };
        let agent = Self {
            places: Arc::new(Semaphore::new(WORKING_SESSIONS)),
            record: record.clone(),
            mail,
            surroundings,
            root,
            programs: Programs::new(),
            confinement: Mutex::default(),
            large: Mutex::default(),
            host: house.environment.host.clone(),
            watcher: OnceLock::new(),
        };
        let agent = Arc::new(agent);
        // Set once, right here: nobody else has the agent yet.
        let _ = agent.watcher.set((Arc::downgrade(house), Arc::downgrade(&agent)));
        Ok(agent)
    }

    /// Whether this agent serves the account as it is recorded now.
    pub(crate) fn is_of(&self, record: &Account) -> bool {
        self.record.home == record.home
    }

    /// The account's mailboxes.
    pub(crate) fn account(&self) -> &mailbox::Account {
        &self.mail
    }

    /// Whoever does work for a session that may wait for a file or a lock has one of these meanwhile.
    pub(crate) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    /// A store for one IMAP session.
    pub(crate) fn store(self: &Arc<Self>) -> Box<dyn imap::store::Store> {
        Box::new(AccountStore(self.clone()))
    }

    /// Has the kernel tell of foreign changes in a mailbox that is open.
    pub(crate) fn watch(&self, mailbox: &str) {
        let Some((house, agent)) = self.watcher.get() else { return };
        if let (Some(house), Some(agent), Ok(folder)) = (house.upgrade(), agent.upgrade(), self.mail.folder(mailbox)) {
            house.watcher.watch_mailbox(&agent, mailbox, &folder);
        }
    }

    /// Notes in the trace what a session did to messages of a mailbox: `uids` went to the mailbox `to`, if there is one, as
    /// `to_uids`. Sets that are too scattered for a line are left out.
    pub(crate) fn tell(&self, step: &str, mailbox: &str, uids: &[Uid], to: Option<(&str, &[Uid])>) {
        let Some(house) = self.watcher.get().and_then(|(house, _)| house.upgrade()) else { return };
        let mut details = Details::new().text("account", &self.surroundings.account).text("mailbox", mailbox);
        if let Some((to, to_uids)) = to {
            details = details.text("to", to).maybe("to_uids", ranges(to_uids));
        }
        if !uids.is_empty() {
            house.trace.event(step, details.maybe("uids", ranges(uids)));
        }
    }

    /// The daemon ends and has given up waiting for what is being delivered.
    fn is_aborted(&self) -> bool {
        let house = self.watcher.get().and_then(|(house, _)| house.upgrade());
        house.is_none_or(|house| house.aborted.load(Ordering::Relaxed))
    }

    /// Something happened in a mailbox's folder.
    pub(crate) fn look(&self, mailbox: &str) {
        self.mail.hint(mailbox);
    }

    /// Finishes what a crash cut short.
    pub(crate) fn recover(&self, entry: Recovered, complete: bool) -> Result<(), AgentError> {
        Ok(self.mail.recover(&entry, complete)?)
    }

    /// Whether a power cut may have taken what was delivered earlier.
    pub(crate) fn is_after_power_cut(&self) -> bool {
        self.mail.after_power_cut()
    }

    /// Writes out what is only in memory. If all that was written is on disk, this is an end in order: after a power cut
    /// nothing is in doubt then.
    pub(crate) fn close(&self, covered: bool) {
        if covered { self.mail.close() } else { self.mail.flush() }
    }

    fn confinement(&self, filter: &config::Filter) -> Option<Arc<Confinement>> {
        let mut held = self.confinement.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, confinement)) = held.as_ref().filter(|(settings, _)| settings == filter) {
            return Some(confinement.clone());
        }
        let house = self.watcher.get()?.0.upgrade()?;
        let confinement =
            Arc::new(rules::confinement(&house.config(), &house.config_path, house.authenticator.accounts(), &self.surroundings.home)?);
        *held = Some((filter.clone(), confinement.clone()));
        Some(confinement)
    }

    /// Delivers by the account's rules, or into INBOX if it has none. An error is to be tried again.
    pub(crate) fn deliver(&self, delivery: &Delivery<'_>, config: &Config) -> Result<Report, String> {
        let mut target = Target { agent: self, delivery, stored: Vec::new(), count: 0 };
        let rules = self.surroundings.home.join(".procmailrc");
        let seen = rules.symlink_metadata();
        // A link that leads nowhere is no missing file: the log says that it cannot be read.
        if seen.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            let mut whole = Whole { head: &delivery.head, content: delivery.content, at: 0 };
            target.put("INBOX", &mut whole).map_err(|error| error.to_string())?;
            return Ok(Report { account: self.surroundings.account.clone(), stored: target.stored, ..Report::default() });
        }
        let large = delivery.content.len() >= LARGE;
        let _turn = large.then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner));
        let from = rules::from_line(&delivery.sender, delivery.id.micros() / 1_000_000);
        let mut message = Letter::with_capacity(from.len() + delivery.head.len() + delivery.content.len() as usize);
        let mut whole = from.as_slice().chain(Whole { head: &delivery.head, content: delivery.content, at: 0 });
        std::io::copy(&mut whole, &mut message).map_err(|error| error.to_string())?;
        let arguments = (delivery.extension.as_str(), delivery.sender.as_str());
        let confinement = self.confinement(&config.filter);
        let how = (&config.filter, &self.programs, confinement.as_deref());
        // What a link leads to is looked at by itself, and what may have changed while this message waited for its turn.
        let seen = seen.ok().filter(|seen| seen.is_file() && !large);
        let filtered = rules::run(&self.surroundings, (&rules, seen.as_ref()), how, arguments, message, &mut target);
        let rule = rules::matched_recipe(&filtered.outcome);
        let outside = rules::outside_targets(&filtered.outcome);
        // A copy is no delivery: what is left of the message would be in no mailbox. Tried again, copies are found where they are.
        if filtered.outcome.code == 0 || filtered.outcome.taken {
            let account = self.surroundings.account.clone();
            return Ok(Report { account, stored: target.stored, rule, outside, log: filtered.log });
        }
        Err(format!("the rules gave exit code {}: {}", filtered.outcome.code, filtered.log.trim_end()))
    }
}

/// The most ranges of UIDs in a line of the trace.
const MOST_RANGES: usize = 500;

/// UIDs as IMAP writes them, in their order; nothing if they are too scattered.
fn ranges(uids: &[Uid]) -> Option<String> {
    let mut set = mail::UidSet::new();
    uids.iter().for_each(|uid| set.insert(*uid));
    (set.ranges().len() <= MOST_RANGES).then(|| set.to_string())
}

/// Whether a daemon with this user id may act in a folder of that owner. What another user lets us do is the kernel's to say,
/// but the kernel lets root do everything.
fn may_act_in(daemon: u32, owner: u32) -> bool {
    daemon != 0 || owner == 0
}

/// Puts one message into mailboxes, as often as the rules say.
struct Target<'a> {
    agent: &'a Agent,
    delivery: &'a Delivery<'a>,
    stored: Vec<Stored>,
    count: u32,
}

impl Target<'_> {
    fn put(&mut self, mailbox: &str, body: &mut dyn Read) -> io::Result<String> {
        // The same message goes to the same file name again after a crash, and is found there.
        let Delivery { id, number, doubtful, told, noted, note, .. } = *self.delivery;
        if self.agent.is_aborted() {
            return Err(io::Error::other("the daemon stops"));
        }
        let seconds = id.micros() / 1_000_000;
        let unique = maildir::name::unique(seconds, id, number * MOST_COPIES + self.count.min(MOST_COPIES - 1), &self.agent.host);
        let copy = self.count;
        self.count += 1;
        let find = |notes: &[Vec<u8>]| {
            let of_it = |told: &Told<'_>| (told.copy, told.mailbox) == (copy, mailbox);
            notes.iter().find_map(|note| Told::read(note).filter(of_it).map(|told| (told.uid_validity, told.uid)))
        };
        let replay = match (find(noted), find(told)) {
            (Some((uid_validity, uid)), _) => Replay::Sure(uid_validity, uid),
            (None, Some((uid_validity, uid))) => Replay::Told(uid_validity, uid),
            (None, None) if doubtful => Replay::Maybe,
            (None, None) => Replay::No,
        };
        let what = mailbox::Delivery { mailbox, unique: &unique, received: seconds.cast_signed(), replay };
        let delivered = self.agent.mail.deliver(&what, body).map_err(io::Error::other)?;
        note(&Told { copy, uid_validity: delivered.uid_validity, uid: delivered.uid, mailbox }.write());
        self.stored.push(Stored { mailbox: delivered.mailbox, uid: delivered.uid, file: delivered.file.clone() });
        Ok(delivered.file)
    }
}

/// What the journal keeps of a delivery until the disk has it: a mail program may have been told of the UID by then, and after a
/// power cut the message has to come back under it.
#[derive(Debug, PartialEq, Eq)]
struct Told<'a> {
    /// The copy's number: rules may store several.
    copy: u32,
    uid_validity: UidValidity,
    uid: Uid,
    mailbox: &'a str,
}

impl<'a> Told<'a> {
    fn write(&self) -> Vec<u8> {
        format!("{} {} {} {}", self.copy, self.uid_validity, self.uid, self.mailbox).into_bytes()
    }

    fn read(note: &'a [u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(note).ok()?.splitn(4, ' ');
        let mut number = || words.next()?.parse().ok();
        let (copy, uid_validity, uid) = (number()?, number()?, number()?);
        Some(Self { copy, uid_validity, uid, mailbox: words.next()? })
    }
}

impl rules::Store for Target<'_> {
    fn mailbox_at(&self, path: &Path) -> Option<String> {
        let (root, path) = (&self.agent.root, normal(path));
        if path == *root {
            return Some("INBOX".to_owned());
        }
        let folder = path.file_name()?.to_str()?;
        (path.parent()? == root).then(|| maildir::folder::mailbox_name(folder)).flatten()
    }

    fn store(&mut self, mailbox: &str, pieces: &[&[u8]]) -> io::Result<String> {
        self.put(mailbox, &mut Pieces { pieces, at: 0 })
    }
}

/// Pieces of a message, read one behind the other.
struct Pieces<'a> {
    pieces: &'a [&'a [u8]],
    at: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((first, rest)) = self.pieces.split_first() {
            let left = &first[self.at..];
            if left.is_empty() {
                (self.pieces, self.at) = (rest, 0);
                continue;
            }
            let length = left.len().min(buffer.len());
            buffer[..length].copy_from_slice(&left[..length]);
            self.at += length;
            return Ok(length);
        }
        Ok(0)
    }
}

/// The path without `.` and doubled slashes, as rule files have them in front of folder names.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, std::path::Component::CurDir)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_acts_in_homes_of_its_own_alone() {
        for (daemon, owner, expected) in [(0, 0, true), (0, 1000, false), (1000, 1000, true), (1000, 1001, true)] {
            assert_eq!(may_act_in(daemon, owner), expected, "{daemon} in {owner}");
        }
    }

    #[test]
    fn what_was_told_comes_back() {
        let told = Told { copy: 2, uid_validity: 1_795_000_000, uid: 7, mailbox: "lists.with space" };
        assert_eq!(Told::read(&told.write()), Some(told));
        for note in ["", "1 2 3", "1 2 x INBOX", "1 2 3 "] {
            assert!(Told::read(note.as_bytes()).is_none_or(|told| told.mailbox.is_empty()), "{note}");
        }
    }

    #[test]
    fn pieces_and_paths() {
        let mut text = String::new();
        Pieces { pieces: &[b"a", b"", b"bc"], at: 0 }.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        assert_eq!(normal(Path::new("/h/./Maildir//.x/")), Path::new("/h/Maildir/.x"));
    }
}
