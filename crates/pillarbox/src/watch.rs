//! Watches files for changes: alias maps and certificates are read again, mailboxes that sessions have open look for what
//! other programs did to their Maildir.
//!
//! The kernel tells of folders. Which of our files are others now is seen by looking at them: an editor may write a file in
//! place or rename a new one over it, the path may be a link, and the folder may not be there yet.

use std::collections::{HashMap, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use config::Config;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe;

use crate::agent::Agent;
use crate::house::House;

/// Events come in bursts; this long is waited for the rest of one. Nobody waits for the kernel meanwhile, so that our own
/// work in a busy mailbox does not wake a thread for each change.
const BURST: Duration = Duration::from_millis(50);

/// The most mailbox folders that are watched. The kernel has a limit too; without a watch, a mailbox looks by itself now and then.
const MOST_FOLDERS: usize = 4096;

/// The most links that lead from one to the next, as the kernel has it.
const MOST_LINKS: usize = 40;

/// Octets of events that are read at once.
const EVENTS: usize = 16 << 10;

/// What is told of a folder. Reading is no change, and a writer is done when it closes the file: half a map would be a wrong one.
const KINDS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// What tells that a folder is no longer where it was.
const LEFT: ReadFlags = ReadFlags::DELETE_SELF.union(ReadFlags::MOVE_SELF).union(ReadFlags::IGNORED).union(ReadFlags::UNMOUNT);

/// A mailbox whose folders are watched.
type Watched = (Weak<Agent>, String);

/// What tells a file from what it was before: device, inode, size, time of the last change (of its rights too) in seconds and nanoseconds.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// What happened since the last look, by the kernel's numbers of folders.
#[derive(Debug, Default)]
struct Happened {
    folders: HashSet<i32>,
    /// Those that were themselves removed or renamed.
    gone: HashSet<i32>,
    /// The kernel had more to tell than it could keep.
    more: bool,
}

/// The folders that are watched, with the kernel's numbers. Two paths may lead to one folder, which has one number.
#[derive(Debug, Default)]
struct Folders {
    mailboxes: HashMap<PathBuf, (i32, Watched)>,
    /// Those that matter for the files of the configuration.
    files: HashMap<PathBuf, i32>,
}

/// What is watched.
#[derive(Debug)]
pub(crate) struct Watcher {
    kernel: Option<OwnedFd>,
    folders: Mutex<Folders>,
    stamps: Mutex<HashMap<PathBuf, Stamp>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Remembers the files as they are now, when they have just been read. Nothing is watched yet; without inotify nothing
    /// ever is, and the log says so.
    pub(crate) fn new(config: &Config) -> Self {
        let stamps = files(config).into_iter().map(|file| (file.clone(), stamp(&file))).collect();
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        if let Err(error) = &kernel {
            tracing::warn!(%error, "changes of files are not watched; mailctl reload reads maps again");
        }
        Self { kernel: kernel.ok(), folders: Mutex::default(), stamps: Mutex::new(stamps) }
    }

    /// The kernel's number for a folder from now on.
    fn watch(&self, folder: &Path) -> Option<i32> {
        let watched = inotify::add_watch(self.kernel.as_ref()?, folder, KINDS);
        if let Err(error) = &watched {
            tracing::debug!(folder = %folder.display(), %error, "not watched");
        }
        watched.ok()
    }

    /// Ends a watch that no path needs any more.
    fn unwatch(&self, folders: &Folders, number: i32) {
        if let Some(kernel) = self.kernel.as_ref().filter(|_| !folders.numbers().any(|other| other == number)) {
            // The kernel may have ended it already.
            let _ = inotify::remove_watch(kernel, number);
        }
    }

    /// Watches the folders of all files that the configuration names, and those of the links on the way to them.
    pub(crate) fn arm(&self, config: &Config) {
        let wanted: HashSet<PathBuf> = files(config).iter().flat_map(|file| steps(file)).filter_map(|step| nearest_folder(&step)).collect();
        let mut folders = lock(&self.folders);
        let old: Vec<i32> = folders.files.extract_if(|folder, _| !wanted.contains(folder)).map(|(_, number)| number).collect();
        old.into_iter().for_each(|number| self.unwatch(&folders, number));
        for new in wanted {
            if !folders.files.contains_key(&new)
                && let Some(number) = self.watch(&new)
            {
                folders.files.insert(new, number);
            }
        }
    }

    /// Watches the folder of a mailbox on behalf of its agent.
    pub(crate) fn watch_mailbox(&self, agent: &Arc<Agent>, mailbox: &str, folder: &Path) {
        for sub in ["new", "cur"] {
            let path = folder.join(sub);
            let known = {
                let folders = lock(&self.folders);
                let known = folders.mailboxes.get(&path).is_some_and(|(_, (agent, _))| agent.strong_count() > 0);
                known || folders.mailboxes.len() >= MOST_FOLDERS
            };
            // Without the lock: a disk that hangs holds up its own account alone.
            if let Some(number) = Some(&path).filter(|_| !known).and_then(|path| self.watch(path)) {
                lock(&self.folders).mailboxes.insert(path, (number, (Arc::downgrade(agent), mailbox.to_owned())));
                // What was told before the number stood there was told to nobody.
                agent.look(mailbox);
            }
        }
    }

    /// Watches no longer what belongs to agents that were closed.
    pub(crate) fn tidy(&self) {
        let mut folders = lock(&self.folders);
        let closed: Vec<i32> =
            folders.mailboxes.extract_if(|_, (_, (agent, _))| agent.strong_count() == 0).map(|(_, (number, _))| number).collect();
        closed.into_iter().for_each(|number| self.unwatch(&folders, number));
    }

    /// What was removed or renamed is another folder when it comes back, and has to be watched anew.
    fn forget(&self, gone: &HashSet<i32>) {
        let mut folders = lock(&self.folders);
        folders.mailboxes.retain(|_, (number, _)| !gone.contains(number));
        folders.files.retain(|_, number| !gone.contains(number));
        gone.iter().for_each(|number| self.unwatch(&folders, *number));
    }

    /// The mailboxes that something happened in, and whether something happened elsewhere.
    fn stirred(&self, happened: &Happened) -> (Vec<(Arc<Agent>, String)>, bool) {
        let folders = lock(&self.folders);
        let touched = |number: &i32| happened.more || happened.folders.contains(number);
        let mailboxes = folders.mailboxes.values().filter(|(number, _)| touched(number));
        let stirred = mailboxes.filter_map(|(_, (agent, mailbox))| Some((agent.upgrade()?, mailbox.clone()))).collect();
        (stirred, happened.more || folders.files.values().any(touched))
    }

    /// Waits until the kernel has something to tell.
    async fn wait(&self) -> io::Result<()> {
        let Some(kernel) = &self.kernel else { return std::future::pending().await };
        // The runtime hears of it only while it waits here: with each change it would wake a thread otherwise. It waits for any
        // descriptor as it does for a pipe's, and has no other way without unsafe code.
        pipe::Receiver::from_owned_fd_unchecked(kernel.try_clone()?)?.readable().await
    }

    /// Takes all that the kernel has to tell.
    fn happened(&self) -> Happened {
        let mut happened = Happened::default();
        let Some(kernel) = &self.kernel else { return happened };
        let mut buffer = [const { MaybeUninit::uninit() }; EVENTS];
        let mut events = inotify::Reader::new(kernel, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => happened.add(event.wd(), event.events()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return happened,
                Err(error) => {
                    tracing::error!(%error, "cannot read what happened to files");
                    return Happened { more: true, ..happened };
                }
            }
        }
    }

    /// The files that are others than at the last look.
    fn changed(&self, config: &Config) -> HashSet<PathBuf> {
        let now: HashMap<PathBuf, Stamp> = files(config).into_iter().map(|file| (file.clone(), stamp(&file))).collect();
        let before = std::mem::replace(&mut *lock(&self.stamps), now.clone());
        now.into_iter().filter(|(file, stamp)| before.get(file) != Some(stamp)).map(|(file, _)| file).collect()
    }
}

impl Folders {
    /// The numbers of all folders, some twice.
    fn numbers(&self) -> impl Iterator<Item = i32> + '_ {
        self.mailboxes.values().map(|(number, _)| *number).chain(self.files.values().copied())
    }
}

impl Happened {
    /// Takes an event in.
    fn add(&mut self, folder: i32, events: ReadFlags) {
        self.more |= events.contains(ReadFlags::QUEUE_OVERFLOW);
        self.folders.insert(folder);
        if events.intersects(LEFT) {
            self.gone.insert(folder);
        }
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
    // Something may have changed since it was read.
    let mut happened = Happened { more: true, ..Happened::default() };
    loop {
        let acting = house.clone();
        if tokio::task::spawn_blocking(move || act(&acting, &happened)).await.is_err() {
            tracing::error!("acting on a change of a file failed");
        }
        if let Err(error) = house.watcher.wait().await {
            tracing::error!(%error, "changes of files are watched no longer");
            return;
        }
        tokio::time::sleep(BURST).await;
        happened = house.watcher.happened();
    }
}

fn act(house: &House, happened: &Happened) {
    let watcher = &house.watcher;
    let (mailboxes, elsewhere) = watcher.stirred(happened);
    mailboxes.iter().for_each(|(agent, mailbox)| agent.look(mailbox));
    watcher.forget(&happened.gone);
    if !elsewhere {
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
