//! Watches files for changes: alias maps and certificates are read again, mailboxes that sessions have open look for what
//! other programs did to their Maildir.
//!
//! The kernel tells of folders. Which of our files are others now is seen by looking at them: an editor may write a file in
//! place or rename a new one over it, the path may be a link, and the folder may not be there yet.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use config::Config;
use notify::event::{AccessKind, AccessMode, EventKindMask, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::agent::Agent;
use crate::house::House;

/// Events come in bursts; this long is waited for the rest of one.
const BURST: Duration = Duration::from_millis(50);

/// The most mailbox folders that are watched. The kernel has a limit too; without a watch, a mailbox looks by itself now and then.
const MOST_FOLDERS: usize = 4096;

/// The most links that lead from one to the next, as the kernel has it.
const MOST_LINKS: usize = 40;

/// A mailbox whose folders are watched.
type Watched = (Weak<Agent>, String);

/// What tells a file from what it was before: device, inode, size, time of the last change (of its rights too) in seconds and nanoseconds.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// What happened since the last look.
#[derive(Debug, Default)]
struct Happened {
    paths: HashSet<PathBuf>,
    /// Folders that are watched and were themselves removed or renamed.
    gone: HashSet<PathBuf>,
    /// The kernel had more to tell than it could keep.
    more: bool,
}

/// What is watched, and what happened since the last look.
#[derive(Debug)]
pub(crate) struct Watcher {
    kernel: Mutex<Option<RecommendedWatcher>>,
    mailboxes: Mutex<HashMap<PathBuf, Watched>>,
    /// Folders that matter for the files of the configuration.
    folders: Mutex<HashSet<PathBuf>>,
    stamps: Mutex<HashMap<PathBuf, Stamp>>,
    happened: Arc<Mutex<Happened>>,
    stirred: Arc<Notify>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Remembers the files as they are now, when they have just been read. Nothing is watched yet.
    pub(crate) fn new(config: &Config) -> Self {
        let stamps = files(config).into_iter().map(|file| (file.clone(), stamp(&file))).collect();
        Self {
            kernel: Mutex::default(),
            mailboxes: Mutex::default(),
            folders: Mutex::default(),
            stamps: Mutex::new(stamps),
            happened: Arc::default(),
            stirred: Arc::default(),
        }
    }

    /// Begins to watch. Without inotify nothing is watched, and the log says so.
    fn start(&self) {
        let (happened, stirred) = (self.happened.clone(), self.stirred.clone());
        let tell = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if lock(&happened).add(event) {
                stirred.notify_one();
            }
        };
        // Reading is no change: to be told of every message that is opened would cost more than opening it.
        let kinds = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let watcher = RecommendedWatcher::new(tell, notify::Config::default().with_event_kinds(kinds));
        match watcher {
            Ok(watcher) => *lock(&self.kernel) = Some(watcher),
            Err(error) => tracing::warn!(%error, "changes of files are not watched; mailctl reload reads maps again"),
        }
    }

    fn watch(&self, folder: &Path) -> bool {
        let mut kernel = lock(&self.kernel);
        let Some(kernel) = kernel.as_mut() else { return false };
        let watched = kernel.watch(folder, RecursiveMode::NonRecursive);
        if let Err(error) = &watched {
            tracing::debug!(folder = %folder.display(), %error, "not watched");
        }
        watched.is_ok()
    }

    fn unwatch(&self, folder: &Path) {
        if let Some(kernel) = lock(&self.kernel).as_mut() {
            // The kernel may have ended it already.
            let _ = kernel.unwatch(folder);
        }
    }

    /// Watches the folders of all files that the configuration names, and those of the links on the way to them.
    pub(crate) fn arm(&self, config: &Config) {
        let wanted: HashSet<PathBuf> = files(config).iter().flat_map(|file| steps(file)).filter_map(|step| nearest_folder(&step)).collect();
        let mut folders = lock(&self.folders);
        for old in folders.extract_if(|folder| !wanted.contains(folder)) {
            if !lock(&self.mailboxes).contains_key(&old) {
                self.unwatch(&old);
            }
        }
        for new in wanted {
            if !folders.contains(&new) && self.watch(&new) {
                folders.insert(new);
            }
        }
    }

    /// Watches the folder of a mailbox on behalf of its agent.
    pub(crate) fn watch_mailbox(&self, agent: &Arc<Agent>, mailbox: &str, folder: &Path) {
        for sub in ["new", "cur"] {
            let path = folder.join(sub);
            let mut mailboxes = lock(&self.mailboxes);
            let known = mailboxes.get(&path).is_some_and(|(agent, _)| agent.strong_count() > 0);
            if known || mailboxes.len() >= MOST_FOLDERS {
                continue;
            }
            mailboxes.insert(path.clone(), (Arc::downgrade(agent), mailbox.to_owned()));
            drop(mailboxes);
            if !self.watch(&path) {
                lock(&self.mailboxes).remove(&path);
            }
        }
    }

    /// Watches no longer what belongs to agents that were closed.
    pub(crate) fn tidy(&self) {
        let closed: Vec<PathBuf> =
            lock(&self.mailboxes).extract_if(|_, (agent, _)| agent.strong_count() == 0).map(|(path, _)| path).collect();
        closed.iter().for_each(|path| self.unwatch(path));
    }

    /// What was removed or renamed is another folder when it comes back, and has to be watched anew.
    fn forget(&self, gone: &HashSet<PathBuf>) {
        for path in gone {
            let known = lock(&self.mailboxes).remove(path).is_some() | lock(&self.folders).remove(path);
            if known {
                self.unwatch(path);
            }
        }
    }

    /// The mailboxes that something happened in.
    fn stirred_mailboxes(&self, happened: &Happened) -> Vec<(Arc<Agent>, String)> {
        let mailboxes = lock(&self.mailboxes);
        let touched: HashSet<&Path> = happened.paths.iter().filter_map(|path| path.parent()).collect();
        let stirred = mailboxes.iter().filter(|(path, _)| happened.more || touched.contains(path.as_path()));
        stirred.filter_map(|(_, (agent, mailbox))| Some((agent.upgrade()?, mailbox.clone()))).collect()
    }

    /// The files that are others than at the last look.
    fn changed(&self, config: &Config) -> HashSet<PathBuf> {
        let now: HashMap<PathBuf, Stamp> = files(config).into_iter().map(|file| (file.clone(), stamp(&file))).collect();
        let before = std::mem::replace(&mut *lock(&self.stamps), now.clone());
        now.into_iter().filter(|(file, stamp)| before.get(file) != Some(stamp)).map(|(file, _)| file).collect()
    }
}

