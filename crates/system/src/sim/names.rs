//! The names in a folder: those that programs see, and those that a power cut may leave.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::{Node, Random, State};

/// A name in a folder.
pub(super) type Place = (u64, OsString);

/// What a name came to stand for.
#[derive(Clone, Copy, Debug)]
struct Version {
    operation: u64,
    inode: Option<u64>,
}

/// All names of a folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    durable: BTreeMap<OsString, u64>,
    /// What was changed since it was durable, in order.
    changes: BTreeMap<OsString, Vec<Version>>,
    current: BTreeMap<OsString, u64>,
}

/// A rename: if the old name is lost the new one is not.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    pub(super) operation: u64,
    pub(super) from: Place,
    pub(super) to: Place,
}

impl Names {
    pub(super) fn find(&self, name: &OsStr) -> Option<u64> {
        self.current.get(name).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsString, u64)> {
        self.current.iter().map(|(name, inode)| (name, *inode))
    }

    /// Gives what the name stood for before.
    pub(super) fn set(&mut self, name: &OsStr, inode: Option<u64>, operation: u64) -> Option<u64> {
        self.changes.entry(name.to_owned()).or_default().push(Version { operation, inode });
        match inode {
            Some(inode) => self.current.insert(name.to_owned(), inode),
            None => self.current.remove(name),
        }
    }

    /// Makes the changes of one name up to an operation durable.
    fn settle(&mut self, name: &OsStr, upto: u64) {
        let Some(versions) = self.changes.get_mut(name) else { return };
        let count = versions.partition_point(|version| version.operation <= upto);
        match versions[..count].last().map(|version| version.inode) {
            Some(Some(inode)) => drop(self.durable.insert(name.to_owned(), inode)),
            Some(None) => drop(self.durable.remove(name)),
            None => {}
        }
        versions.drain(..count);
        if versions.is_empty() {
            self.changes.remove(name);
        }
    }

    /// Whether a change at this operation is durable.
    fn is_settled(&self, place: &OsStr, operation: u64) -> bool {
        self.changes.get(place).is_none_or(|versions| versions.first().is_none_or(|version| version.operation > operation))
    }

    fn forget_changes(&mut self) {
        self.changes.clear();
        self.durable.clone_from(&self.current);
    }

    /// A folder that had only these names for ever.
    pub(super) fn exactly(names: BTreeMap<OsString, u64>) -> Self {
        Self { durable: names.clone(), changes: BTreeMap::new(), current: names }
    }
}

impl State {
    /// `fsync` of a folder: its names are durable, and with them the other halves of its renames.
    pub(super) fn sync_names(&mut self, folder: u64) {
        let now = self.operations;
        let names = |state: &Self, folder| match state.inodes.get(&folder).map(|inode| &inode.node) {
            Some(Node::Folder(names)) => names.changes.keys().cloned().collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        for name in names(self, folder) {
            self.settle(&(folder, name), now);
        }
        let renames = std::mem::take(&mut self.renames);
        self.renames =
            renames.into_iter().filter(|rename| !(self.settled(&rename.from, rename) && self.settled(&rename.to, rename))).collect();
    }

    /// Makes a name durable as it was at an operation; where it was renamed away the new name comes first.
    fn settle(&mut self, place: &Place, upto: u64) {
        let renames: Vec<_> = self.renames.iter().filter(|rename| rename.from == *place && rename.operation <= upto).cloned().collect();
        for rename in renames {
            if !self.settled(&rename.to, &rename) {
                self.settle(&rename.to.clone(), rename.operation);
            }
        }
        if let Ok(names) = self.names(place.0) {
            names.settle(&place.1, upto);
        }
    }

    fn settled(&self, place: &Place, rename: &Rename) -> bool {
        match self.inodes.get(&place.0).map(|inode| &inode.node) {
            Some(Node::Folder(names)) => names.is_settled(&place.1, rename.operation),
            _ => true,
        }
    }

    pub(super) fn settle_all_names(&mut self) {
        self.renames.clear();
        for inode in self.inodes.values_mut() {
            if let Node::Folder(names) = &mut inode.node {
                names.forget_changes();
            }
        }
    }

    /// For each changed name the operation up to which its changes survive.
    pub(super) fn choose_names(&self, random: &mut Random, luck: Luck) -> BTreeMap<Place, u64> {
        let mut chosen = BTreeMap::new();
        for (folder, inode) in &self.inodes {
            let Node::Folder(names) = &inode.node else { continue };
            for (name, versions) in &names.changes {
                let count = luck.choose(random, versions.len());
                let upto = versions[..count].last().map_or(0, |version| version.operation);
                chosen.insert((*folder, name.clone()), upto);
            }
        }
        // A lost old name needs its new one. That may be a lost name itself, so go on until nothing changes.
        loop {
            let mut changed = false;
            for rename in &self.renames {
                let lost = self.settled(&rename.from, rename) || chosen.get(&rename.from).is_some_and(|upto| *upto >= rename.operation);
                if let Some(upto) = chosen.get_mut(&rename.to).filter(|upto| lost && **upto < rename.operation) {
                    *upto = rename.operation;
                    changed = true;
                }
            }
            if !changed {
                return chosen;
            }
        }
    }

    /// The names of a folder as chosen.
    pub(super) fn surviving_names(&self, folder: u64, chosen: &BTreeMap<Place, u64>) -> BTreeMap<OsString, u64> {
        let Some(Node::Folder(names)) = self.inodes.get(&folder).map(|inode| &inode.node) else { return BTreeMap::new() };
        let mut names = names.clone();
        for name in names.changes.keys().cloned().collect::<Vec<_>>() {
            let upto = chosen.get(&(folder, name.clone())).copied().unwrap_or(0);
            names.settle(&name, upto);
        }
        names.durable
    }
}

/// How much of what was not synced a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Luck {
    Nothing,
    Everything,
    Some,
}

impl Luck {
    pub(super) fn draw(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Some,
        }
    }

    /// How many of `count` changes, made one after the other, survive.
    pub(super) fn choose(self, random: &mut Random, count: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Everything => count,
            Self::Some => usize::try_from(random.below(count as u64 + 1)).unwrap_or(0),
        }
    }
}
