//! Whose rule files may be used: those that nobody but their owner can change.
//!
//! A rule file runs programs as the account. So it must belong to the account or to root, and neither it nor the folder that it
//! is in may be writable for everybody.

use std::fs;
use std::io;
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
    if path == Path::new("/dev/null") {
        return Ok(());
    }
    let Ok(meta) = fs::metadata(path) else { return Ok(()) };
    if meta.uid() != uid && meta.uid() != 0 {
        return Err(Distrust::Owner(meta.uid()));
    }
    if meta.mode() & OTHERS_WRITE != 0 {
        return Err(Distrust::WorldWritable);
    }
    match folder(path) {
        Ok(folder) if folder.mode() & STICKY == 0 && folder.mode() & OTHERS_WRITE_AND_ENTER == OTHERS_WRITE_AND_ENTER => {
            Err(Distrust::FolderWritable)
        }
        _ => Ok(()),
    }
}

/// Checks a rule file that may belong to any of these users.
///
/// # Errors
/// The reason not to use it, seen from the first of them.
pub fn check_any(path: &Path, uids: &[u32]) -> Result<(), Distrust> {
    let mut checks = uids.iter().map(|uid| check(path, *uid));
    let first = checks.next().unwrap_or_else(|| check(path, 0));
    first.or_else(|distrust| if checks.any(|check| check.is_ok()) { Ok(()) } else { Err(distrust) })
}

fn folder(path: &Path) -> io::Result<fs::Metadata> {
    path.parent().map_or_else(|| Err(io::ErrorKind::NotFound.into()), fs::metadata)
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
        }
    }
}
