//! What one look into `new` and `cur` found: names in one piece of memory, sorted by base.

use std::path::Path;

use maildir::name;
use maildir::scan::{self, Place};
use system::Disk;

use crate::error::Result;

#[derive(Clone, Copy, Debug)]
struct Item {
    start: u32,
    base: u16,
    length: u16,
    place: Place,
}

/// The names found, sorted by base; of several with the same base the one in `cur` with most letters.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    names: Vec<u8>,
    items: Vec<Item>,
    /// Second names of the same base, with the first ones.
    twins: Vec<(Item, Item)>,
}

/// One name found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) base: &'a [u8],
    /// What follows the base, as it is.
    pub(crate) suffix: &'a [u8],
    pub(crate) place: Place,
}

impl Listing {
    /// Looks into the given folders.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path, places: &[Place]) -> Result<Self> {
        let mut listing = Self::default();
        for place in places {
            scan::messages(disk, folder, *place, &mut |name| listing.push(name, *place))?;
        }
        let Self { names, items, twins } = &mut listing;
        let base = |item: &Item| &names[item.start as usize..][..usize::from(item.base)];
        let rank = |item: &Item| (item.place == Place::New, std::cmp::Reverse(item.length));
        items.sort_by(|a, b| base(a).cmp(base(b)).then_with(|| rank(a).cmp(&rank(b))));
        items.dedup_by(|later, earlier| {
            let same = base(later) == base(earlier);
            if same {
                twins.push((*earlier, *later));
            }
            same
        });
        Ok(listing)
    }

    fn push(&mut self, name: &[u8], place: Place) {
        let item = Item { start: self.names.len() as u32, base: name::base(name).len() as u16, length: name.len() as u16, place };
        self.names.extend_from_slice(name);
        self.items.push(item);
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn at(&self, index: usize) -> Found<'_> {
        self.found(self.items[index])
    }

    /// Messages seen under two names: the one that counts, and the other.
    pub(crate) fn twins(&self) -> impl Iterator<Item = (Found<'_>, Found<'_>)> {
        self.twins.iter().map(|(first, second)| (self.found(*first), self.found(*second)))
    }

    fn found(&self, item: Item) -> Found<'_> {
        let name = &self.names[item.start as usize..][..usize::from(item.length)];
        let (base, suffix) = name.split_at(usize::from(item.base));
        Found { base, suffix, place: item.place }
    }

    /// Where a base is.
    pub(crate) fn find(&self, base: &[u8]) -> Option<usize> {
        self.items.binary_search_by(|item| self.names[item.start as usize..][..usize::from(item.base)].cmp(base)).ok()
    }
}
