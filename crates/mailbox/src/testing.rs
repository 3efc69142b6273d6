//! A small world for tests: a temporary folder with journal, index and one account.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use journal::{Journal, Recovered};
use mail::{Flags, Uid};
use system::{Clock, Disk, HostDisk, SystemClock};

use crate::{Account, Change, Delivered, Delivery, Environment, Indexer, Paths, Replay, View};

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) environment: Environment,
    pub(crate) account: Account,
    count: std::cell::Cell<u64>,
}

/// The environment over a folder, and what its journal gave back.
pub(crate) fn environment(folder: &Path, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> (Environment, Vec<Recovered>) {
    let path = folder.join("journal");
    let _ = std::fs::create_dir(&path);
    let settings = config::Journal { segment_size: config::Size::mib(1), ..config::Journal::default() };
    let (synced, root) = (Arc::clone(&disk), folder.to_owned());
    let checkpoint = Arc::new(move || synced.sync_all(&root));
    let (journal, recovered, _) = Journal::open(&path, Arc::clone(&disk), &settings, checkpoint).unwrap();
    let mailbox = config::Mailbox { check_interval: Duration::ZERO, index_delay: Duration::from_millis(10), ..config::Mailbox::default() };
    let (indexer, maildir) = (Indexer::start().unwrap(), config::Maildir::default());
    (Environment { disk, clock, journal, indexer, maildir, mailbox, host: "host.example".to_owned() }, recovered)
}

pub(crate) fn paths(folder: &Path) -> Paths {
    Paths { maildir: folder.join("Maildir"), index: folder.join("index") }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Arc::new(HostDisk))
    }

    pub(crate) fn with(disk: Arc<dyn Disk>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (environment, _) = environment(folder.path(), disk, Arc::new(SystemClock));
        let account = Account::open("test", &environment, paths(folder.path())).unwrap();
        Self { folder, environment, account, count: std::cell::Cell::new(0) }
    }

    pub(crate) fn maildir(&self) -> std::path::PathBuf {
        self.folder.path().join("Maildir")
    }

    pub(crate) fn deliver_to(&self, mailbox: &str, text: &str) -> Delivered {
        self.count.set(self.count.get() + 1);
        let unique = format!("1764000000.T{}_1.host", self.count.get());
        let delivery = Delivery { mailbox, unique: &unique, received: 1_764_000_000, replay: Replay::No };
        self.account.deliver(&delivery, &mut text.as_bytes()).unwrap()
    }

    pub(crate) fn deliver(&self, text: &str) -> Uid {
        self.deliver_to("INBOX", text).uid
    }

    pub(crate) fn view(&self) -> View {
        self.account.view("INBOX", false).unwrap()
    }

    /// As a new start of the daemon without an orderly end of the old one.
    pub(crate) fn restart(&mut self) {
        self.account.flush();
        self.restart_without_flush();
    }

    pub(crate) fn restart_without_flush(&mut self) {
        self.environment.journal.close();
        // Two index threads would write to one index, which no two processes do.
        self.environment.indexer.kill();
        let disk = Arc::clone(&self.environment.disk);
        let (environment, recovered) = environment(self.folder.path(), disk, Arc::new(SystemClock));
        self.environment = environment;
        self.account = Account::open("test", &self.environment, paths(self.folder.path())).unwrap();
        for entry in recovered.iter().filter(|entry| crate::KINDS.contains(&entry.kind)) {
            self.account.recover(entry, true).unwrap();
        }
    }

    /// The names in a folder of the Maildir, sorted.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let listed = std::fs::read_dir(self.maildir().join(folder)).unwrap();
        let mut names: Vec<String> = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// UIDs with flag letters and keyword bits: `1:FS 2:`.
pub(crate) fn show(view: &View) -> String {
    let one = |uid: &Uid| {
        let meta = view.meta(*uid).unwrap();
        format!("{uid}{}", maildir::name::suffix(meta.flags, meta.keywords as u32, &[]).replace(":2,", ":"))
    };
    view.uids().iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Changes as IMAP would show them: `-1(7)` expunged, `=3/1` exists and recent, `~2(8)` flags, `K` keywords.
pub(crate) fn told(changes: &[Change]) -> String {
    let one = |change: &Change| match change {
        Change::Expunged { uid, sequence } => format!("-{sequence}({uid})"),
        Change::Exists { count, recent } => format!("={count}/{recent}"),
        Change::Flags { uid, sequence } => format!("~{sequence}({uid})"),
        Change::Keywords => "K".to_owned(),
    };
    changes.iter().map(one).collect::<Vec<_>>().join(" ")
}

pub(crate) fn append(account: &Account, mailbox: &str, flags: Flags, texts: &[&str]) -> crate::Appended {
    let mut upload = account.upload(mailbox).unwrap();
    for text in texts {
        upload.begin(flags, &[], Some(1_000_000_000)).unwrap();
        upload.write(text.as_bytes()).unwrap();
    }
    let (appended, pending) = upload.commit().unwrap();
    pending.wait().unwrap();
    appended
}