impl Happened {
    /// Takes an event in; says whether it matters.
    fn add(&mut self, event: notify::Event) -> bool {
        match event.kind {
            // Reading is no change, and a writer is done when it closes the file: half a map would be a wrong one.
            EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return event.need_rescan(),
            EventKind::Modify(ModifyKind::Data(_)) => return event.need_rescan(),
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => self.gone.extend(event.paths.iter().cloned()),
            _ => {}
        }
        self.more |= event.need_rescan();
        self.paths.extend(event.paths);
        true
    }
}

fn stamp(file: &Path) -> Stamp {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()))
}

/// The file's path, and those that the links on the way lead to.
fn steps(file: &Path) -> Vec<PathBuf> {
    let mut steps = vec![file.to_owned()];
    while let Some(last) = steps.last().filter(|_| steps.len() < MOST_LINKS)
        && let Ok(target) = std::fs::read_link(last)
    {
        let target = last.parent().unwrap_or(Path::new("/")).join(target);
        steps.push(target);
    }
    steps
}

/// The folder that a path is in, or the nearest one above it that is there.
fn nearest_folder(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned)
}

/// The files that are read again when they change.
fn files(config: &Config) -> Vec<PathBuf> {
    let mut files = crate::maps::files(config);
    files.extend([config.server.tls_certificate.clone(), config.server.tls_key.clone()]);
    files.retain(|file| !file.as_os_str().is_empty());
    files
}

