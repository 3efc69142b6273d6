//! Mailboxes as folders (Maildir++): INBOX is the root, `a.b` is `.a.b` in it. Names are UTF-8 outside and modified
//! UTF-7 on disk; the hierarchy is in the names alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use system::{Create, Disk, Kind};

use crate::error::{At, Error, Result};
use crate::utf7;

/// Under this name a mailbox that is being deleted waits for its removal; Dovecot uses and hides the same one.
const TRASHED: &str = ".DOVECOT-TRASHED";

/// The longest folder name; leaves room for what file systems and Dovecot add.
const LONGEST_NAME: usize = 240;

/// Whether a name means INBOX (in any case).
#[must_use]
pub fn is_inbox(mailbox: &str) -> bool {
    mailbox.eq_ignore_ascii_case("INBOX")
}

/// The folder's name for a mailbox: empty for INBOX.
///
/// # Errors
/// [`Error::BadName`] if no folder can have it, or Dovecot could not open it.
pub fn folder_name(mailbox: &str) -> Result<String> {
    if is_inbox(mailbox) {
        return Ok(String::new());
    }
    if mailbox.split('.').any(str::is_empty) {
        return Err(Error::BadName("a part of the mailbox name is empty"));
    }
    if mailbox.contains('/') || mailbox.chars().any(char::is_control) {
        return Err(Error::BadName("a mailbox name must not have '/' or control characters"));
    }
    if mailbox.starts_with('~') {
        return Err(Error::BadName("a mailbox name must not begin with '~'"));
    }
    let name = format!(".{}", utf7::encode(mailbox));
    if name.len() > LONGEST_NAME || name == TRASHED {
        return Err(Error::BadName("the mailbox name is too long or reserved"));
    }
    Ok(name)
}

/// The mailbox of a folder in the root; `None` if it is none.
#[must_use]
pub fn mailbox_name(folder: &str) -> Option<String> {
    let name = utf7::decode(folder.strip_prefix('.')?)?;
    folder_name(&name).is_ok_and(|back| back == folder).then_some(name)
}

/// The Maildir of one account.
#[derive(Clone, Debug)]
pub struct Root {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    known: Arc<Mutex<Known>>,
}

/// The last listing. It holds as long as the root does not change, since a mailbox comes and goes with its folder there; only
/// folders that were no mailboxes may have become some.
#[derive(Debug, Default)]
struct Known {
    /// When the root was changed last, in nanoseconds since 1970.
    modified: Option<i64>,
    names: Vec<String>,
    others: Vec<PathBuf>,
}

/// A folder that changed more recently may change again without a later time of change.
const STILL: Duration = Duration::from_secs(1);

impl Root {
    /// The Maildir at `path`, which need not be there yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, known: Arc::default() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the folder of a mailbox is or would be.
    ///
    /// # Errors
    /// [`Error::BadName`].
    pub fn folder(&self, mailbox: &str) -> Result<PathBuf> {
        let name = folder_name(mailbox)?;
        Ok(if name.is_empty() { self.path.clone() } else { self.path.join(name) })
    }

