//! What is in a folder: the messages in `new` and `cur`, and what a crash left in `tmp`.

use std::io;
use std::path::Path;
use std::time::Duration;

use system::{Clock, Disk, Kind};

use crate::error::{At, Result};
use crate::name;

/// In which of the two a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `new`: no session has been told of it yet.
    New,
    /// `cur`
    Cur,
}

impl Place {
    /// The folder's name.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Cur => "cur",
        }
    }
}

/// Calls `each` with every file name in `new` or `cur` that can be a message. A folder that is missing has none.
///
/// # Errors
/// Those of the disk.
pub fn messages(disk: &dyn Disk, folder: &Path, place: Place, each: &mut dyn FnMut(&[u8])) -> Result<()> {
    let path = folder.join(place.folder());
    let mut alien = 0;
    let listed = disk.list(&path, &mut |entry| {
        let file = || disk.stat(&path.join(entry.name)).is_ok_and(|stat| stat.kind == Kind::File);
        let name = entry.name.as_encoded_bytes();
        if name::is_message(name) && (entry.kind == Kind::File || entry.kind == Kind::Other && file()) {
            each(name);
        } else {
            alien += usize::from(!name.starts_with(b"."));
        }
    });
    if alien > 0 {
        tracing::debug!(folder = %path.display(), count = alien, "names that are no messages are left alone");
    }
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at(&path),
    }
}

/// When `new` or `cur` last changed, nanoseconds since 1970; 0 if it is missing.
///
/// # Errors
/// Those of the disk.
pub fn modified(disk: &dyn Disk, folder: &Path, place: Place) -> Result<i64> {
    let path = folder.join(place.folder());
    match disk.stat(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        other => other.map(|stat| stat.modified).at(&path),
    }
}

/// Removes files from `tmp` that nobody has touched for `age`, and says how many.
///
/// # Errors
/// Those of the disk.
pub fn clean_tmp(disk: &dyn Disk, clock: &dyn Clock, folder: &Path, age: Duration) -> Result<usize> {
    let path = folder.join("tmp");
    let mut names = Vec::new();
    match disk.list(&path, &mut |entry| names.push(path.join(entry.name))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.at(&path)?,
    }
    let limit = i64::try_from(u128::from(clock.micros()) * 1_000).unwrap_or(i64::MAX).saturating_sub(age.as_nanos() as i64);
    let old = |file: &&std::path::PathBuf| disk.stat(file).is_ok_and(|s| s.kind == Kind::File && s.modified.max(s.changed) < limit);
    let removed = names.iter().filter(old).filter(|file| disk.remove(file).is_ok()).count();
    if removed > 0 {
        tracing::info!(folder = %path.display(), count = removed, "removed files that were never delivered");
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use system::{FixedClock, HostDisk, SystemClock};

    #[test]
    fn only_regular_files_with_fit_names_are_messages() {
        let folder = tempfile::tempdir().unwrap();
        let cur = folder.path().join("cur");
        assert!(messages(&HostDisk, folder.path(), Place::Cur, &mut |_| panic!("no folder, no message")).is_ok());
        std::fs::create_dir_all(cur.join("folder")).unwrap();
        for name in [".hidden", "a:2,S", "b", "with\nnewline", ":2,"] {
            std::fs::write(cur.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(cur.join("b"), cur.join("link")).unwrap();
        std::os::unix::fs::symlink("/nowhere", cur.join("dangling")).unwrap();
        let mut names = Vec::new();
        messages(&HostDisk, folder.path(), Place::Cur, &mut |name| names.push(String::from_utf8_lossy(name).into_owned())).unwrap();
        names.sort();
        assert_eq!(names, ["a:2,S", "b", "link"]);
    }

    #[test]
    fn only_old_files_leave_tmp() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        std::fs::write(folder.path().join("tmp/a"), "x").unwrap();
        let age = Duration::from_secs(36 * 3600);
        let clean = |clock: &dyn Clock| clean_tmp(&HostDisk, clock, folder.path(), age).unwrap();
        assert_eq!(clean(&SystemClock), 0);
        assert_eq!(clean(&FixedClock::at(SystemClock.micros() + 37 * 3_600_000_000)), 1);
    }
}