/// Acts on what happens until the task is dropped.
pub(crate) async fn run(house: Arc<House>) {
    let first = house.clone();
    let started = tokio::task::spawn_blocking(move || {
        first.watcher.start();
        // Something may have changed since it was read.
        act(&first, &Happened { more: true, ..Happened::default() });
    });
    if started.await.is_err() {
        tracing::error!("files are not watched");
    }
    loop {
        house.watcher.stirred.notified().await;
        tokio::time::sleep(BURST).await;
        let happened = std::mem::take(&mut *lock(&house.watcher.happened));
        let house = house.clone();
        if tokio::task::spawn_blocking(move || act(&house, &happened)).await.is_err() {
            tracing::error!("acting on a change of a file failed");
        }
    }
}

fn act(house: &House, happened: &Happened) {
    let watcher = &house.watcher;
    for (agent, mailbox) in watcher.stirred_mailboxes(happened) {
        agent.look(&mailbox);
    }
    watcher.forget(&happened.gone);
    let in_mailboxes = |path: &PathBuf| path.parent().is_some_and(|folder| lock(&watcher.mailboxes).contains_key(folder));
    if !happened.more && happened.paths.iter().all(in_mailboxes) {
        return;
    }
    let config = house.config();
    watcher.arm(&config);
    let changed = watcher.changed(&config);
    if crate::maps::files(&config).iter().any(|file| changed.contains(file)) {
        match house.maps.reload(&config) {
            Ok(()) => tracing::info!("alias maps read again"),
            Err(problems) => tracing::error!("alias maps keep their last good state:\n{}", problems.join("\n")),
        }
    }
    if changed.contains(&config.server.tls_certificate) || changed.contains(&config.server.tls_key) {
        match house.tls.load(&config.server) {
            Ok(()) => tracing::info!("certificate read again"),
            Err(error) => tracing::error!(%error, "the old certificate stays in force"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn config(map: &Path) -> Config {
        let mut config = Config::default();
        config.alias.maps = vec![format!("hash:{}", map.display())];
        config
    }

    #[test]
    fn a_file_is_another_however_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let config = config(&path("link"));
        let watcher = Watcher::new(&config);
        let check = |expected: bool, what: &str| assert_eq!(!watcher.changed(&config).is_empty(), expected, "{what}");
        std::fs::write(path("one"), "a\n").unwrap();
        symlink("one", path("link")).unwrap();
        check(true, "it is there now");
        check(false, "nothing happened");
        std::fs::write(path("one"), "a b\n").unwrap();
        check(true, "written in place behind a link");
        std::fs::write(path("two"), "a b\n").unwrap();
        std::fs::rename(path("two"), path("one")).unwrap();
        check(true, "renamed over it");
        std::fs::write(path("three"), "a b\n").unwrap();
        std::fs::remove_file(path("link")).unwrap();
        symlink("three", path("link")).unwrap();
        check(true, "the link leads elsewhere");
        std::fs::remove_file(path("three")).unwrap();
        check(true, "it is gone");
    }

    #[test]
    fn folders_of_links_and_folders_to_come_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("real")).unwrap();
        symlink("real/map", path("map")).unwrap();
        let found: Vec<_> = steps(&path("map")).iter().filter_map(|step| nearest_folder(step)).collect();
        assert_eq!(found, [folder.path().to_owned(), path("real")]);
        assert_eq!(nearest_folder(&path("to/come/map")), Some(folder.path().to_owned()));
        symlink("round", path("round")).unwrap();
        assert_eq!(steps(&path("round")).len(), MOST_LINKS);
    }
}