    /// Whether the mailbox is there. INBOX always is.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn exists(&self, mailbox: &str) -> Result<bool> {
        Ok(is_inbox(mailbox) || is_mailbox(&*self.disk, &self.folder(mailbox)?)?)
    }

    /// All mailboxes but INBOX, sorted.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn list(&self) -> Result<Vec<String>> {
        let modified = self.disk.stat(&self.path).ok().map(|stat| stat.modified).filter(|modified| is_still(*modified));
        if let Some(names) = self.remembered(modified)? {
            return Ok(names);
        }
        let (names, others) = self.read()?;
        *self.lock() = Known { modified, names: names.clone(), others };
        Ok(names)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last listing, if it still holds.
    fn remembered(&self, modified: Option<i64>) -> Result<Option<Vec<String>>> {
        let known = self.lock();
        let same = modified.is_some() && known.modified == modified;
        for path in known.others.iter().filter(|_| same) {
            if is_mailbox(&*self.disk, path)? {
                return Ok(None);
            }
        }
        Ok(same.then(|| known.names.clone()))
    }

    /// Mailboxes, sorted, and folders that are none.
    fn read(&self) -> Result<(Vec<String>, Vec<PathBuf>)> {
        let mut folders = Vec::new();
        let listed = self.disk.list(&self.path, &mut |entry| {
            if let Some(name) = entry.name.to_str().filter(|_| entry.kind != Kind::File).and_then(mailbox_name) {
                folders.push((name, self.path.join(entry.name)));
            }
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            other => other.at(&self.path)?,
        }
        let (mut names, mut others) = (Vec::with_capacity(folders.len()), Vec::new());
        for (name, path) in folders {
            if is_mailbox(&*self.disk, &path)? {
                names.push(name);
            } else {
                others.push(path);
            }
        }
        names.sort_unstable();
        Ok((names, others))
    }

    /// Makes what is missing of a mailbox: its folder with `tmp`, `new`, `cur` and `maildirfolder`, durably.
    ///
    /// # Errors
    /// [`Error::BadName`] and those of the disk.
    pub fn create(&self, mailbox: &str) -> Result<PathBuf> {
        let folder = self.folder(mailbox)?;
        let inner = folder != self.path;
        self.create_parents()?;
        let mut made = make_dir(&*self.disk, &folder)?;
        if inner && made {
            let mark = folder.join("maildirfolder");
            self.disk.open(&mark, Create::Missing).at(&mark)?;
        }
        // `cur` last: a folder without it is no mailbox, so a crash leaves all or nothing.
        for name in ["tmp", "new", "cur"] {
            made |= make_dir(&*self.disk, &folder.join(name))?;
        }
        if made {
            self.disk.sync_dir(&folder).at(&folder)?;
            self.disk.sync_dir(if inner { &self.path } else { &folder }).at(&self.path)?;
        }
        Ok(folder)
    }

    /// The root itself and its own three folders, so that a program finds a Maildir there.
    fn create_parents(&self) -> Result<()> {
        if is_mailbox(&*self.disk, &self.path)? {
            return Ok(());
        }
        let missing: Vec<_> =
            self.path.ancestors().take_while(|p| matches!(self.disk.stat(p), Err(e) if e.kind() == io::ErrorKind::NotFound)).collect();
        for path in missing.into_iter().rev() {
            make_dir(&*self.disk, path)?;
            if let Some(parent) = path.parent() {
                self.disk.sync_dir(parent).at(parent)?;
            }
        }
        for name in ["tmp", "new", "cur"] {
            make_dir(&*self.disk, &self.path.join(name))?;
        }
        Ok(())
    }

    /// Removes a mailbox with everything in it. First it is renamed away, so that it is gone at once.
    ///
    /// # Errors
    /// [`Error::BadName`] for INBOX, and those of the disk.
    pub fn remove(&self, mailbox: &str) -> Result<()> {
        let folder = self.folder(mailbox)?;
        if folder == self.path {
            return Err(Error::BadName("INBOX cannot be deleted"));
        }
        let trashed = self.path.join(TRASHED);
        remove_tree(&*self.disk, &trashed, 0)?;
        self.disk.rename(&folder, &trashed).at(&folder)?;
        self.disk.sync_dir(&self.path).at(&self.path)?;
        if let Err(error) = remove_tree(&*self.disk, &trashed, 0) {
            tracing::warn!(%error, "cannot remove a deleted mailbox's files; they go with the next one");
        }
        Ok(())
    }

    /// Renames the folders of `from` and its inferiors. Gives the old and new names of all that were renamed.
    ///
    /// # Errors
    /// [`Error::BadName`], and those of the disk; `AlreadyExists` if a new name is taken.
    pub fn rename(&self, from: &str, to: &str) -> Result<Vec<(String, String)>> {
        folder_name(to)?;
        let inferior = format!("{from}.");
        let all = self.list()?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        for name in all.iter().filter(|name| *name == from || name.starts_with(&inferior)) {
            let new = format!("{to}{}", &name[from.len()..]);
            folder_name(&new)?;
            if all.contains(&new) {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists)).at(&self.folder(&new)?);
            }
            pairs.push((name.clone(), new));
        }
        for (old, new) in &pairs {
            let (old, new) = (self.folder(old)?, self.folder(new)?);
            self.disk.rename(&old, &new).at(&old)?;
        }
        self.disk.sync_dir(&self.path).at(&self.path)?;
        Ok(pairs)
    }
}

fn is_still(modified: i64) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(modified).is_ok_and(|modified| now.saturating_sub(Duration::from_nanos(modified)) > STILL)
}

