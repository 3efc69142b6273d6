//! Folders in the file system: mbox, MH, Maildir and plain folders of files, as procmail writes them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_OMIT, fcntl_lock, futimens};

use crate::host::{Folder, FolderKind, NotAFolder, Place, Text};

/// Permission bits of new files and folders before the mask.
const FILE_MODE: u32 = 0o667;
const FOLDER_MODE: u32 = 0o777;
/// How often a name that somebody else took is tried anew.
const TRIES: u32 = 64;

/// The name without the sign of its kind, and the kind: `x/` is a Maildir, `x/.` MH, all else an mbox or a folder of files.
pub(crate) fn split_kind(name: &[u8]) -> (&[u8], FolderKind) {
    let (mut base, kind) = match name {
        [] | [_] => return (name, FolderKind::Mbox),
        [first, b'/'] => return (std::slice::from_ref(first), FolderKind::Maildir),
        [_, _] => return (name, FolderKind::Mbox),
        [base @ .., b'/', b'.'] => (base, FolderKind::Mh),
        [base @ .., b'/'] => (base, FolderKind::Maildir),
        _ => return (name, FolderKind::Mbox),
    };
    while let [shorter @ .., b'/'] = base {
        if shorter.is_empty() {
            break;
        }
        base = shorter;
    }
    (base, kind)
}

/// Finds out what a folder is; makes folders of files that are not there.
pub(crate) fn open_folder(place: Place<'_>, wanted: FolderKind, only_folder: bool) -> Result<Folder, NotAFolder> {
    let new_file = Folder { kind: FolderKind::Mbox, mode: FILE_MODE & !place.umask };
    if wanted == FolderKind::Mbox && !only_folder {
        if place.name == b"/dev/null" {
            return Ok(new_file);
        }
        let found = place.path().and_then(fs::metadata);
        return Ok(match found {
            Ok(meta) if meta.is_dir() => Folder { kind: FolderKind::Directory, mode: meta.mode() },
            Ok(meta) => Folder { kind: FolderKind::Mbox, mode: meta.mode() },
            Err(_) => new_file,
        });
    }
    let kind = if wanted == FolderKind::Mbox { FolderKind::Directory } else { wanted };
    let blocked = |name: &[u8], file| NotAFolder { name: name.to_vec(), file };
    match make_folder(place, b"") {
        Some(meta) if meta.is_dir() => {
            if kind == FolderKind::Maildir {
                for part in [b"/new", b"/cur", b"/tmp"] {
                    if !make_folder(place, part).is_some_and(|meta| meta.is_dir()) {
                        return Err(blocked(&[place.name, part].concat(), None));
                    }
                }
            }
            Ok(Folder { kind, mode: meta.mode() })
        }
        Some(_) if only_folder => Err(blocked(place.name, None)),
        Some(meta) => Err(blocked(place.name, Some(meta.mode()))),
        None if only_folder => Err(blocked(place.name, None)),
        None => Err(blocked(place.name, Some(new_file.mode))),
    }
}

fn make_folder(place: Place<'_>, part: &[u8]) -> Option<fs::Metadata> {
    let path = crate::host::path(place.folder, &[place.name, part].concat()).ok().filter(|_| !place.name.is_empty())?;
    if let Err(error) = fs::metadata(&path) {
        if error.kind() != io::ErrorKind::NotFound {
            return None;
        }
        let mode = FOLDER_MODE & !place.umask;
        if DirBuilder::new().mode(mode).create(&path).is_ok() {
            force_mode(&path, mode);
        }
    }
    fs::metadata(&path).ok()
}

/// Sets the permission bits that the mask of this process may have taken away.
fn force_mode(path: &Path, mode: u32) {
    if fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o7777 & mode != mode) {
        // It stays stricter than was asked for: no harm.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    }
}

/// Appends to an mbox under a lock of the kernel; what was written of a text that does not fit is taken away again.
pub(crate) fn append(place: Place<'_>, text: &Text<'_>, lock_wait: Duration) -> Result<(), (io::Error, bool)> {
    let fail = |error| (error, false);
    let path = place.path().map_err(fail)?;
    let mode = FILE_MODE & !place.umask;
    let new = fs::symlink_metadata(&path).is_err();
    let mut file = OpenOptions::new().append(true).create(true).mode(mode).open(&path).map_err(fail)?;
    if new {
        force_mode(&path, mode);
    }
    lock(&file, lock_wait).map_err(fail)?;
    let before = file.seek(SeekFrom::End(0)).map_err(fail)?;
    let written = text.pieces.iter().try_for_each(|piece| file.write_all(piece)).and_then(|()| sync(&file));
    if let Err(error) = written {
        let truncated = file.set_len(before).is_ok();
        return Err((error, truncated));
    }
    mark_unread(&file);
    Ok(())
}

