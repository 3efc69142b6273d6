//! What the evaluator asks of the world: programs, files, locks, the log, the time. The embedder implements [`Host`];
//! [`crate::FileHost`] is the standard one, which does all as procmail does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::outcome::Origin;
use crate::program::Program;
use crate::trust::Distrust;
use crate::variables::Variables;

/// What a program is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Its output takes the message's place.
    Filter,
    /// Its output becomes a variable's value.
    Capture,
    /// Backquotes: its output becomes part of a line.
    Substitute,
    /// Its exit code is a condition.
    Condition,
    /// It gets the message: a delivery.
    Deliver,
    /// TRAP: it runs at the end.
    Trap,
}

impl Purpose {
    /// Whether what the program writes goes into the log.
    #[must_use]
    pub fn logs_output(self) -> bool {
        self == Self::Trap
    }
}

/// A program to be run.
#[derive(Debug)]
pub struct Job<'a> {
    /// What it is run for.
    pub purpose: Purpose,
    /// Where the rule file says so; `None` outside of it.
    pub origin: Option<&'a Origin>,
    /// The program and its arguments; the first is looked up in PATH.
    pub arguments: &'a [Vec<u8>],
    /// Its environment.
    pub environment: &'a Variables,
    /// The folder it runs in.
    pub folder: &'a Path,
    /// The file mode mask it runs with.
    pub umask: u32,
    /// What it reads, in pieces.
    pub input: &'a [&'a [u8]],
    /// How much of its output is kept. `None`: the output is lost.
    pub keep: Option<usize>,
    /// After this time it is ended, with the programs it started. Zero: the host's own limit alone.
    pub time_limit: Duration,
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; negative: the signal that ended it.
    pub status: i32,
    /// It closed its input before all was written.
    pub refused_input: bool,
    /// It was ended for taking too long.
    pub timed_out: bool,
    /// What it wrote.
    pub output: Vec<u8>,
    /// It wrote more than was to be kept.
    pub cut: bool,
    /// What it wrote to its standard error, if the host keeps that.
    pub errors: Vec<u8>,
}

/// What a folder's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderKind {
    /// A file to append to.
    Mbox,
    /// A folder of numbered files.
    Mh,
    /// A Maildir.
    Maildir,
    /// A folder of files with unique names.
    Directory,
}

/// A folder that is ready to be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// What it is.
    pub kind: FolderKind,
    /// Permission bits of the file or folder, those it will get if it is new.
    pub mode: u32,
}

/// Why a folder cannot be used as the kind its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAFolder {
    /// The name that stands in the way.
    pub name: Vec<u8>,
    /// It is there and can be appended to, with this mode; `None`: it cannot be made.
    pub file: Option<u32>,
}

/// A place in the file system, as the rule file named it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The current folder (MAILDIR).
    pub folder: &'a Path,
    /// The name, without the sign of its kind (`/` or `/.`) at its end.
    pub name: &'a [u8],
    /// The file mode mask for what is made.
    pub umask: u32,
}

impl Place<'_> {
    /// The path; an empty name has none.
    pub fn path(&self) -> io::Result<PathBuf> {
        path(self.folder, self.name)
    }
}

/// Joins a folder and a name from the rule file.
pub(crate) fn path(folder: &Path, name: &[u8]) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    if name.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(folder.join(std::ffi::OsStr::from_bytes(name)))
}

/// What is written to a folder.
#[derive(Debug)]
pub struct Text<'a> {
    /// The pieces, one behind the other.
    pub pieces: &'a [&'a [u8]],
    /// MSGPREFIX, for names in a [`FolderKind::Directory`].
    pub prefix: &'a [u8],
}

/// A rule file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not there, or no regular file, or may not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Its owner or its permissions do not let it be trusted.
    #[error("{0}")]
    Distrusted(#[from] Distrust),
    /// It is larger than the limit.
    #[error("is larger than {0} octets or has too many statements")]
    TooLarge(u64),
}

/// A try at a lock file.
#[derive(Debug, PartialEq, Eq)]
pub enum Lock {
    /// It is ours.
    Taken,
    /// Somebody holds it, since this time; it is so many octets long.
    Held {
        /// When the lock was made.
        since: SystemTime,
        /// Its size; what is longer than 16 octets is no lock.
        size: u64,
    },
    /// It cannot be made now; to be tried a few times.
    Later,
    /// It cannot be made.
    Never,
}

/// The world.
pub trait Host {
    /// Appends to the log that is open.
    fn log(&mut self, text: &[u8]);

    /// Opens another log, to be appended to; `None`: the one of the start.
    ///
    /// # Errors
    /// Those of opening it; the old log then stays in use.
    fn open_log(&mut self, place: Option<Place<'_>>) -> io::Result<()>;

    /// Runs a program to its end.
    fn run(&mut self, job: &Job<'_>) -> Finished;

    /// Reads a rule file; `None` if it is empty.
    ///
    /// # Errors
    /// What is no regular file is not read.
    fn load(&mut self, path: &Path) -> Result<Option<Arc<Program>>, Unreadable>;

    /// Why a rule file must not be used, if so.
    fn distrust(&mut self, path: &Path) -> Option<Distrust>;

    /// Whether a folder may become the current one.
    fn enter(&mut self, folder: &Path) -> bool;

    /// The file mode mask was changed.
    fn set_umask(&mut self, mask: u32);

    /// Writes to the standard output.
    ///
    /// # Errors
    /// Those of writing.
    fn standard_output(&mut self, text: &Text<'_>) -> io::Result<()>;

    /// Finds out what a folder is, and makes it if it is to be a folder of files. With `only_folder`, a plain name is made a folder too.
    ///
    /// # Errors
    /// The name that stands in the way.
    fn open_folder(&mut self, place: Place<'_>, wanted: FolderKind, only_folder: bool) -> Result<Folder, NotAFolder>;

    /// Appends to an mbox. What was written of a text that cannot be written whole is taken away; the flag in the error says so.
    ///
    /// # Errors
    /// Those of writing.
    fn append(&mut self, place: Place<'_>, text: &Text<'_>) -> Result<(), (io::Error, bool)>;

    /// Puts a new file into a folder; gives the end of its name, from the folder's name on: `/new/1.2.host`.
    ///
    /// # Errors
    /// Those of writing.
    fn store(&mut self, place: Place<'_>, kind: FolderKind, text: &Text<'_>) -> io::Result<Vec<u8>>;

    /// Gives a stored file another name in another folder.
    ///
    /// # Errors
    /// Those of linking.
    fn link(&mut self, stored: &Path, place: Place<'_>, kind: FolderKind, prefix: &[u8]) -> io::Result<Vec<u8>>;

    /// Changes permission bits; failure does not matter.
    fn set_mode(&mut self, place: Place<'_>, mode: u32);

    /// Tries to make a lock file.
    fn lock(&mut self, path: &Path) -> Lock;

    /// Takes a lock file away; false if that failed.
    fn unlock(&mut self, path: &Path) -> bool;

    /// Waits.
    fn sleep(&mut self, time: Duration);

    /// The time.
    fn now(&self) -> SystemTime;

    /// The name of this machine.
    fn hostname(&self) -> Vec<u8>;

    /// The number that `$$` shows.
    fn process(&self) -> u32;
}
