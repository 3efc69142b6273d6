//! The real disk.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, Timespec, Timestamps, UTIME_OMIT, fallocate, futimens, syncfs};

use crate::disk::{Create, Disk, Entry, File, Kind, Stat};

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostDisk;

/// Without this flag a FIFO somebody put in the way would block the opener for good.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

impl Disk for HostDisk {
    fn open(&self, path: &Path, create: Create) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600).custom_flags(NONBLOCK);
        match create {
            Create::Read => &mut options,
            Create::Write => options.write(true),
            Create::New => options.write(true).create_new(true),
            Create::Missing => options.write(true).create(true),
        };
        let file = options.open(path)?;
        // A file made a moment ago under a name that was free is regular: no need to ask.
        if create != Create::New && !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Box::new(HostFile(file)))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        Ok(stat(&fs::metadata(path)?))
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            each(Entry { name: &entry.file_name(), kind: entry.file_type().map_or(Kind::Other, kind) });
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        Ok(syncfs(fs::File::open(path)?)?)
    }

    fn boot(&self) -> Option<u128> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
    }
}

fn stat(meta: &fs::Metadata) -> Stat {
    let nanos = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    Stat {
        kind: kind(meta.file_type()),
        size: meta.len(),
        modified: nanos(meta.mtime(), meta.mtime_nsec()),
        changed: nanos(meta.ctime(), meta.ctime_nsec()),
        inode: meta.ino(),
        links: meta.nlink(),
        uid: meta.uid(),
        mode: meta.mode() & 0o7777,
    }
}

fn kind(file_type: fs::FileType) -> Kind {
    if file_type.is_file() {
        Kind::File
    } else if file_type.is_dir() {
        Kind::Folder
    } else {
        Kind::Other
    }
}

#[derive(Debug)]
struct HostFile(fs::File);

impl File for HostFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(octets, offset)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(stat(&self.0.metadata()?))
    }

    fn set_modified(&self, seconds: i64) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        Ok(futimens(&self.0, &times)?)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, size) {
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(size),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(HostDisk.open(&path, Create::Read).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_boot_does_not_change_while_the_machine_runs() {
        assert_eq!(HostDisk.boot(), HostDisk.boot());
    }
}
