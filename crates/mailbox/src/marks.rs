//! Which mailboxes changed since the index was last written: eight octets for each in one small file beside the index.
//!
//! Before the first change a bound is written that no modification sequence told from then on reaches, with a bit that says
//! that the index is behind; when the index has followed, the bit is cleared. After a crash modification sequences go on
//! from the bound, even if the clock went back. The highest of all bounds is the start for a mailbox that the index does
//! not know, so that deleting the index makes nothing go back.
//!
//! The file knows which start of the machine wrote it: after another start (a power cut, perhaps) nothing is trusted unless the
//! daemon had stopped in order. It goes on naming the old start until the daemon does so: a second life that begins before the
//! first has made good what was lost has the same doubts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use system::{Create, Disk, File};

/// The file's name in the account's index folder.
const FILE: &str = "marks";

const MAGIC: u64 = u64::from_le_bytes(*b"pbmarks1");

/// Room for a million mailboxes.
const LONGEST_FILE: u64 = 8 << 20;

/// Magic, start of the machine, whether it was closed in order.
const HEAD: u64 = 32;

/// The marks of one account.
#[derive(Debug)]
pub(crate) struct Marks {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Box<dyn File>>,
    boot: u128,
    /// What the index says may be true, as far as the marks do not speak against it.
    trusted: bool,
    /// The machine was started anew without the daemon having stopped in order, as far as can be known.
    power_cut: bool,
    /// That is certain.
    crashed: bool,
    highest: u64,
}

impl Marks {
    /// Opens the marks in a folder. Without a usable file nothing is trusted.
    pub(crate) fn open(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        let path = folder.join(FILE);
        let boot = disk.boot();
        let mut marks =
            Self { disk, path, file: None, boot: boot.unwrap_or(0), trusted: false, power_cut: true, crashed: false, highest: 0 };
        match marks.disk.open(&marks.path, Create::Missing) {
            Ok(file) => marks.file = Some(file),
            Err(error) => {
                tracing::warn!(path = %marks.path.display(), %error, "cannot open the marks; the index will not be trusted");
                return marks;
            }
        }
        let head = marks.read_head();
        if let Some((stored, closed)) = head {
            let same = boot.is_some() && stored == marks.boot;
            marks.trusted = same || closed;
            marks.power_cut = !same && !closed;
            marks.crashed = marks.power_cut;
            marks.highest = marks.read_highest();
        }
        if !marks.crashed && head != Some((marks.boot, false)) {
            // Durable, for it must be there to say that the machine stopped without order.
            marks.write_head(false);
            marks.sync();
            if let Err(error) = marks.disk.sync_dir(folder) {
                tracing::warn!(path = %folder.display(), %error, "cannot sync the marks");
            }
        }
        marks
    }

    fn read_head(&self) -> Option<(u128, bool)> {
        let mut head = [0; HEAD as usize];
        let read = self.file.as_ref()?.read_at(&mut head, 0).ok()?;
        let (words, _) = head.as_chunks::<8>();
        let word = |n: usize| u64::from_le_bytes(words[n]);
        let whole = read == head.len() && word(0) == MAGIC;
        whole.then(|| (u128::from(word(1)) | u128::from(word(2)) << 64, word(3) == 1))
    }

    fn write_head(&self, closed: bool) {
        let mut head = Vec::with_capacity(HEAD as usize);
        for word in [MAGIC, self.boot as u64, (self.boot >> 64) as u64, u64::from(closed)] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        self.write(&head, 0);
    }

    fn write(&self, octets: &[u8], offset: u64) {
        if let Some(file) = &self.file
            && let Err(error) = file.write_at(octets, offset)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot write the marks; they are removed, so that the index is not trusted");
            let _ = self.disk.remove(&self.path);
        }
    }

    /// Whether the index can be believed where no mark speaks against it.
    pub(crate) fn trusted(&self) -> bool {
        self.trusted
    }

    /// Whether the machine may have lost what was not synced.
    pub(crate) fn power_cut(&self) -> bool {
        self.power_cut
    }

    /// The machine has probably lost something that was not synced.
    pub(crate) fn crashed(&self) -> bool {
        self.crashed
    }

    /// This start of the machine.
    pub(crate) fn boot(&self) -> u128 {
        self.boot
    }

    /// The bound of a mailbox, 0 if there is none, and whether the index is behind.
    pub(crate) fn bound(&self, slot: u32) -> (u64, bool) {
        let mut octets = [0; 8];
        let read = self.file.as_ref().and_then(|file| file.read_at(&mut octets, HEAD + u64::from(slot) * 8).ok());
        let mark = if read == Some(8) { u64::from_le_bytes(octets) } else { 0 };
        (mark >> 1, mark & 1 != 0)
    }

    /// Sets the bound of a mailbox, and whether the index is behind.
    pub(crate) fn set(&self, slot: u32, bound: u64, behind: bool) {
        let mark = bound << 1 | u64::from(behind);
        self.write(&mark.to_le_bytes(), HEAD + u64::from(slot) * 8);
    }

    /// The highest of all bounds when the file was opened.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    fn read_highest(&self) -> u64 {
        let marks = self.file.as_ref().and_then(|file| file.read_all(LONGEST_FILE).ok()).unwrap_or_default();
        let (marks, _) = marks.get(HEAD as usize..).unwrap_or_default().as_chunks::<8>();
        marks.iter().map(|mark| u64::from_le_bytes(*mark) >> 1).max().unwrap_or(0)
    }

    /// The daemon stops in order: all that the index says is true and durable.
    pub(crate) fn close(&self) {
        self.write_head(true);
        self.sync();
    }

    fn sync(&self) {
        if let Some(file) = &self.file
            && let Err(error) = file.sync()
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot sync the marks");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use system::HostDisk;

    #[test]
    fn marks_outlive_a_kill_and_an_orderly_end_but_are_not_trusted_from_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Marks::open(Arc::new(HostDisk), folder.path());
        let marks = open();
        assert!(!marks.trusted() && marks.bound(3) == (0, false));
        marks.set(3, 77, true);
        marks.set(2, 99, false);
        let marks = open();
        assert!(marks.trusted() && !marks.power_cut());
        assert_eq!((marks.bound(3), marks.bound(2), marks.bound(1000)), ((77, true), (99, false), (0, false)));
        assert_eq!(marks.highest(), 99);
        // Another start of the machine.
        let mut octets = std::fs::read(folder.path().join(FILE)).unwrap();
        octets[8] ^= 1;
        std::fs::write(folder.path().join(FILE), &octets).unwrap();
        for life in 0..3 {
            let marks = open();
            assert!(!marks.trusted() && marks.power_cut() && marks.crashed(), "life {life} after the power cut");
        }
        open().close();
        let mut octets = std::fs::read(folder.path().join(FILE)).unwrap();
        octets[8] ^= 1;
        std::fs::write(folder.path().join(FILE), &octets).unwrap();
        assert!(open().trusted());
        std::fs::write(folder.path().join(FILE), b"rubbish").unwrap();
        assert!(!open().trusted());
    }
}
