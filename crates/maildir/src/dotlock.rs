//! Lock files beside the file that they lock, as Dovecot makes them: `dovecot-uidlist.lock` and so on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use system::{Clock, Create, Disk};

use crate::error::{At, Error, Result};

/// Dovecot takes a lock that nobody touched for so long as left over by a crash; so do we.
const STALE: Duration = Duration::from_secs(120);

/// A lock file of ours; dropped, it is removed.
///
/// Within this process callers keep each other out by their own locks, so a lock with our own process id in it
/// was left over by an earlier life.
#[derive(Debug)]
pub struct DotLock<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
}

impl<'a> DotLock<'a> {
    /// Locks `path` by making `path.lock`, waiting for at most `patience`.
    ///
    /// # Errors
    /// [`Error::Locked`] if another program keeps it, or the disk's errors.
    pub fn take(disk: &'a dyn Disk, clock: &dyn Clock, path: &Path, patience: Duration) -> Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let mut deadline = None;
        loop {
            match disk.open(&lock, Create::New) {
                Ok(file) => {
                    let taken = Self { disk, path: lock };
                    file.write_at(owner().as_bytes(), 0).at(&taken.path)?;
                    return Ok(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at(&lock),
            }
            if is_left_over(disk, clock, &lock) {
                tracing::warn!(path = %lock.display(), "removing a lock that a crash left over");
                remove(disk, &lock)?;
            } else if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + patience) {
                return Err(Error::Locked(lock));
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

impl Drop for DotLock<'_> {
    fn drop(&mut self) {
        if let Err(error) = remove(self.disk, &self.path) {
            tracing::warn!(%error, "cannot remove a lock file");
        }
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

fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default())
}

/// Whether the lock's owner is gone: a dead process of this machine, we in an earlier life, or nobody for two minutes.
fn is_left_over(disk: &dyn Disk, clock: &dyn Clock, lock: &Path) -> bool {
    let Ok(stat) = disk.stat(lock) else { return false };
    let now = i64::try_from(clock.micros()).unwrap_or(i64::MAX).saturating_mul(1_000);
    if now.saturating_sub(stat.modified.max(stat.changed)) > STALE.as_nanos() as i64 {
        return true;
    }
    let content = disk.open(lock, Create::Read).and_then(|file| file.read_all(300)).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let Some((pid, at)) = content.trim().split_once(':') else { return false };
    let Ok(pid) = pid.parse::<u32>() else { return false };
    at == host() && (pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use system::{FixedClock, HostDisk, SystemClock};

    fn check(content: Option<&str>, clock: &dyn Clock, taken: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dovecot-uidlist");
        let lock = folder.path().join("dovecot-uidlist.lock");
        if let Some(content) = content {
            std::fs::write(&lock, content).unwrap();
        }
        let result = DotLock::take(&HostDisk, clock, &path, Duration::ZERO);
        assert_eq!(result.is_ok(), taken, "{content:?}");
        drop(result);
        assert_eq!(lock.exists(), !taken);
    }

    #[test]
    fn a_lock_is_kept_by_the_living_and_broken_when_left_over() {
        let later = FixedClock::at(SystemClock.micros() + 121_000_000);
        check(None, &SystemClock, true);
        check(Some(&format!("1:{}", host())), &SystemClock, false);
        check(Some(&format!("4194999:{}", host())), &SystemClock, true);
        check(Some(&owner()), &SystemClock, true);
        check(Some("4194999:elsewhere"), &SystemClock, false);
        check(Some(""), &SystemClock, false);
        check(Some("4194999:elsewhere"), &later, true);
    }
}
