//! What a power cut leaves, and what a sync of everything makes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Luck, Names};
use super::{Inode, Node, ROOT, Random, State};

impl State {
    pub(super) fn crash(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let luck = Luck::draw(&mut random);
        let chosen = self.choose_names(&mut random, luck);
        let mut inodes = BTreeMap::new();
        let mut links: BTreeMap<u64, u64> = BTreeMap::new();
        let mut wanted = vec![ROOT];
        let mut seen = BTreeSet::from([ROOT]);
        while let Some(number) = wanted.pop() {
            let Some(inode) = self.inodes.get(&number) else { continue };
            let node = match &inode.node {
                Node::File(content) => Node::File(content.crash(&mut random, luck)),
                Node::Folder(_) => {
                    let names = self.surviving_names(number, &chosen);
                    for inode in names.values() {
                        *links.entry(*inode).or_default() += 1;
                        if seen.insert(*inode) {
                            wanted.push(*inode);
                        }
                    }
                    Node::Folder(Names::exactly(names))
                }
            };
            inodes.insert(number, Inode { node, ..inode.clone() });
        }
        for (number, inode) in &mut inodes {
            inode.links = links.get(number).copied().unwrap_or(1);
        }
        Self {
            inodes,
            next_inode: self.next_inode,
            renames: Vec::new(),
            operations: self.operations,
            failing: None,
            crash_at: None,
            kept: None,
            capacity: self.capacity,
            boot: self.boot + 1,
            random,
        }
    }

    /// `syncfs`.
    pub(super) fn sync_everything(&mut self) {
        self.settle_all_names();
        for inode in self.inodes.values_mut() {
            if let Node::File(content) = &mut inode.node {
                content.sync();
            }
        }
    }
}
