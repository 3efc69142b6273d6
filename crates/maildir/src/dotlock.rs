//! Lock files beside the file that they lock, as Dovecot makes them: `dovecot-uidlist.lock` and so on.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use system::{Clock, Create, Disk};

use crate::error::{At, Error, Result};
use crate::validity::Reserve;

/// Dovecot takes a lock that nobody touched for so long as left over by a crash; so do we.
const STALE: Duration = Duration::from_secs(120);

/// The clock and the time since the machine was started are read one after the other, and in steps.
const BLUR: i64 = 100_000;

/// A process that runs for `/proc` counts in these, microseconds (`USER_HZ`, proc(5)).
const TICK: i64 = 10_000;

/// Makes lock files in one Maildir.
///
/// A lock file is a further name of one file under `tmp` that says who we are: giving and taking a name is cheaper than
/// making and removing a file, which for every delivery would cost more than the delivery.
///
/// Clones know of each other's locks, so that a lock file with our own process id that none of them holds was left over by an
/// earlier life.
#[derive(Clone, Debug)]
pub struct Locks {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    patience: Duration,
    owner: PathBuf,
    held: Arc<Held>,
    /// Numbers for UIDVALIDITY that are written down as given away.
    pub(crate) reserve: Arc<Mutex<Reserve>>,
}

/// The lock files that this process holds in one Maildir.
#[derive(Debug, Default)]
struct Held {
    paths: Mutex<HashSet<PathBuf>>,
    released: Condvar,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread holds the lock, and notes that this one does.
    fn enter(&self, path: &Path) {
        let mut paths = self.lock();
        while !paths.insert(path.to_owned()) {
            paths = self.released.wait(paths).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn leave(&self, path: &Path) {
        self.lock().remove(path);
        self.released.notify_all();
    }
}

impl Locks {
    /// Locks for the Maildir at `root`. `patience` is how long to wait for another program.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, root: &Path, patience: Duration) -> Self {
        let owner = root.join("tmp").join(format!("{}.pillarbox.lock", std::process::id()));
        Self { disk, clock, patience, owner, held: Arc::default(), reserve: Arc::default() }
    }

    /// The disk that is locked.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The time of day.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Locks `path` by making `path.lock`.
    ///
    /// # Errors
    /// [`Error::Locked`] if another program keeps it, or the disk's errors.
    pub fn take(&self, path: &Path) -> Result<DotLock<'_>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        self.held.enter(&lock);
        let taken = self.take_from_others(&lock);
        if taken.is_err() {
            self.held.leave(&lock);
        }
        taken.map(|()| DotLock { locks: self, path: lock })
    }

    /// Makes the lock file, once no other program has it.
    fn take_from_others(&self, lock: &Path) -> Result<()> {
        let mut deadline = None;
        loop {
            match self.make(lock) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at(lock),
            }
            if self.is_left_over(lock) {
                tracing::warn!(path = %lock.display(), "removing a lock that a crash left over");
                remove(&*self.disk, lock)?;
            } else if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + self.patience) {
                return Err(Error::Locked(lock.to_owned()));
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn make(&self, lock: &Path) -> io::Result<()> {
        match self.disk.link(&self.owner, lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied | io::ErrorKind::CrossesDevices) =>
            {
                return self.disk.open(lock, Create::New)?.write_at(owner().as_bytes(), 0);
            }
            other => return other,
        }
        // The first lock, or somebody has cleaned up.
        let file = self.disk.open(&self.owner, Create::Missing)?;
        file.set_size(0)?;
        file.write_at(owner().as_bytes(), 0)?;
        self.disk.link(&self.owner, lock)
    }

