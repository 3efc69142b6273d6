//! Putting a message into a folder: written under `tmp`, then renamed into `new` or `cur`, so that no reader ever sees
//! a part of it. Nothing is synced here: the journal holds the message until the disk has it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use system::{Create, Disk, File};

use crate::error::{At, Result};
use crate::name;
use crate::scan::Place;

/// How much is gathered before it is written.
const BUFFER: usize = 64 << 10;

/// Room for the usual message.
const USUAL: usize = 8 << 10;

/// A message being written into `tmp`. Dropped before it has its place, it is removed.
///
/// Line ends of two octets become LF, as Maildir programs expect.
#[derive(Debug)]
pub struct Incoming {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    path: PathBuf,
    unique: String,
    file: Box<dyn File>,
    buffer: Vec<u8>,
    written: u64,
    virtual_size: u64,
    last: u8,
    placed: bool,
}

impl Incoming {
    /// Begins a message in `folder/tmp` under its unique name ([`name::unique`]). What an earlier attempt left there is removed.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: Arc<dyn Disk>, folder: &Path, unique: &str) -> Result<Self> {
        let path = folder.join("tmp").join(unique);
        let file = match disk.open(&path, Create::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&path).at(&path)?;
                disk.open(&path, Create::New)
            }
            other => other,
        }
        .at(&path)?;
        let (folder, unique) = (folder.to_owned(), unique.to_owned());
        Ok(Self {
            disk,
            folder,
            path,
            unique,
            file,
            buffer: Vec::with_capacity(USUAL),
            written: 0,
            virtual_size: 0,
            last: 0,
            placed: false,
        })
    }

    /// More octets of the message.
    ///
    /// # Errors
    /// Those of the disk; the message is then to be dropped.
    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        let mut rest = octets;
        while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
            self.take(&rest[..at]);
            self.line_end(rest[at]);
            rest = &rest[at + 1..];
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        self.take(rest);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn take(&mut self, plain: &[u8]) {
        if let Some(last) = plain.last() {
            self.release_cr();
            self.buffer.extend_from_slice(plain);
            self.virtual_size += plain.len() as u64;
            self.last = *last;
        }
    }

    /// A CR is held back until it is known whether an LF follows.
    fn line_end(&mut self, octet: u8) {
        if octet == b'\r' {
            self.release_cr();
        } else {
            self.buffer.push(b'\n');
            self.virtual_size += 2;
        }
        self.last = octet;
    }

    fn release_cr(&mut self) {
        if self.last == b'\r' {
            self.buffer.push(b'\r');
            self.virtual_size += 1;
            self.last = 0;
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_at(&self.buffer, self.written).at(&self.path)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the message, which came at `date`, in seconds since 1970: IMAP calls that INTERNALDATE. Gives the base of its name, with its sizes.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self, date: i64) -> Result<Ready> {
        self.release_cr();
        self.flush()?;
        self.file.set_modified(date).at(&self.path)?;
        self.placed = true;
        let base = name::with_sizes(&self.unique, self.written, self.virtual_size);
        Ok(Ready {
            size: self.written,
            virtual_size: self.virtual_size,
            base,
            disk: self.disk.clone(),
            folder: std::mem::take(&mut self.folder),
            path: std::mem::take(&mut self.path),
            placed: false,
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.placed {
            discard(&*self.disk, &self.path);
        }
    }
}

fn discard(disk: &dyn Disk, path: &Path) {
    if let Err(error) = disk.remove(path) {
        tracing::debug!(path = %path.display(), %error, "cannot remove an undelivered file; it goes after maildir.tmp_age");
    }
}

/// A whole message in `tmp`, waiting for its place. Dropped before [`Ready::place`], it is removed.
#[derive(Debug)]
pub struct Ready {
    /// Size on disk in octets.
    pub size: u64,
    /// Size with line ends of two octets.
    pub virtual_size: u64,
    /// The base of its file name.
    pub base: String,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    path: PathBuf,
    placed: bool,
}

impl Ready {
    /// Shows the message to the world: renames it into `new` or `cur` as base and `suffix`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn place(self, place: Place, suffix: &str) -> Result<()> {
        let to = path_of(&self.folder, place, self.base.as_bytes(), suffix.as_bytes());
        self.place_at(&to)
    }

    /// Shows the message to the world under a name of the caller's choice.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn place_at(mut self, to: &Path) -> Result<()> {
        self.disk.rename(&self.path, to).at(to)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if !self.placed {
            discard(&*self.disk, &self.path);
        }
    }
}

