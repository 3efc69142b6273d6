//! The account agent: the one seam through which everything goes that touches an account's files. It delivers messages by the
//! account's rules and serves its mailboxes to IMAP sessions. Today it lives in the daemon's process; nothing outside this
//! module would notice if it were a process of its own.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use auth::Account;
use config::Config;
use filter::Programs;
use journal::Recovered;
use mail::MessageId;
use mailbox::Replay;

use crate::house::House;
use crate::rules::{self, Surroundings};
use crate::store::AccountStore;

/// The most copies that one message's rules may store; their numbers are parts of file names.
const MOST_COPIES: u32 = 1_000;

/// One account's files, and what may be done to them.
#[derive(Debug)]
pub(crate) struct Agent {
    record: Arc<Account>,
    mail: mailbox::Account,
    surroundings: Surroundings,
    programs: Programs,
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
    /// Lines that go above it.
    pub(crate) head: Vec<u8>,
    pub(crate) content: &'a dyn Content,
}

/// A message's octets, in memory or not.
pub(crate) trait Content {
    fn len(&self) -> u64;

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// Messages from this size on go through rules one at a time: rules need the whole of a message in memory.
const LARGE: u64 = 4 << 20;

/// Held while a large message goes through rules.
static LARGE_MESSAGE: Mutex<()> = Mutex::new(());

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
        use std::os::unix::fs::DirBuilderExt;
        let home = record.home.clone();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&home);
        made.map_err(|source| AgentError::Home { path: home.display().to_string(), source })?;
        let name = record.name.as_str();
        let paths = mailbox::Paths { maildir: home.join("Maildir"), index: house.layout.index(name) };
        let mail = mailbox::Account::open(name, &house.environment, paths)?;
        let surroundings =
            Surroundings { account: name.to_owned(), home, sendmail: house.layout.sendmail(), config: house.config_path.clone() };
        let agent = Self {
            record: record.clone(),
            mail,
            surroundings,
            programs: Programs::new(),
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

    /// Something happened in a mailbox's folder.
    pub(crate) fn look(&self, mailbox: &str) {
        self.mail.hint(mailbox);
    }

    /// Finishes what a crash cut short.
    pub(crate) fn recover(&self, entry: Recovered) -> Result<(), AgentError> {
        Ok(self.mail.recover(&entry)?)
    }

    /// Writes out what is only in memory.
    pub(crate) fn close(&self) {
        self.mail.close();
    }

    /// Delivers by the account's rules, or into INBOX if it has none. An error is to be tried again.
    pub(crate) fn deliver(&self, delivery: &Delivery<'_>, config: &Config) -> Result<Report, String> {
        let mut target = Target { agent: self, delivery, stored: Vec::new(), count: 0 };
        let rules = self.surroundings.home.join(".procmailrc");
        if !rules.exists() {
            let mut whole = Whole { head: &delivery.head, content: delivery.content, at: 0 };
            target.put("INBOX", &mut whole).map_err(|error| error.to_string())?;
            return Ok(Report { stored: target.stored, ..Report::default() });
        }
        let large = delivery.content.len() >= LARGE;
        let _turn = large.then(|| LARGE_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner));
        let from = rules::from_line(&delivery.sender, delivery.id.micros() / 1_000_000);
        let mut message = Vec::with_capacity(from.len() + delivery.head.len() + delivery.content.len() as usize);
        message.extend_from_slice(&from);
        Whole { head: &delivery.head, content: delivery.content, at: 0 }.read_to_end(&mut message).map_err(|error| error.to_string())?;
        let arguments = (delivery.extension.as_str(), delivery.sender.as_str());
        let filtered = rules::run(&self.surroundings, &rules, (&config.filter, &self.programs), arguments, &message, &mut target);
        let rule = rules::matched_recipe(&filtered.outcome);
        let outside = rules::outside_targets(&filtered.outcome);
        if filtered.outcome.code == 0 || !filtered.outcome.deliveries.is_empty() {
            return Ok(Report { stored: target.stored, rule, outside, log: filtered.log });
        }
        Err(format!("the rules gave exit code {}: {}", filtered.outcome.code, filtered.log.trim_end()))
    }
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
        let Delivery { id, number, doubtful, .. } = *self.delivery;
        let seconds = id.micros() / 1_000_000;
        let unique = maildir::name::unique(seconds, id, number * MOST_COPIES + self.count.min(MOST_COPIES - 1), &self.agent.host);
        self.count += 1;
        let replay = if doubtful { Replay::Maybe } else { Replay::No };
        let what = mailbox::Delivery { mailbox, unique: &unique, received: seconds.cast_signed(), replay };
        let delivered = self.agent.mail.deliver(&what, body).map_err(io::Error::other)?;
        self.stored.push(Stored { mailbox: delivered.mailbox, uid: delivered.uid, file: delivered.file.clone() });
        Ok(delivered.file)
    }
}

impl rules::Store for Target<'_> {
    fn mailbox_at(&self, path: &Path) -> Option<String> {
        let (root, path) = (normal(&self.agent.surroundings.home.join("Maildir")), normal(path));
        if path == root {
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
