//! Lock files: made with a name that must not be there, so that one process alone succeeds.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use crate::host::Lock;

/// Permission bits of a lock file.
const MODE: u32 = 0o444;

/// Tries to make a lock file.
pub(crate) fn take(path: &Path) -> Lock {
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Ok(mut file) => {
            // What is in it does not matter: it is there.
            let _ = file.write_all(b"0");
            Lock::Taken
        }
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists => held(path),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Lock::Later
            }
            _ => Lock::Never,
        },
    }
}

fn held(path: &Path) -> Lock {
    match fs::symlink_metadata(path) {
        Ok(meta) => Lock::Held { since: meta.modified().unwrap_or_else(|_| SystemTime::now()), size: meta.len() },
        // Gone in the meantime.
        Err(_) => Lock::Held { since: SystemTime::now(), size: 0 },
    }
}

/// Takes a lock file away; false if that failed.
pub(crate) fn release(path: &Path) -> bool {
    fs::remove_file(path).is_ok()
}
