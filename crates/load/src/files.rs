//! Waits until files have arrived in Maildirs, by inotify, so that waiting costs the server under test nothing.

use crate::error::Error;
use crate::report::Report;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use serde_json::json;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of `load maildir-wait`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The Maildir, or a plain folder.
    folder: PathBuf,
    /// How many files are to be in its new/ and cur/, or in itself if it has not both.
    count: u64,
    /// Give up after this many seconds.
    #[arg(long, default_value_t = 600)]
    patience: u64,
}

/// Waits until the folder holds enough files.
pub(crate) fn run(arguments: &Arguments) -> Result<Report, Error> {
    let start = Instant::now();
    let watch = Watch::start(std::slice::from_ref(&arguments.folder))?;
    let end = watch.wait(arguments.count.saturating_sub(watch.before), Duration::from_secs(arguments.patience))?;
    let mut report = Report::of("maildir-wait");
    report.put("files", json!(arguments.count));
    report.put("seconds", json!(end.saturating_duration_since(start).as_secs_f64()));
    Ok(report)
}

/// Folders being watched, and how many files they held at the start.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: OwnedFd,
    folders: Vec<PathBuf>,
    before: u64,
}

impl Watch {
    /// Starts to watch. The folders must exist.
    pub(crate) fn start(folders: &[PathBuf]) -> Result<Self, Error> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|errno| Error::io("inotify", errno.into()))?;
        let leaves: Vec<PathBuf> = folders.iter().flat_map(|folder| leaf_folders(folder)).collect();
        for leaf in &leaves {
            add_watch(&inotify, leaf, WatchFlags::CREATE | WatchFlags::MOVED_TO)
                .map_err(|errno| Error::io(leaf.display().to_string(), errno.into()))?;
        }
        let before = count(&leaves)?;
        Ok(Self { inotify, folders: leaves, before })
    }

    /// Waits for `more` files than there were at the start. Returns the moment at which the last was seen.
    ///
    /// Nothing is listed before the events say that all are there: in a folder of a million files that alone takes a second.
    pub(crate) fn wait(&self, more: u64, patience: Duration) -> Result<Instant, Error> {
        let (wanted, deadline) = (self.before + more, Instant::now() + patience);
        let mut missing = more;
        loop {
            let mut quiet = false;
            while missing > 0 && !quiet {
                let seen = self.events(deadline)?;
                quiet = seen == 0;
                missing = missing.saturating_sub(seen);
            }
            // A file that moves from new/ to cur/ was counted twice, and a full queue of events loses some: count them all.
            let last = Instant::now();
            let present = count(&self.folders)?;
            if present >= wanted {
                return Ok(last);
            }
            if last >= deadline {
                return Err(Error::Protocol(format!("only {present} of {wanted} files after {patience:?}")));
            }
            missing = wanted - present;
        }
    }

    /// Waits for events, at most a second. Returns how many came.
    fn events(&self, deadline: Instant) -> Result<u64, Error> {
        let wait = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
        let limit = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut poller = [PollFd::new(&self.inotify, PollFlags::IN)];
        match poll(&mut poller, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("poll", errno.into())),
        }
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut seen = 0;
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => return Ok(0),
                Ok(_) => seen += 1,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(seen),
                Err(errno) => return Err(Error::io("inotify", errno.into())),
            }
        }
    }
}

/// `new` and `cur` of a Maildir; a folder that is no Maildir stands for itself. None is made here: it would be ours, not the account's.
fn leaf_folders(folder: &Path) -> Vec<PathBuf> {
    let leaves = ["new", "cur"].map(|name| folder.join(name));
    if leaves.iter().all(|leaf| leaf.is_dir()) { leaves.to_vec() } else { vec![folder.to_owned()] }
}

fn count(folders: &[PathBuf]) -> Result<u64, Error> {
    let mut total = 0;
    for folder in folders {
        let entries = fs::read_dir(folder).map_err(|source| Error::io(folder.display().to_string(), source))?;
        total += entries.count() as u64;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_new_files_and_moved_ones_once() {
        let root = tempfile::tempdir().unwrap();
        let (new, cur) = (root.path().join("new"), root.path().join("cur"));
        fs::create_dir_all(&new).unwrap();
        fs::create_dir_all(&cur).unwrap();
        fs::write(new.join("old"), "").unwrap();
        let watch = Watch::start(&[root.path().to_owned()]).unwrap();
        let waiting = std::thread::spawn(move || watch.wait(50, Duration::from_secs(20)));
        for number in 0..50 {
            fs::write(new.join(number.to_string()), "").unwrap();
            fs::rename(new.join(number.to_string()), cur.join(number.to_string())).unwrap();
        }
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn gives_up() {
        let root = tempfile::tempdir().unwrap();
        let watch = Watch::start(&[root.path().to_owned()]).unwrap();
        assert!(watch.wait(0, Duration::ZERO).is_ok());
        assert!(watch.wait(1, Duration::from_millis(10)).is_err());
    }
}