/// The path of a message's file.
#[must_use]
pub fn path_of(folder: &Path, place: Place, base: &[u8], suffix: &[u8]) -> PathBuf {
    let mut path = folder.as_os_str().as_bytes().to_vec();
    path.push(b'/');
    path.extend_from_slice(place.folder().as_bytes());
    path.push(b'/');
    path.extend_from_slice(base);
    path.extend_from_slice(suffix);
    PathBuf::from(OsStr::from_bytes(&path))
}

/// The size that content has with line ends of two octets, fed piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct VirtualSize {
    size: u64,
    last: u8,
}

impl VirtualSize {
    /// More octets.
    pub fn take(&mut self, octets: &[u8]) {
        for at in memchr::memchr_iter(b'\n', octets) {
            let before = if at == 0 { self.last } else { octets[at - 1] };
            self.size += u64::from(before != b'\r');
        }
        self.size += octets.len() as u64;
        self.last = octets.last().copied().unwrap_or(self.last);
    }

    /// The size so far.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use system::HostDisk;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tmp", "new", "cur"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        folder
    }

    fn deliver(folder: &Path, pieces: &[&[u8]]) -> (Vec<u8>, u64, u64) {
        let mut incoming = Incoming::create(Arc::new(HostDisk), folder, "1.x.h").unwrap();
        pieces.iter().for_each(|piece| incoming.write(piece).unwrap());
        let ready = incoming.finish(77).unwrap();
        let (base, size, virtual_size) = (ready.base.clone(), ready.size, ready.virtual_size);
        ready.place(Place::Cur, ":2,S").unwrap();
        let file = folder.join("cur").join(base + ":2,S");
        assert_eq!(HostDisk.stat(&file).unwrap().modified, 77_000_000_000);
        (std::fs::read(file).unwrap(), size, virtual_size)
    }

    #[test]
    fn line_ends_become_lf_and_sizes_are_told() {
        let check = |pieces: &[&[u8]], content: &[u8], virtual_size| {
            let folder = folder();
            assert_eq!(deliver(folder.path(), pieces), (content.to_vec(), content.len() as u64, virtual_size));
        };
        check(&[b"a\r\nb\nc"], b"a\nb\nc", 7);
        check(&[b"a\r", b"\nb\r", b"c\r"], b"a\nb\rc\r", 7);
        check(&[b"\r\r\n", b"", b"\n"], b"\r\n\n", 5);
        check(&[], b"", 0);
    }

    #[test]
    fn what_is_dropped_leaves_nothing_and_an_old_attempt_is_replaced() {
        let folder = folder();
        std::fs::write(folder.path().join("tmp/1.x.h"), "left over").unwrap();
        let mut incoming = Incoming::create(Arc::new(HostDisk), folder.path(), "1.x.h").unwrap();
        incoming.write(b"new").unwrap();
        drop(incoming.finish(0).unwrap());
        drop(Incoming::create(Arc::new(HostDisk), folder.path(), "1.x.h").unwrap());
        assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(octets in prop::collection::vec(prop::sample::select(b"a\r\n".to_vec()), 0..40), cut in 0usize..40) {
            let folder = folder();
            let (head, tail) = octets.split_at(cut.min(octets.len()));
            let (content, size, virtual_size) = deliver(folder.path(), &[head, tail]);
            let whole = deliver(folder.path(), &[&octets]);
            prop_assert_eq!(&whole, &(content, size, virtual_size));
        }

        #[test]
        fn the_virtual_size_counts_two_for_each_line_end(octets in prop::collection::vec(prop::sample::select(b"a\r\n".to_vec()), 0..40), cut in 0usize..40) {
            let mut counted = VirtualSize::default();
            let (head, tail) = octets.split_at(cut.min(octets.len()));
            counted.take(head);
            counted.take(tail);
            let text = String::from_utf8(octets).unwrap().replace("\r\n", "\n").replace('\n', "\r\n");
            prop_assert_eq!(counted.size(), text.len() as u64);
        }
    }
}
