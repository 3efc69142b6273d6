//! A [`Host`] that reads but never writes, for explanations.
//!
//! A program that is not run is taken to succeed: a filter gives the message back as it was, backquotes and captures give nothing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::host::{Finished, Folder, FolderKind, Host, Job, Lock, NotAFolder, Place, Purpose, Text, Unreadable};
use crate::program::Program;
use crate::trust::Distrust;

/// Looks at the world through another host, and changes nothing in it.
pub struct DryRun<'h> {
    inner: &'h mut dyn Host,
    programs: bool,
    log: Vec<u8>,
    taken: u32,
}

/// How much of the log is kept.
const LONGEST_LOG: usize = 1 << 20;

impl<'h> DryRun<'h> {
    /// Looks through `inner`. With `programs`, those that a decision depends on are run nevertheless: conditions, filters,
    /// captures and backquotes, but neither deliveries nor TRAP.
    pub fn new(inner: &'h mut dyn Host, programs: bool) -> Self {
        Self { inner, programs, log: Vec::new(), taken: 0 }
    }

    /// How many programs were taken to succeed whose exit code or output may decide something. Filters are not counted.
    #[must_use]
    pub fn taken_to_succeed(&self) -> u32 {
        self.taken
    }

    /// What would have been written to the log.
    #[must_use]
    pub fn log_text(&self) -> &[u8] {
        &self.log
    }
}

/// The name of a file that is not made.
const NOT_MADE: &[u8] = b"(new)";

impl Host for DryRun<'_> {
    fn log(&mut self, text: &[u8]) {
        let room = LONGEST_LOG.saturating_sub(self.log.len());
        self.log.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn open_log(&mut self, _: Option<Place<'_>>) -> io::Result<()> {
        Ok(())
    }

    fn run(&mut self, job: &Job<'_>) -> Finished {
        if self.programs && !matches!(job.purpose, Purpose::Deliver | Purpose::Trap) {
            return self.inner.run(job);
        }
        if matches!(job.purpose, Purpose::Condition | Purpose::Capture | Purpose::Substitute) {
            self.taken += 1;
        }
        // The empty line that procmail adds is left off: the filter did not see it.
        let output = if job.purpose == Purpose::Filter { job.input.first().map(|text| text.to_vec()) } else { None };
        Finished { output: output.unwrap_or_default(), ..Finished::default() }
    }

    fn load(&mut self, path: &Path) -> Result<Option<Arc<Program>>, Unreadable> {
        self.inner.load(path)
    }

    fn distrust(&mut self, path: &Path) -> Option<Distrust> {
        self.inner.distrust(path)
    }

    fn enter(&mut self, folder: &Path) -> bool {
        self.inner.enter(folder)
    }

    fn set_umask(&mut self, _: u32) {}

    fn standard_output(&mut self, _: &Text<'_>) -> io::Result<()> {
        Ok(())
    }

    fn open_folder(&mut self, place: Place<'_>, wanted: FolderKind, only_folder: bool) -> Result<Folder, NotAFolder> {
        let found = place.path().and_then(fs::metadata).ok();
        let mode = found.as_ref().map_or(0o600, MetadataExt::mode);
        let is_folder = found.as_ref().is_some_and(fs::Metadata::is_dir);
        let kind = match wanted {
            FolderKind::Mbox if is_folder || only_folder => FolderKind::Directory,
            other => other,
        };
        if found.is_some() && !is_folder && kind != FolderKind::Mbox {
            return Err(NotAFolder { name: place.name.to_vec(), file: (!only_folder).then_some(mode) });
        }
        Ok(Folder { kind, mode })
    }

    fn append(&mut self, place: Place<'_>, _: &Text<'_>) -> Result<(), (io::Error, bool)> {
        let path = place.path().map_err(|error| (error, false))?;
        if path.parent().is_some_and(Path::is_dir) { Ok(()) } else { Err((io::ErrorKind::NotFound.into(), false)) }
    }

    fn store(&mut self, _: Place<'_>, kind: FolderKind, _: &Text<'_>) -> io::Result<Vec<u8>> {
        let part: &[u8] = if kind == FolderKind::Maildir { b"/new/" } else { b"/" };
        Ok([part, NOT_MADE].concat())
    }

    fn link(&mut self, _: &Path, place: Place<'_>, kind: FolderKind, _: &[u8]) -> io::Result<Vec<u8>> {
        self.store(place, kind, &Text { pieces: &[], prefix: b"" })
    }

    fn set_mode(&mut self, _: Place<'_>, _: u32) {}

    fn lock(&mut self, _: &Path) -> Lock {
        Lock::Taken
    }

    fn unlock(&mut self, _: &Path) -> bool {
        true
    }

    fn sleep(&mut self, _: Duration) {}

    fn now(&self) -> SystemTime {
        self.inner.now()
    }

    fn hostname(&self) -> Vec<u8> {
        self.inner.hostname()
    }

    fn process(&self) -> u32 {
        self.inner.process()
    }
}
