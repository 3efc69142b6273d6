//! Opening an instance: folders, lock, version, accounts, journal, queue, maps, and the replay of what a crash left.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use auth::{Accounts, AccountsError, Authenticator};
use config::Config;
use journal::{Journal, Recovered, Report};
use queue::Queue;
use system::{Clock, Disk, HostDisk, SystemClock};

use crate::house::{House, Parts, make_folders};
use crate::instance::Layout;
use crate::maps::Maps;
use crate::tls::{Tls, TlsError};
use crate::trace::Trace;

/// The version of the data folder's layout.
const LAYOUT: u32 = 1;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another daemon runs on the data folder.
    #[error("another daemon runs on {0}; stop it first, or give this one a data folder of its own")]
    Locked(String),
    /// The data folder was written by a newer version.
    #[error("{path} was written by a newer version of this program (layout {found}, this one knows {LAYOUT}); nothing was touched")]
    Newer {
        /// The data folder.
        path: String,
        /// Its layout.
        found: String,
    },
    /// Configuration or maps are wrong.
    #[error("{}", .0.join("\n"))]
    Configuration(Vec<String>),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The accounts cannot be read.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The journal cannot be read.
    #[error("the journal: {0}")]
    Journal(#[from] journal::Error),
    /// The queue cannot be read.
    #[error("the queue: {0}")]
    Queue(#[from] queue::Error),
    /// A file or folder of the instance cannot be used.
    #[error("{path}: {source}; the data folder has to be on a local disk with room, and belong to the user that runs the daemon")]
    Folder {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StartError {
    /// The exit status after sysexits(3).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Tls(_) | Self::Newer { .. } | Self::Accounts(AccountsError::Newer { .. }) => 78,
            Self::Folder { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => 77,
            _ => 75,
        }
    }
}

/// An instance that is open.
pub(crate) struct Opened {
    pub(crate) house: Arc<House>,
    /// Held as long as it is open.
    pub(crate) lock: File,
    /// Uploads, copies and moves that a crash cut short, for [`replay`].
    pub(crate) unfinished: Vec<Recovered>,
}

/// Opens everything.
pub(crate) fn open(config_path: PathBuf, config: Config) -> Result<Opened, StartError> {
    let layout = Layout::of(&config);
    let findings = crate::check::all(&config, &layout);
    findings.remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
    if !findings.errors.is_empty() {
        return Err(StartError::Configuration(findings.errors));
    }
    check_version(&layout)?;
    let folder = |source| StartError::Folder { path: layout.data().display().to_string(), source };
    make_folders(&layout).map_err(folder)?;
    let lock = lock(&layout)?;
    write_version(&layout).map_err(folder)?;
    let tls = Tls::default();
    tls.load(&config.server)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let disk: Arc<dyn Disk> = Arc::new(HostDisk);
    let trace = Trace::open(&layout.trace(), clock.clone()).map_err(folder)?;
    let accounts = tokio::runtime::Handle::current().block_on(Accounts::open(&layout.accounts(), &config.auth))?;
    let authenticator = Authenticator::new(accounts.clone(), config.auth.clone())?;
    let checkpoint = crate::checkpoint::checkpoint(disk.clone(), layout.data().to_owned(), accounts);
    let (journal, recovered, report) = Journal::open(&layout.journal(), disk.clone(), &config.journal, checkpoint)?;
    tell(&report, recovered.len());
    let (accepted, unfinished): (Vec<_>, Vec<_>) = recovered.into_iter().partition(|entry| entry.kind == Queue::ENTRY);
    let parties = (disk.clone(), clock.clone());
    let (queue, remarks) = Queue::open(&journal, parties, &layout.queue(), &config.queue, accepted)?;
    remarks.iter().for_each(|remark| tracing::error!("queue: {remark}"));
    let maps = Maps::open(&config);
    let environment = mailbox::Environment {
        disk,
        clock: clock.clone(),
        journal: journal.clone(),
        indexer: mailbox::Indexer::start()?,
        maildir: config.maildir.clone(),
        mailbox: config.mailbox.clone(),
        host: config.server.hostname.clone(),
    };
    let parts = Parts { config_path, config, clock, tls, trace, maps, authenticator, journal, queue, environment };
    Ok(Opened { house: Arc::new(House::new(parts)), lock, unfinished })
}

/// Uploads, copies and moves that a crash cut short are finished by the agents of their accounts, before anybody looks. Called
/// after the deliveries that are in doubt were done again: a copy may be of a message that only the journal had.
pub(crate) fn replay(house: &Arc<House>, entries: Vec<Recovered>) {
    for entry in entries {
        let id = entry.id.number();
        let Some(account) = crate::agent::account_of(&entry).and_then(|name| house.authenticator.accounts().find(&name)) else {
            tracing::error!(entry = id, "an entry of the journal belongs to no account here; it stays");
            continue;
        };
        // A message that was copied may be one that is still to be delivered or stored again itself.
        let complete = !house.has_doubts();
        match house.agent_blocking(&account).and_then(|agent| agent.recover(entry, complete)) {
            Ok(()) => tracing::info!(entry = id, account = account.name.as_str(), "replayed"),
            Err(error) => {
                house.unfinished.store(true, Ordering::Relaxed);
                tracing::error!(entry = id, account = account.name.as_str(), %error, "could not be replayed; it stays");
            }
        }
    }
}

fn check_version(layout: &Layout) -> Result<(), StartError> {
    let text = match std::fs::read_to_string(layout.version()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(StartError::Folder { path: layout.version().display().to_string(), source }),
        Ok(text) => text,
    };
    match text.trim().parse::<u32>() {
        Ok(found) if found <= LAYOUT => Ok(()),
        _ => Err(StartError::Newer { path: layout.data().display().to_string(), found: text.trim().to_owned() }),
    }
}

/// Says once which version the data folder has. The file is there whole or not at all: an empty one, as a full disk would leave,
/// is not taken for an old version.
fn write_version(layout: &Layout) -> io::Result<()> {
    let path = layout.version();
    if path.exists() {
        return Ok(());
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(format!("{LAYOUT}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

fn lock(layout: &Layout) -> Result<File, StartError> {
    let path = layout.lock();
    let wrong = |source| StartError::Folder { path: path.display().to_string(), source };
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(wrong)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(StartError::Locked(layout.data().display().to_string())),
        Err(TryLockError::Error(error)) => return Err(wrong(error)),
        Ok(()) => {}
    }
    // Whose it is, for people; the lock itself is the kernel's.
    let mut old = String::new();
    file.read_to_string(&mut old).map_err(wrong)?;
    file.set_len(0).map_err(wrong)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(wrong)?;
    Ok(file)
}

fn tell(report: &Report, entries: usize) {
    tracing::info!(entries, "journal read");
    for damage in &report.damage {
        tracing::error!("journal: {damage}");
    }
}
