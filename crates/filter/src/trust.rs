//! Whose rule files may be used: those that nobody but their owner can change.
//!
//! A rule file runs programs as the account. So it must belong to the account or to root, and neither it nor the folder that it
//! is in may be writable for everybody.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why a rule file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It belongs to somebody else.
    #[error("belongs to user {0}, not to the account or root")]
    Owner(u32),
    /// Everybody may write to it.
    #[error("is writable for everybody")]
    WorldWritable,
    /// Everybody may replace it.
    #[error("is in a folder that is writable for everybody")]
    FolderWritable,
}

const OTHERS_WRITE: u32 = 0o002;
const OTHERS_WRITE_AND_ENTER: u32 = 0o003;
const STICKY: u32 = 0o1000;

/// Checks a rule file of the user `uid`. What is not there is not distrusted; `/dev/null` never is.
///
/// # Errors
/// The reason not to use it.
pub fn check(path: &Path, uid: u32) -> Result<(), Distrust> {
    check_any(path, &[uid])
}

/// Checks a rule file that may belong to any of these users, or to root.
///
/// # Errors
/// The reason not to use it.
pub fn check_any(path: &Path, uids: &[u32]) -> Result<(), Distrust> {
    if path == Path::new("/dev/null") {
        return Ok(());
    }
    let Ok(file) = fs::metadata(path) else { return Ok(()) };
    judge(&file, uids, || path.parent().and_then(|folder| fs::metadata(folder).ok()))
}

/// Checks a rule file that somebody has just looked at, with the folder that it is in if that can be looked at.
///
/// # Errors
/// The reason not to use it.
pub fn judge(file: &Metadata, uids: &[u32], folder: impl FnOnce() -> Option<Metadata>) -> Result<(), Distrust> {
    if file.uid() != 0 && !uids.contains(&file.uid()) {
        return Err(Distrust::Owner(file.uid()));
    }
    if file.mode() & OTHERS_WRITE != 0 {
        return Err(Distrust::WorldWritable);
    }
    let writable = |mode: u32| mode & STICKY == 0 && mode & OTHERS_WRITE_AND_ENTER == OTHERS_WRITE_AND_ENTER;
    if folder().is_some_and(|folder| writable(folder.mode())) { Err(Distrust::FolderWritable) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_can_change_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rc");
        fs::write(&file, "").unwrap();
        let own = fs::metadata(&file).unwrap().uid();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&file, 0o644);
        assert_eq!(check(&file, own), Ok(()));
        mode(&file, 0o646);
        assert_eq!(check(&file, own), Err(Distrust::WorldWritable));
        mode(&file, 0o600);
        mode(folder.path(), 0o777);
        assert_eq!(check(&file, own), Err(Distrust::FolderWritable));
        mode(folder.path(), 0o1777);
        assert_eq!(check(&file, own), Ok(()));
        if own != 0 {
            assert_eq!(check(&file, own + 1), Err(Distrust::Owner(own)));
            assert_eq!(check_any(&file, &[own + 1, own]), Ok(()));
        }
    }
}
