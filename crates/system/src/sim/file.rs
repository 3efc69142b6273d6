//! The content of a file: what programs read, and what a power cut may leave of it.

use std::io;

use super::names::Luck;
use super::{Random, SimDisk};
use crate::disk::{File, Stat};

/// What a disk writes at once or not at all.
const SECTOR: u64 = 512;

/// A change of content that was not synced, or of which a sync failed.
#[derive(Clone, Debug)]
struct Change {
    kind: ChangeKind,
    /// A later sync succeeded, so that it is on disk for good.
    durable: bool,
    /// A sync failed after it: it is on disk or not, whatever comes.
    lost: bool,
}

#[derive(Clone, Debug)]
enum ChangeKind {
    Write(u64, Vec<u8>),
    Size(u64),
}

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    durable: Vec<u8>,
    changes: Vec<Change>,
    current: Vec<u8>,
    pub(super) unreadable: Option<(u64, u64)>,
}

fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.current.len() as u64
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.current.get(index(offset)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if self.unreadable.is_some_and(|(from, to)| offset < to && from < offset + count as u64) {
            return Err(io::Error::other("the sector cannot be read"));
        }
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write(&mut self, octets: &[u8], offset: u64) {
        overwrite(&mut self.current, octets, index(offset));
        self.changed(ChangeKind::Write(offset, octets.to_vec()));
    }

    fn set_size(&mut self, size: u64) {
        self.current.resize(index(size), 0);
        self.changed(ChangeKind::Size(size));
    }

    fn changed(&mut self, kind: ChangeKind) {
        self.changes.push(Change { kind, durable: false, lost: false });
    }

    pub(super) fn damage(&mut self, offset: u64, octets: &[u8]) {
        overwrite(&mut self.durable, octets, index(offset));
        overwrite(&mut self.current, octets, index(offset));
    }

    pub(super) fn sync(&mut self) {
        for change in self.changes.iter_mut().filter(|change| !change.lost) {
            change.durable = true;
        }
        if self.changes.iter().all(|change| change.durable) {
            for change in self.changes.drain(..) {
                match change.kind {
                    ChangeKind::Write(offset, octets) => overwrite(&mut self.durable, &octets, index(offset)),
                    ChangeKind::Size(size) => self.durable.resize(index(size), 0),
                }
            }
        }
    }

    fn fail_to_sync(&mut self) {
        for change in self.changes.iter_mut().filter(|change| !change.durable) {
            change.lost = true;
        }
    }

    /// What is left: of each sector some version since the last sync, of the sizes one.
    pub(super) fn crash(&self, random: &mut Random, luck: Luck) -> Self {
        let size = self.surviving_size(random, luck);
        let mut content = self.durable.clone();
        content.truncate(size);
        // What never was written is zeros on good days.
        let filler = if luck == Luck::Some && random.once_in(4) { random.number() as u8 } else { 0 };
        content.resize(size, filler);
        let sectors = size.div_ceil(index(SECTOR));
        let mut cuts = self.choose_cuts(sectors, random, luck);
        for change in &self.changes {
            match &change.kind {
                ChangeKind::Write(offset, octets) => {
                    each_sector(*offset, octets, &mut |sector, place, part| {
                        let Some(cut) = cuts.get_mut(sector) else { return };
                        if *cut > 0 && place < size && (change.durable || !change.lost || random.once_in(2)) {
                            let end = size.min(place + part.len());
                            content[place..end].copy_from_slice(&part[..end - place]);
                        }
                        *cut = cut.saturating_sub(1);
                    });
                }
                ChangeKind::Size(new) => {
                    for (sector, cut) in cuts.iter_mut().enumerate().skip(index(*new).div_ceil(index(SECTOR))) {
                        let start = sector * index(SECTOR);
                        if *cut > 0 {
                            content[start..size.min(start + index(SECTOR))].fill(0);
                        }
                        *cut = cut.saturating_sub(1);
                    }
                    if index(*new) < size && change.durable {
                        content[index(*new)..].fill(0);
                    }
                }
            }
        }
        Self { durable: content.clone(), changes: Vec::new(), current: content, unreadable: self.unreadable }
    }

    fn surviving_size(&self, random: &mut Random, luck: Luck) -> usize {
        let mut sizes = vec![self.durable.len()];
        let mut first = 0;
        for change in &self.changes {
            let last = sizes[sizes.len() - 1];
            let size = match &change.kind {
                ChangeKind::Write(offset, octets) => last.max(index(*offset) + octets.len()),
                ChangeKind::Size(size) => index(*size),
            };
            sizes.push(size);
            if change.durable {
                first = sizes.len() - 1;
            }
        }
        sizes[first + luck.choose(random, sizes.len() - 1 - first)]
    }

    /// For each sector how many of the changes that touch it survive; those up to the last durable one do.
    fn choose_cuts(&self, sectors: usize, random: &mut Random, luck: Luck) -> Vec<usize> {
        let mut touches = vec![(0, 0); sectors];
        for change in &self.changes {
            let mut touch = |sector: usize| {
                if let Some((all, durable)) = touches.get_mut(sector) {
                    *all += 1;
                    if change.durable {
                        *durable = *all;
                    }
                }
            };
            match &change.kind {
                ChangeKind::Write(offset, octets) => each_sector(*offset, octets, &mut |sector, _, _| touch(sector)),
                ChangeKind::Size(size) => (index(*size).div_ceil(index(SECTOR))..sectors).for_each(touch),
            }
        }
        touches.into_iter().map(|(all, durable)| durable + luck.choose(random, all - durable)).collect()
    }
}