/// Devices and pipes cannot be synced, and need not be.
fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Mail programs take a mailbox for unread when it was changed after it was last read. A file made just now has the same time
/// for both; procmail waits a second, here the time of reading is put back by one.
fn mark_unread(file: &File) {
    let Ok(meta) = file.metadata() else { return };
    if meta.mtime() == meta.atime() && meta.is_file() {
        let last_access = Timespec { tv_sec: meta.mtime() - 1, tv_nsec: 0 };
        let times = Timestamps { last_access, last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT } };
        // Only a hint for others.
        let _ = futimens(file, &times);
    }
}

fn lock(file: &File, wait: Duration) -> io::Result<()> {
    let until = Instant::now() + wait;
    loop {
        match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            // What cannot be locked (a device, a file system without locks) is written to without.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOLCK | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::BADF) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A name that no other delivery has.
fn unique_name(hostname: &[u8]) -> Vec<u8> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = format!("{}.M{:06}P{}Q{count}.", now.as_secs(), now.subsec_micros(), std::process::id()).into_bytes();
    name.extend(hostname.iter().flat_map(|octet| match octet {
        b'/' => b"\\057".to_vec(),
        b':' => b"\\072".to_vec(),
        other => vec![*other],
    }));
    name
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    force_mode(path, mode);
    Ok(file)
}

fn write(file: &mut File, text: &Text<'_>) -> io::Result<()> {
    text.pieces.iter().try_for_each(|piece| file.write_all(piece)).and_then(|()| sync(file))
}

/// Puts a new file into a folder; gives the end of its name.
pub(crate) fn store(place: Place<'_>, kind: FolderKind, text: &Text<'_>, hostname: &[u8]) -> io::Result<Vec<u8>> {
    let mode = FILE_MODE & !place.umask;
    let part: &[u8] = if kind == FolderKind::Maildir { b"/tmp/" } else { b"/_" };
    let unique = unique_name(hostname);
    let temporary = crate::host::path(place.folder, &[place.name, part, &unique].concat())?;
    let mut file = create(&temporary, mode)?;
    let stored = write(&mut file, text).and_then(|()| name_file(&temporary, place, kind, text.prefix, hostname));
    // Under its final name or not at all.
    let removed = fs::remove_file(&temporary);
    stored.and_then(|name| removed.map(|()| name))
}

/// Gives a file a name in a folder.
pub(crate) fn name_file(file: &Path, place: Place<'_>, kind: FolderKind, prefix: &[u8], hostname: &[u8]) -> io::Result<Vec<u8>> {
    let mut number = if kind == FolderKind::Mh { highest(place)? } else { 0 };
    let inode = fs::metadata(file)?.ino();
    for attempt in 0..TRIES {
        let end = match kind {
            FolderKind::Maildir => [b"/new/", unique_name(hostname).as_slice()].concat(),
            FolderKind::Mh => {
                number += 1;
                format!("/{number}").into_bytes()
            }
            FolderKind::Mbox | FolderKind::Directory => {
                let again = if attempt == 0 { String::new() } else { format!("-{attempt}") };
                [b"/", prefix, radix64(inode).as_bytes(), again.as_bytes()].concat()
            }
        };
        let path = crate::host::path(place.folder, &[place.name, &end].concat())?;
        match fs::hard_link(file, path) {
            Ok(()) => return Ok(end),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The highest number that a file in an MH folder has.
fn highest(place: Place<'_>) -> io::Result<u64> {
    let numbers = fs::read_dir(place.path()?)?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let digits = name.as_bytes();
        if digits.iter().all(u8::is_ascii_digit) { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
    });
    Ok(numbers.max().unwrap_or(0))
}

fn radix64(mut number: u64) -> String {
    const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    let mut digits = String::new();
    while number > 0 {
        digits.push(char::from(DIGITS[(number & 63) as usize]));
        number >>= 6;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_at_the_end_of_a_name_says_the_kind() {
        use FolderKind::{Maildir, Mbox, Mh};
        for (name, base, kind) in [
            ("box", "box", Mbox),
            ("md/", "md", Maildir),
            ("md//", "md", Maildir),
            ("mh/.", "mh", Mh),
            ("a/./", "a/.", Maildir),
            ("x/", "x", Maildir),
            ("/", "/", Mbox),
            ("", "", Mbox),
            ("..", "..", Mbox),
        ] {
            assert_eq!(split_kind(name.as_bytes()), (base.as_bytes(), kind), "{name}");
        }
    }
}
