//! The standard [`Host`]: this machine's files and programs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::cache::Programs;
use crate::child::{Errors, Room};
use crate::confine::Confinement;
use crate::host::{Finished, Folder, FolderKind, Host, Job, Lock, NotAFolder, Place, Text, Unreadable};
use crate::program::Program;
use crate::trust::Distrust;
use crate::{child, delivery, lockfile, trust};

/// Files and programs as procmail uses them.
#[derive(Debug)]
pub struct FileHost<'a> {
    limits: &'a config::Filter,
    programs: &'a Programs,
    /// Where the log goes without a LOGFILE.
    first_log: Option<File>,
    log: Option<File>,
    /// The process belongs to this one delivery, so that its own mask may be changed.
    own_process: bool,
    confinement: Option<&'a Confinement>,
    keeps_errors: bool,
    /// Whose rule files are used, beside root's.
    owners: Vec<u32>,
}

/// How much of a program's standard error is kept, in octets.
const LONGEST_ERRORS: usize = 4096;

/// The name of this machine, asked once.
fn own_hostname() -> &'static [u8] {
    static NAME: OnceLock<Vec<u8>> = OnceLock::new();
    NAME.get_or_init(|| rustix::system::uname().nodename().to_bytes().to_vec())
}

/// The user that this process runs as, asked once: nothing here changes it.
fn own_uid() -> u32 {
    static UID: OnceLock<u32> = OnceLock::new();
    *UID.get_or_init(|| rustix::process::getuid().as_raw())
}

impl<'a> FileHost<'a> {
    /// A host whose log goes to `log` until a LOGFILE is named. With `own_process`, UMASK becomes the mask of this process.
    #[must_use]
    pub fn new(limits: &'a config::Filter, programs: &'a Programs, log: Option<File>, own_process: bool) -> Self {
        Self { limits, programs, first_log: log, log: None, own_process, confinement: None, keeps_errors: false, owners: vec![own_uid()] }
    }

    /// The same, with programs that may do only so much.
    #[must_use]
    pub fn confined(self, confinement: Option<&'a Confinement>) -> Self {
        Self { confinement, ..self }
    }

    /// The same, which gives in [`Finished::errors`] what would go into the log while there is none.
    #[must_use]
    pub fn keeping_errors(self) -> Self {
        Self { keeps_errors: true, ..self }
    }

    /// The same, which uses the rule files of these users (and root's), not of the one that this process runs as.
    #[must_use]
    pub fn trusting(self, owners: Vec<u32>) -> Self {
        Self { owners, ..self }
    }

    fn current_log(&self) -> Option<&File> {
        self.log.as_ref().or(self.first_log.as_ref())
    }
}

impl Host for FileHost<'_> {
    fn log(&mut self, text: &[u8]) {
        if let Some(mut log) = self.current_log() {
            // A log that cannot be written to must not stop the delivery.
            let _ = log.write_all(text);
        }
    }

    fn open_log(&mut self, place: Option<Place<'_>>) -> io::Result<()> {
        self.log = match place {
            None => None,
            Some(place) => Some(OpenOptions::new().append(true).create(true).mode(0o667 & !place.umask).open(place.path()?)?),
        };
        Ok(())
    }

    fn run(&mut self, job: &Job<'_>) -> Finished {
        let room = match self.confinement {
            Some(confinement) => Room::Confined(confinement),
            None if self.own_process => Room::Alone,
            None => Room::Open,
        };
        let errors = match self.current_log() {
            Some(log) => Errors::Log(log),
            None if self.keeps_errors => Errors::Kept(LONGEST_ERRORS),
            None => Errors::Lost,
        };
        child::run(job, errors, room)
    }

    fn load(&mut self, path: &Path) -> Result<Option<Arc<Program>>, Unreadable> {
        self.programs.load(path, self.limits)
    }

    fn distrust(&mut self, path: &Path) -> Option<Distrust> {
        trust::check_any(path, &self.owners).err()
    }

    fn enter(&mut self, folder: &Path) -> bool {
        // With a slash at its end, a name that stands for anything but a folder is refused: one question in place of two.
        let name = folder.as_os_str().as_bytes();
        !name.is_empty() && rustix::fs::access([name, b"/"].concat(), rustix::fs::Access::EXEC_OK).is_ok()
    }

    fn set_umask(&mut self, mask: u32) {
        if self.own_process {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
        }
    }

    fn standard_output(&mut self, text: &Text<'_>) -> io::Result<()> {
        let mut output = io::stdout().lock();
        text.pieces.iter().try_for_each(|piece| output.write_all(piece))?;
        output.flush()
    }

    fn open_folder(&mut self, place: Place<'_>, wanted: FolderKind, only_folder: bool) -> Result<Folder, NotAFolder> {
        delivery::open_folder(place, wanted, only_folder)
    }

    fn append(&mut self, place: Place<'_>, text: &Text<'_>) -> Result<(), (io::Error, bool)> {
        delivery::append(place, text, self.limits.max_lock_wait)
    }

    fn store(&mut self, place: Place<'_>, kind: FolderKind, text: &Text<'_>) -> io::Result<Vec<u8>> {
        delivery::store(place, kind, text, own_hostname())
    }

    fn link(&mut self, stored: &Path, place: Place<'_>, kind: FolderKind, prefix: &[u8]) -> io::Result<Vec<u8>> {
        delivery::name_file(stored, place, kind, prefix, own_hostname())
    }

    fn set_mode(&mut self, place: Place<'_>, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        if let Ok(path) = place.path() {
            // A mark for mail programs, no more.
            let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        }
    }

    fn lock(&mut self, path: &Path) -> Lock {
        lockfile::take(path)
    }

    fn unlock(&mut self, path: &Path) -> bool {
        lockfile::release(path)
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn hostname(&self) -> Vec<u8> {
        own_hostname().to_vec()
    }

    fn process(&self) -> u32 {
        std::process::id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_can_be_entered() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let (limits, programs) = (config::Filter::default(), Programs::new());
        let mut host = FileHost::new(&limits, &programs, None, false);
        for (path, expected) in
            [(folder.path(), true), (&link, true), (&file, false), (&folder.path().join("x"), false), (Path::new(""), false)]
        {
            assert_eq!(host.enter(path), expected, "{}", path.display());
        }
    }
}