/// Calls `each` with every sector that a write touches, the place in the file, and the part that goes there.
fn each_sector(offset: u64, octets: &[u8], each: &mut dyn FnMut(usize, usize, &[u8])) {
    let mut done = 0;
    while done < octets.len() {
        let place = offset + done as u64;
        let end = octets.len().min(done + index(SECTOR - place % SECTOR));
        each(index(place / SECTOR), index(place), &octets[done..end]);
        done = end;
    }
}

fn overwrite(content: &mut Vec<u8>, octets: &[u8], at: usize) {
    let end = at + octets.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(octets);
}

/// A handle.
#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    inode: u64,
    writable: bool,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, inode: u64, writable: bool) -> Self {
        Self { disk, inode, writable }
    }

    fn check(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        self.check()?;
        let mut state = self.disk.lock();
        state.operation()?;
        if size > state.content(self.inode)?.size() {
            state.check_room(self.inode, size)?;
        }
        state.content(self.inode)?.set_size(size);
        Ok(())
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.lock().content(self.inode)?.read(buffer, offset)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.check()?;
        let mut state = self.disk.lock();
        let outcome = state.operation();
        if let Err(error) = outcome {
            let part = index(state.random.below(octets.len() as u64 + 1));
            state.content(self.inode)?.write(&octets[..part], offset);
            return Err(error);
        }
        let end = offset + octets.len() as u64;
        if end > state.content(self.inode)?.size() {
            state.check_room(self.inode, end)?;
        }
        let now = state.now();
        state.content(self.inode)?.write(octets, offset);
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            inode.modified = now;
            inode.changed = now;
        }
        Ok(())
    }

    fn stat(&self) -> io::Result<Stat> {
        self.disk.lock().stat(self.inode)
    }

    fn set_modified(&self, seconds: i64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let now = state.operation()?;
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            inode.modified = seconds.saturating_mul(1_000_000_000);
            inode.changed = now;
        }
        Ok(())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.resize(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        if size <= self.size()? { Ok(()) } else { self.resize(size) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let outcome = state.operation();
        let content = state.content(self.inode)?;
        match outcome {
            Ok(_) => content.sync(),
            Err(error) => {
                content.fail_to_sync();
                return Err(error);
            }
        }
        Ok(())
    }
}
