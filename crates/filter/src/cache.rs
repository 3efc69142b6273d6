//! Rule files that were read, kept until they change.

use std::collections::HashMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::host::Unreadable;
use crate::parse::ParseLimits;
use crate::program::Program;

/// What makes a file another one: inode, time of change in seconds and nanoseconds, size.
type Version = (u64, i64, i64, u64);

/// A cache of rule files by path, inode, time and size.
#[derive(Debug, Default)]
pub struct Programs(Mutex<HashMap<PathBuf, (Version, Arc<Program>)>>);

/// Opening a pipe does not wait for somebody who writes.
const NO_WAITING: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// Files that are kept; when there are more, all are read again.
const KEPT: usize = 4096;

impl Programs {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a rule file, or finds it as it was read before. `None`: it is empty.
    ///
    /// # Errors
    /// Only regular files of bounded size are read.
    pub fn load(&self, path: &Path, limits: &config::Filter) -> Result<Option<Arc<Program>>, Unreadable> {
        self.load_seen(path, &fs::metadata(path)?, limits)
    }

    /// The same for a file that was looked at a moment ago, without a further look.
    ///
    /// # Errors
    /// Only regular files of bounded size are read.
    pub fn load_seen(&self, path: &Path, meta: &Metadata, limits: &config::Filter) -> Result<Option<Arc<Program>>, Unreadable> {
        require_regular(meta)?;
        if meta.len() == 0 {
            return Ok(None);
        }
        if let Some(program) = self.kept(path, version(meta)) {
            return Ok(Some(program));
        }
        let (text, meta) = read(path, limits.max_rule_file.0)?;
        let parse_limits = ParseLimits { statements: limits.max_statements as usize };
        let program = Program::parse(&text, parse_limits).map_err(|_| Unreadable::TooLarge(limits.max_rule_file.0))?;
        let program = Arc::new(program);
        if let Ok(mut kept) = self.0.lock() {
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(path.to_owned(), (version(&meta), Arc::clone(&program)));
        }
        Ok(Some(program))
    }

    fn kept(&self, path: &Path, version: Version) -> Option<Arc<Program>> {
        let kept = self.0.lock().ok()?;
        kept.get(path).filter(|(of, _)| *of == version).map(|(_, program)| Arc::clone(program))
    }
}

fn version(meta: &Metadata) -> Version {
    (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len())
}

/// The text of a rule file, read as carefully as before it is used: what is no regular file is not waited for.
///
/// # Errors
/// Only regular files of bounded size are read.
pub fn read_text(path: &Path, limits: &config::Filter) -> Result<Vec<u8>, Unreadable> {
    require_regular(&fs::metadata(path)?)?;
    Ok(read(path, limits.max_rule_file.0)?.0)
}

fn require_regular(meta: &Metadata) -> std::io::Result<()> {
    match meta.is_dir() {
        true => Err(ErrorKind::IsADirectory.into()),
        false if !meta.is_file() => Err(std::io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
        false => Ok(()),
    }
}

fn read(path: &Path, largest: u64) -> Result<(Vec<u8>, Metadata), Unreadable> {
    // Another file may have its name by now: a pipe must not hold us up.
    let file = OpenOptions::new().read(true).custom_flags(NO_WAITING).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "not a regular file").into());
    }
    let mut text = Vec::new();
    file.take(largest + 1).read_to_end(&mut text)?;
    if text.len() as u64 > largest { Err(Unreadable::TooLarge(largest)) } else { Ok((text, meta)) }
}
