//! The one way to change a whole file so that a crash leaves the old one or the new one.

use std::io;
use std::path::Path;

use crate::disk::{Create, Disk};

/// Writes `octets` under a temporary name beside `path`, syncs, renames over `path` and syncs the folder.
///
/// A temporary file left by a crash is simply overwritten. Callers that may race hold their own lock.
///
/// # Errors
/// Those of the disk; `path` is then unchanged, but for a failed sync of the folder, after which either is there.
pub fn replace(disk: &dyn Disk, path: &Path, octets: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".tmp");
    let temporary = folder.join(name);
    let file = disk.open(&temporary, Create::Missing)?;
    file.set_size(0)?;
    file.write_at(octets, 0)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(folder)
}
