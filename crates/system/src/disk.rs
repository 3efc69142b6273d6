//! What the storage crates ask of a file system, in POSIX's terms and with POSIX's weak promises: data is durable after
//! [`File::sync`], a name after [`Disk::sync_dir`] of its folder, both after [`Disk::sync_all`].

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::path::Path;

/// How [`Disk::open`] treats a file that is there or missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// It must be there; read only.
    Read,
    /// It must be there; read and write.
    Write,
    /// It must not be there; made with mode 0600.
    New,
    /// Opened for read and write, made with mode 0600 if missing.
    Missing,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, device, socket or FIFO.
    Other,
}

/// What `stat` says of a file or folder; symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// File, folder or other.
    pub kind: Kind,
    /// Size in octets.
    pub size: u64,
    /// Last change of content, nanoseconds since 1970.
    pub modified: i64,
    /// Last change of the inode, nanoseconds since 1970.
    pub changed: i64,
    /// Inode number.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
    /// Owner.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// One name in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The name without its folder.
    pub name: &'a OsStr,
    /// What it stands for, as the folder says, `Other` if the folder does not tell.
    pub kind: Kind,
}

/// A file system. Paths are absolute.
pub trait Disk: Send + Sync + Debug {
    /// Opens a regular file, never following into a device or FIFO.
    ///
    /// # Errors
    /// As `open(2)`; `AlreadyExists` for [`Create::New`], `InvalidInput` if it is no regular file.
    fn open(&self, path: &Path, create: Create) -> io::Result<Box<dyn File>>;

    /// What a path stands for.
    ///
    /// # Errors
    /// As `stat(2)`.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Calls `each` for every name in a folder but `.` and `..`, in no order.
    ///
    /// # Errors
    /// As `readdir(3)`.
    fn list(&self, folder: &Path, each: &mut dyn FnMut(Entry<'_>)) -> io::Result<()>;

    /// Renames, replacing what `to` was. Atomic also over a power cut: the file has at least one of its names.
    ///
    /// # Errors
    /// As `rename(2)`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file one more name.
    ///
    /// # Errors
    /// As `link(2)`; `AlreadyExists` if `to` is there.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// As `unlink(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder with mode 0700.
    ///
    /// # Errors
    /// As `mkdir(2)`.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As `rmdir(2)`.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;

    /// Makes everything on the file system that holds `path` durable (`syncfs(2)`).
    ///
    /// # Errors
    /// As `syncfs(2)`.
    fn sync_all(&self, path: &Path) -> io::Result<()>;

    /// A number that is the same as long as nothing written can have been lost for want of a sync: the machine's boot. It
    /// tells a restart of the process from one of the machine. `None` if that is not known.
    fn boot(&self) -> Option<u128> {
        None
    }
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// Reads into `buffer` at `offset`; gives the number of octets, 0 at the end.
    ///
    /// # Errors
    /// As `pread(2)`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `octets` at `offset`.
    ///
    /// # Errors
    /// As `pwrite(2)`; `StorageFull` if the disk is.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()>;

    /// What `fstat` says of it.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn stat(&self) -> io::Result<Stat>;

    /// The file's size in octets.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn size(&self) -> io::Result<u64> {
        Ok(self.stat()?.size)
    }

    /// Sets the time of last change, in seconds since 1970: Maildir keeps INTERNALDATE there.
    ///
    /// # Errors
    /// As `futimens(2)`.
    fn set_modified(&self, seconds: i64) -> io::Result<()>;

    /// Cuts or extends with zeros.
    ///
    /// # Errors
    /// As `ftruncate(2)`.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Reserves room for `size` octets and makes the file that long.
    ///
    /// # Errors
    /// As `fallocate(2)`; `StorageFull` if there is no room.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// Makes the content and size durable (`fdatasync(2)`).
    ///
    /// # Errors
    /// As `fdatasync(2)`; after an error nothing is known of what was written since the last success.
    fn sync(&self) -> io::Result<()>;

    /// Reads the whole file, at most `limit` octets.
    ///
    /// # Errors
    /// As `pread(2)`; `FileTooLarge` beyond `limit`.
    fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        let size = self.size()?;
        if size > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut octets = vec![0; usize::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?];
        let mut filled = 0;
        while filled < octets.len() {
            match self.read_at(&mut octets[filled..], filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        octets.truncate(filled);
        Ok(octets)
    }
}