    /// Whether the lock's owner is gone: a dead process of this machine, we in an earlier life, or nobody for two minutes.
    /// A process that was started after the lock was made only has the number of the dead one.
    fn is_left_over(&self, lock: &Path) -> bool {
        let Ok(stat) = self.disk.stat(lock) else { return false };
        let now = i64::try_from(self.clock.micros()).unwrap_or(i64::MAX);
        let made = stat.modified.max(stat.changed) / 1_000;
        if now.saturating_sub(made) > STALE.as_micros() as i64 {
            return true;
        }
        let content = self.disk.open(lock, Create::Read).and_then(|file| file.read_all(300)).unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        let Some((pid, at)) = content.trim().split_once(':') else { return false };
        let Ok(pid) = pid.parse::<u32>() else { return false };
        at == host() && (pid == std::process::id() || age(pid).is_none_or(|age| now.saturating_sub(age) > made.saturating_add(BLUR)))
    }
}

/// A lock file of ours; dropped, it is removed.
#[derive(Debug)]
pub struct DotLock<'a> {
    locks: &'a Locks,
    path: PathBuf,
}

impl Drop for DotLock<'_> {
    fn drop(&mut self) {
        if let Err(error) = remove(self.locks.disk(), &self.path) {
            tracing::warn!(%error, "cannot remove a lock file");
        }
        self.locks.held.leave(&self.path);
    }
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at(path),
    }
}

/// What Dovecot writes into its lock files too: process id and host.
fn owner() -> String {
    format!("{}:{}", std::process::id(), host())
}

/// For how long a process runs, in microseconds; `None` if there is none. One whose age cannot be told is as old as the
/// machine.
fn age(pid: u32) -> Option<i64> {
    let stat = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(_) => String::new(),
    };
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let up = uptime.split_once(' ').and_then(|(seconds, _)| seconds.parse::<f64>().ok()).map(|seconds| (seconds * 1e6) as i64);
    // The second field is the name in parentheses and may have anything in it; the start is the twenty-second.
    let started = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse::<i64>().ok());
    Some(up.unwrap_or(i64::MAX).saturating_sub(started.unwrap_or(0).saturating_mul(TICK)))
}

fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use system::{FixedClock, HostDisk, SystemClock};

    fn check(content: Option<&str>, clock: Arc<dyn Clock>, taken: bool) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let path = folder.path().join("dovecot-uidlist");
        let lock = folder.path().join("dovecot-uidlist.lock");
        if let Some(content) = content {
            std::fs::write(&lock, content).unwrap();
        }
        let locks = Locks::new(Arc::new(HostDisk), clock, folder.path(), Duration::ZERO);
        for _ in 0..2 {
            let result = locks.take(&path);
            assert_eq!(result.is_ok(), taken, "{content:?}");
            assert!(lock.exists());
            assert!(!taken || std::fs::read_to_string(&lock).unwrap() == owner());
            drop(result);
            assert_eq!(lock.exists(), !taken);
        }
    }

    #[test]
    fn threads_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let path = folder.path().join("count");
        std::fs::write(&path, "0").unwrap();
        let locks = Locks::new(Arc::new(HostDisk), Arc::new(SystemClock), folder.path(), Duration::ZERO);
        let count = || {
            for _ in 0..100 {
                let _lock = locks.take(&path).unwrap();
                let number: u32 = std::fs::read_to_string(&path).unwrap().parse().unwrap();
                std::fs::write(&path, (number + 1).to_string()).unwrap();
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(count))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "400");
    }

    #[test]
    fn a_lock_is_kept_by_the_living_and_broken_when_left_over() {
        let later = Arc::new(FixedClock::at(SystemClock.micros() + 121_000_000));
        let now = || Arc::new(SystemClock);
        check(None, now(), true);
        check(Some(&format!("1:{}", host())), now(), false);
        check(Some(&format!("4194999:{}", host())), now(), true);
        check(Some(&owner()), now(), true);
        check(Some("4194999:elsewhere"), now(), false);
        check(Some(""), now(), false);
        check(Some("4194999:elsewhere"), later, true);
        // As if this process had been started ten seconds after the lock was made.
        let mut young = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let owner = format!("{}:{}", young.id(), host());
        check(Some(&owner), now(), false);
        check(Some(&owner), Arc::new(FixedClock::at(SystemClock.micros() + 10_000_000)), true);
        young.kill().unwrap();
        young.wait().unwrap();
    }
}
