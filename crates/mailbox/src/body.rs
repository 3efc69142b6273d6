//! A message's octets.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use maildir::delivery::VirtualSize;
use system::{Create, Disk, File};

use crate::error::{Result, disk};

/// Read at once while counting.
const PIECE: usize = 64 << 10;

/// An open message, as it is on disk: line ends may be LF.
#[derive(Debug)]
pub struct Body {
    file: Box<dyn File>,
    size: u64,
}

impl Body {
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, Create::Read)?;
        let size = file.size()?;
        Ok(Self { file, size })
    }

    /// Size on disk in octets.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads at most `buffer.len()` octets at `offset`; 0 at the end.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.file.read_at(buffer, offset).map_err(disk("read a message", 0))
    }

    /// The whole of it.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub fn all(&self) -> Result<Vec<u8>> {
        self.file.read_all(self.size).map_err(disk("read a message", 0))
    }
}

/// The size of a file with line ends of two octets.
pub(crate) fn count(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    let file = disk.open(path, Create::Read)?;
    let (mut counted, mut offset, mut buffer) = (VirtualSize::default(), 0, vec![0; PIECE]);
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            return Ok(counted.size());
        }
        counted.take(&buffer[..read]);
        offset += read as u64;
    }
}
