//! A disk in memory that keeps exactly what POSIX promises and no more.
//!
//! [`SimDisk::crash`] gives what may be left after a power cut: of everything that was not synced, each sector of 512 octets, each
//! size and each name survives or not, by itself and in any order. Only what `disk.rs` promises holds: a renamed file has
//! at least one of its names. The disk can be full, fail at a chosen operation, and be damaged.

mod crash;
mod file;
mod names;
mod random;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Create, Disk, Entry, File, Kind, Stat};
use file::{Content, SimFile};
use names::{Names, Rename};

pub use random::Random;

/// The simulated disk. Clones are the same disk; a process that ends and starts again sees it unchanged.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

/// The folder that is always there.
const ROOT: u64 = 1;

struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// Renames whose two names are not both durable.
    renames: Vec<Rename>,
    /// Numbers operations; also the clock.
    operations: u64,
    /// Operations from the first number up to before the second fail.
    failing: Option<(u64, u64, io::ErrorKind)>,
    /// Before which operation to keep what a power cut would leave, and with which seed.
    crash_at: Option<(u64, u64)>,
    kept: Option<Box<State>>,
    capacity: Option<u64>,
    boot: u128,
    random: Random,
}

#[derive(Clone, Debug)]
struct Inode {
    node: Node,
    /// Nanoseconds since 1970.
    modified: i64,
    changed: i64,
    links: u64,
}

#[derive(Clone, Debug)]
enum Node {
    File(Content),
    Folder(Names),
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk(..)")
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new(1)
    }
}

impl SimDisk {
    /// An empty disk with the folder `/`. The seed decides how failing operations fail.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = State {
            inodes: BTreeMap::new(),
            next_inode: ROOT + 1,
            renames: Vec::new(),
            operations: 0,
            failing: None,
            crash_at: None,
            kept: None,
            capacity: None,
            boot: 1,
            random: Random::new(seed),
        };
        state.inodes.insert(ROOT, Inode::new(Node::Folder(Names::default()), 0));
        Self(Arc::new(Mutex::new(state)))
    }

    /// What is left after a power cut now, as the seed chooses. This disk goes on as if nothing had happened.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(self.lock().crash(seed))))
    }

    /// Cuts the power before the operation that comes after `skip` more: [`SimDisk::take_crashed`] gives what is left. So the
    /// power can fail in the middle of a call. This disk goes on as if nothing had happened.
    pub fn crash_later(&self, skip: u64, seed: u64) {
        let mut state = self.lock();
        state.crash_at = Some((state.operations + skip, seed));
    }

    /// The disk after the power cut that was asked for, if it has come to that.
    #[must_use]
    pub fn take_crashed(&self) -> Option<Self> {
        self.lock().kept.take().map(|state| Self(Arc::new(Mutex::new(*state))))
    }

    /// Limits the room for files, in octets; `None` lifts the limit.
    pub fn set_capacity(&self, octets: Option<u64>) {
        self.lock().capacity = octets;
    }

    /// How many operations that change something, syncs included, were asked for so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Makes `count` operations fail, after `skip` more have succeeded. A write that fails may have been done in part; after a
    /// failed sync what was not durable may be lost though later syncs succeed.
    pub fn fail(&self, skip: u64, count: u64, error: io::ErrorKind) {
        let mut state = self.lock();
        let first = state.operations + skip;
        state.failing = Some((first, first.saturating_add(count), error));
    }

    /// Lets all operations succeed again.
    pub fn heal(&self) {
        self.lock().failing = None;
    }

    /// Overwrites a part of a file behind everybody's back, as a broken disk does.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    pub fn damage(&self, path: &Path, offset: u64, octets: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.resolve(path)?;
        state.content(inode)?.damage(offset, octets);
        Ok(())
    }

    /// Makes reading this part of a file fail.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    pub fn make_unreadable(&self, path: &Path, from: u64, to: u64) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.resolve(path)?;
        state.content(inode)?.unreadable = Some((from, to));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inode {
    fn new(node: Node, now: i64) -> Self {
        Self { node, modified: now, changed: now, links: 1 }
    }
}

impl State {
    /// Counts an operation, which may be one that fails.
    fn operation(&mut self) -> io::Result<i64> {
        let number = self.operations;
        if let Some((_, seed)) = self.crash_at.take_if(|(at, _)| *at == number) {
            self.kept = Some(Box::new(self.crash(seed)));
        }
        self.operations += 1;
        match self.failing {
            Some((from, to, error)) if (from..to).contains(&number) => Err(error.into()),
            _ => Ok(self.now()),
        }
    }

    /// A clock that goes on by a microsecond with each operation.
    fn now(&self) -> i64 {
        i64::try_from(self.operations).unwrap_or(i64::MAX).saturating_mul(1000)
    }

