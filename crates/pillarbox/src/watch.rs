//! Watches files for changes: alias maps and certificates are read again, mailboxes that sessions have open look for what
//! other programs did to their Maildir.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::agent::Agent;
use crate::house::House;

/// Events come in bursts; this long is waited for the rest of one.
const BURST: Duration = Duration::from_millis(50);

/// The most mailbox folders that are watched. The kernel has a limit too; without a watch, a mailbox looks by itself now and then.
const MOST_FOLDERS: usize = 4096;

/// A mailbox whose folders are watched.
type Watched = (Weak<Agent>, String);

/// What is watched, and what happened since the last look.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    kernel: Mutex<Option<RecommendedWatcher>>,
    folders: Mutex<HashMap<PathBuf, Watched>>,
    happened: Arc<Mutex<HashSet<PathBuf>>>,
    stirred: Arc<Notify>,
}

impl Watcher {
    /// Begins to watch. Without inotify nothing is watched, and the log says so.
    pub(crate) fn start(&self) {
        let (happened, stirred) = (self.happened.clone(), self.stirred.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Reading is no change; a writer is done when it closes the file.
            if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
                return;
            }
            happened.lock().unwrap_or_else(PoisonError::into_inner).extend(event.paths);
            stirred.notify_one();
        });
        match watcher {
            Ok(watcher) => *self.kernel.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher),
            Err(error) => tracing::warn!(%error, "changes of files are not watched; mailctl reload reads maps again"),
        }
    }

    fn watch(&self, folder: &Path) {
        let mut kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kernel) = kernel.as_mut() else { return };
        if let Err(error) = kernel.watch(folder, RecursiveMode::NonRecursive) {
            tracing::debug!(folder = %folder.display(), %error, "not watched");
        }
    }

    /// Watches the folder of a mailbox on behalf of its agent.
    pub(crate) fn watch_mailbox(&self, agent: &Arc<Agent>, mailbox: &str, folder: &Path) {
        for sub in ["new", "cur"] {
            let path = folder.join(sub);
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            let known = folders.get(&path).is_some_and(|(agent, _)| agent.strong_count() > 0);
            if known || folders.len() >= MOST_FOLDERS {
                continue;
            }
            folders.insert(path.clone(), (Arc::downgrade(agent), mailbox.to_owned()));
            drop(folders);
            self.watch(&path);
        }
    }

    fn mailboxes(&self, paths: &HashSet<PathBuf>) -> Vec<(Arc<Agent>, String)> {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let found: HashSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        let watched = found.into_iter().filter_map(|folder| folders.get(folder));
        watched.filter_map(|(agent, mailbox)| Some((agent.upgrade()?, mailbox.clone()))).collect()
    }
}

/// Acts on what happens until the task is dropped.
pub(crate) async fn run(house: Arc<House>) {
    let watcher = &house.watcher;
    watcher.start();
    for folder in files(&house).iter().filter_map(|file| file.parent()) {
        watcher.watch(folder);
    }
    loop {
        watcher.stirred.notified().await;
        tokio::time::sleep(BURST).await;
        let happened = std::mem::take(&mut *watcher.happened.lock().unwrap_or_else(PoisonError::into_inner));
        let house = house.clone();
        if tokio::task::spawn_blocking(move || act(&house, &happened)).await.is_err() {
            tracing::error!("acting on a change of a file failed");
        }
    }
}

/// The files that are read again when they change.
fn files(house: &House) -> Vec<PathBuf> {
    let config = house.config();
    let mut files = crate::maps::files(&config);
    files.extend([config.server.tls_certificate.clone(), config.server.tls_key.clone()]);
    files
}

fn act(house: &House, happened: &HashSet<PathBuf>) {
    for (agent, mailbox) in house.watcher.mailboxes(happened) {
        agent.look(&mailbox);
    }
    let config = house.config();
    if crate::maps::files(&config).iter().any(|file| happened.contains(file)) {
        match house.maps.reload(&config) {
            Ok(()) => tracing::info!("alias maps read again"),
            Err(problems) => tracing::error!("alias maps keep their last good state:\n{}", problems.join("\n")),
        }
    }
    if happened.contains(&config.server.tls_certificate) || happened.contains(&config.server.tls_key) {
        match house.tls.load(&config.server) {
            Ok(()) => tracing::info!("certificate read again"),
            Err(error) => tracing::error!(%error, "the old certificate stays in force"),
        }
    }
}