fn is_mailbox(disk: &dyn Disk, folder: &Path) -> Result<bool> {
    let path = folder.join("cur");
    match disk.stat(&path) {
        Ok(stat) => Ok(stat.kind == Kind::Folder),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error).at(&path),
    }
}

/// Makes a folder; says whether it was missing.
fn make_dir(disk: &dyn Disk, path: &Path) -> Result<bool> {
    match disk.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true).at(path),
    }
}

/// Removes a folder with its files and at most two levels of folders below it, as a Maildir has.
fn remove_tree(disk: &dyn Disk, path: &Path, depth: u32) -> Result<()> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let listed = disk.list(path, &mut |entry| {
        let list = if entry.kind == Kind::Folder { &mut folders } else { &mut files };
        list.push(path.join(entry.name));
    });
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.at(path)?,
    }
    for file in files {
        disk.remove(&file).at(&file)?;
    }
    for folder in folders.iter().filter(|_| depth < 2) {
        remove_tree(disk, folder, depth + 1)?;
    }
    disk.remove_dir(path).at(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use system::HostDisk;

    #[test]
    fn names_and_folders_correspond() {
        let check = |mailbox: &str, folder: &str| {
            assert_eq!(folder_name(mailbox).unwrap(), folder);
            assert_eq!(mailbox_name(folder).as_deref(), (!folder.is_empty()).then_some(mailbox));
        };
        check("inbox", "");
        check("junk", ".junk");
        check("a.b", ".a.b");
        check("Entwürfe.2024 & mehr", ".Entw&APw-rfe.2024 &- mehr");
        check("*%", ".*%");
        for bad in ["", ".", "a..b", ".a", "a.", "a/b", "a\nb", "~a", "DOVECOT-TRASHED", &"x".repeat(300)] {
            assert!(folder_name(bad).is_err(), "{bad}");
        }
        for alien in [".", "..", "junk", ".inbox", ".a..b", ".&bad", ".DOVECOT-TRASHED", ".ü"] {
            assert_eq!(mailbox_name(alien), None, "{alien}");
        }
    }

    #[test]
    fn a_listing_is_remembered_as_long_as_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(Arc::new(HostDisk), folder.path().to_owned());
        let age = || std::fs::File::open(folder.path()).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9)).unwrap();
        root.create("a").unwrap();
        std::fs::create_dir(folder.path().join(".half")).unwrap();
        age();
        assert_eq!((root.list().unwrap(), root.list().unwrap()), (vec!["a".to_owned()], vec!["a".to_owned()]));
        // Its last folder was missing; the root does not change.
        std::fs::create_dir(folder.path().join(".half/cur")).unwrap();
        assert_eq!(root.list().unwrap(), ["a", "half"]);
        root.create("b").unwrap();
        assert_eq!(root.list().unwrap(), ["a", "b", "half"]);
        age();
        assert_eq!(root.list().unwrap(), ["a", "b", "half"]);
        root.remove("a").unwrap();
        assert_eq!(root.list().unwrap(), ["b", "half"]);
    }

    #[test]
    fn mailboxes_are_made_renamed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(Arc::new(HostDisk), folder.path().join("home/Maildir"));
        let names = || root.list().unwrap().join(" ");
        assert_eq!(names(), "");
        for name in ["b", "a.x", "a.y", "ä"] {
            root.create(name).unwrap();
        }
        root.create("inbox").unwrap();
        std::fs::write(root.path().join("new/1"), "x").unwrap();
        std::fs::write(root.path().join(".a.x/new/1"), "x").unwrap();
        std::fs::create_dir(root.path().join(".no-mailbox")).unwrap();
        assert_eq!(names(), "a.x a.y b ä");
        assert!(root.rename("b", "a.x").is_err());
        assert_eq!(root.rename("a", "c.d").unwrap().len(), 2);
        assert_eq!(names(), "b c.d.x c.d.y ä");
        root.remove("c.d.x").unwrap();
        assert!(root.remove("c.d.x").is_err());
        assert!(root.remove("INBOX").is_err());
        assert_eq!(names(), "b c.d.y ä");
        assert!(root.exists("b").unwrap() && !root.exists("c").unwrap() && root.exists("INBOX").unwrap());
        assert!(root.path().join("new/1").exists());
    }
}