    fn inode(&self, inode: u64) -> io::Result<&Inode> {
        self.inodes.get(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn names(&mut self, inode: u64) -> io::Result<&mut Names> {
        match self.inodes.get_mut(&inode).map(|inode| &mut inode.node) {
            Some(Node::Folder(names)) => Ok(names),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn content(&mut self, inode: u64) -> io::Result<&mut Content> {
        match self.inodes.get_mut(&inode).map(|inode| &mut inode.node) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<u64> {
        let mut inode = ROOT;
        for component in path.components() {
            inode = match (component, &self.inode(inode)?.node) {
                (Component::RootDir, _) => ROOT,
                (Component::Normal(name), Node::Folder(names)) => names.find(name).ok_or(io::ErrorKind::NotFound)?,
                (Component::Normal(_), Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
        }
        Ok(inode)
    }

    /// The folder of a path, and the name in it.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(u64, &'a std::ffi::OsStr)> {
        let folder = self.resolve(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        match self.inode(folder)?.node {
            Node::Folder(_) => Ok((folder, name)),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Sets or takes away a name, and keeps the counts and times of what it stands for.
    fn set_name(&mut self, folder: u64, name: &std::ffi::OsStr, inode: Option<u64>, now: i64) -> io::Result<()> {
        let operation = self.operations;
        let old = self.names(folder)?.set(name, inode, operation);
        if let Some(parent) = self.inodes.get_mut(&folder) {
            parent.modified = now;
            parent.changed = now;
        }
        if let Some(old) = old.and_then(|old| self.inodes.get_mut(&old)) {
            old.links = old.links.saturating_sub(1);
            old.changed = now;
        }
        if let Some(new) = inode.and_then(|new| self.inodes.get_mut(&new)) {
            new.links += 1;
            new.changed = now;
        }
        Ok(())
    }

    fn make(&mut self, folder: u64, name: &std::ffi::OsStr, node: Node, now: i64) -> io::Result<u64> {
        let inode = self.next_inode;
        self.next_inode += 1;
        let mut made = Inode::new(node, now);
        made.links = 0;
        self.inodes.insert(inode, made);
        self.set_name(folder, name, Some(inode), now)?;
        Ok(inode)
    }

    fn stat(&self, number: u64) -> io::Result<Stat> {
        let inode = self.inode(number)?;
        let (kind, size, mode) = match &inode.node {
            Node::File(content) => (Kind::File, content.size(), 0o600),
            Node::Folder(_) => (Kind::Folder, 4096, 0o700),
        };
        let Inode { modified, changed, links, .. } = *inode;
        Ok(Stat { kind, size, modified, changed, inode: number, links, uid: 0, mode })
    }

    /// Refuses what would make the files larger than the disk.
    fn check_room(&self, inode: u64, size: u64) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let others = self.inodes.iter().filter(|(other, found)| **other != inode && found.links > 0);
        let used: u64 = others.map(|(_, found)| if let Node::File(content) = &found.node { content.size() } else { 0 }).sum();
        if used + size > capacity { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, create: Create) -> io::Result<Box<dyn File>> {
        let mut state = self.lock();
        let (folder, name) = state.parent(path)?;
        let found = state.names(folder)?.find(name);
        let inode = match (found, create) {
            (Some(_), Create::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, Create::Read | Create::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, Create::New | Create::Missing) => {
                let now = state.operation()?;
                state.make(folder, name, Node::File(Content::default()), now)?
            }
        };
        state.content(inode).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))?;
        Ok(Box::new(SimFile::new(self.clone(), inode, create != Create::Read)))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let state = self.lock();
        state.stat(state.resolve(path)?)
    }

    fn list(&self, folder: &Path, each: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        let mut entries = Vec::new();
        {
            let mut state = self.lock();
            let inode = state.resolve(folder)?;
            let names: Vec<_> = state.names(inode)?.iter().map(|(name, inode)| (name.clone(), inode)).collect();
            for (name, inode) in names {
                let kind = if matches!(state.inode(inode)?.node, Node::File(_)) { Kind::File } else { Kind::Folder };
                entries.push((name, kind));
            }
        }
        // The lock is let go, so that the caller may ask the disk while it is being told.
        entries.iter().for_each(|(name, kind)| each(Entry { name, kind: *kind }));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.resolve(from)?;
        let (from, to) = (state.parent(from)?, state.parent(to)?);
        let target = state.names(to.0)?.find(to.1);
        if target == Some(inode) {
            return Ok(());
        }
        if let Some(target) = target {
            let is_file = |number| Ok::<_, io::Error>(matches!(state.inode(number)?.node, Node::File(_)));
            match (is_file(inode)?, is_file(target)?) {
                (true, false) => return Err(io::ErrorKind::IsADirectory.into()),
                (false, true) => return Err(io::ErrorKind::NotADirectory.into()),
                (false, false) if state.names(target)?.iter().next().is_some() => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
                _ => {}
            }
        }
        let now = state.operation()?;
        state.set_name(to.0, to.1, Some(inode), now)?;
        state.set_name(from.0, from.1, None, now)?;
        let operation = state.operations;
        state.renames.push(Rename { operation, from: (from.0, from.1.to_owned()), to: (to.0, to.1.to_owned()) });
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.resolve(from)?;
        if matches!(state.inode(inode)?.node, Node::Folder(_)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let (folder, name) = state.parent(to)?;
        if state.names(folder)?.find(name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let now = state.operation()?;
        state.set_name(folder, name, Some(inode), now)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.resolve(path)?;
        if matches!(state.inode(inode)?.node, Node::Folder(_)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (folder, name) = state.parent(path)?;
        let now = state.operation()?;
        state.set_name(folder, name, None, now)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let (folder, name) = state.parent(path)?;
        if state.names(folder)?.find(name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let now = state.operation()?;
        state.make(folder, name, Node::Folder(Names::default()), now).map(drop)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.resolve(path)?;
        if state.names(inode)?.iter().next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (folder, name) = state.parent(path)?;
        let now = state.operation()?;
        state.set_name(folder, name, None, now)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.resolve(folder)?;
        state.names(inode)?;
        state.operation()?;
        state.sync_names(inode);
        Ok(())
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.resolve(path)?;
        state.operation()?;
        state.sync_everything();
        Ok(())
    }

    fn boot(&self) -> Option<u128> {
        Some(self.lock().boot)
    }
}

#[cfg(test)]
mod tests;
