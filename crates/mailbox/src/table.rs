//! All messages of a mailbox in memory, sorted by UID, in chunks of at most 512: a change touches one chunk whatever the
//! size of the mailbox. A chunk is also the page that the index stores. About 100 octets for a message with a name of ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use mail::{Flag, Uid};
use maildir::scan::Place;

use crate::codec::{Reader, Writer};
use crate::record::{Bits, Message, NO_SIZE, Row};
use crate::uids::{PIECE, Uids};

/// A row with where its name stands in the chunk's names.
#[derive(Clone, Copy, Debug)]
struct Slot {
    row: Row,
    name: u32,
    length: u16,
}

#[derive(Clone, Debug)]
struct Chunk {
    /// Names the page in the index.
    id: u32,
    uids: Arc<Vec<Uid>>,
    slots: Vec<Slot>,
    names: Vec<u8>,
    /// Octets of `names` that belong to nobody any more.
    unused: usize,
    dirty: bool,
}

impl Chunk {
    fn new(id: u32) -> Self {
        Self { id, uids: Arc::new(Vec::new()), slots: Vec::new(), names: Vec::new(), unused: 0, dirty: true }
    }

    fn name(&self, at: usize) -> &[u8] {
        let slot = &self.slots[at];
        &self.names[slot.name as usize..][..usize::from(slot.length)]
    }

    fn insert(&mut self, at: usize, message: &Message) {
        let slot = Slot { row: message.row, name: self.names.len() as u32, length: message.name.len() as u16 };
        self.names.extend_from_slice(&message.name);
        self.slots.insert(at, slot);
        Arc::make_mut(&mut self.uids).insert(at, message.uid);
        self.dirty = true;
        if self.slots.len() == PIECE {
            self.names.shrink_to_fit();
            self.slots.shrink_to_fit();
        }
    }

    fn take(&mut self, at: usize) -> Message {
        let name = self.name(at).into();
        let slot = self.slots.remove(at);
        let uid = Arc::make_mut(&mut self.uids).remove(at);
        self.unused += usize::from(slot.length);
        self.dirty = true;
        if self.unused > self.names.len() / 2 {
            self.pack();
        }
        Message { uid, row: slot.row, name }
    }

    fn pack(&mut self) {
        let mut names = Vec::with_capacity(self.names.len() - self.unused);
        for slot in &mut self.slots {
            let name = &self.names[slot.name as usize..][..usize::from(slot.length)];
            slot.name = names.len() as u32;
            names.extend_from_slice(name);
        }
        self.names = names;
        self.unused = 0;
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(self.slots.len() as u32);
        for (at, slot) in self.slots.iter().enumerate() {
            out.u32(self.uids[at]);
            out.u64(slot.row.modseq);
            out.u64(slot.row.date.cast_unsigned());
            out.u32(slot.row.size);
            out.u32(slot.row.bits.0);
            out.bytes(self.name(at));
        }
        out.sealed()
    }

    fn decode(id: u32, page: &[u8]) -> Option<Self> {
        let mut input = Reader::sealed(page)?;
        let count = input.u32()? as usize;
        let mut chunk = Self { dirty: false, ..Self::new(id) };
        let mut uids = Vec::with_capacity(count.min(PIECE));
        chunk.slots.reserve_exact(count.min(PIECE));
        chunk.names.reserve_exact(page.len().saturating_sub(count * 30));
        for _ in 0..count {
            let uid = input.u32()?;
            let row = Row { modseq: input.u64()?, date: input.u64()?.cast_signed(), size: input.u32()?, bits: Bits(input.u32()?) };
            let name = input.bytes()?;
            uids.push(uid);
            chunk.slots.push(Slot { row, name: chunk.names.len() as u32, length: u16::try_from(name.len()).ok()? });
            chunk.names.extend_from_slice(name);
        }
        let sound = !uids.is_empty() && uids.windows(2).all(|pair| pair[0] < pair[1]) && input.is_at_end();
        chunk.uids = Arc::new(uids);
        sound.then_some(chunk)
    }
}

/// Sums over all messages, kept up to date by every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) messages: u32,
    pub(crate) unseen: u32,
    pub(crate) deleted: u32,
    pub(crate) recent: u32,
    /// Sum of the sizes that are known.
    pub(crate) size: u64,
    /// How many sizes are not known.
    pub(crate) unsized_messages: u32,
}

impl Counts {
    pub(crate) fn add(&mut self, row: &Row) {
        self.messages += 1;
        self.unseen += u32::from(!row.bits.has(Flag::Seen));
        self.deleted += u32::from(row.bits.has(Flag::Deleted));
        self.recent += u32::from(row.bits.place() == Place::New);
        self.unsized_messages += u32::from(row.size == NO_SIZE);
        self.size += if row.size == NO_SIZE { 0 } else { u64::from(row.size) };
    }

    fn remove(&mut self, row: &Row) {
        let mut one = Self::default();
        one.add(row);
        self.messages -= one.messages;
        self.unseen -= one.unseen;
        self.deleted -= one.deleted;
        self.recent -= one.recent;
        self.unsized_messages -= one.unsized_messages;
        self.size -= one.size;
    }
}

/// What the index has to be told to follow a table.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) changed: Vec<(u32, Vec<u8>)>,
    pub(crate) removed: Vec<u32>,
}

/// All messages of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Table {
    chunks: Vec<Chunk>,
    counts: Counts,
    deleted: BTreeSet<Uid>,
    fresh: BTreeSet<Uid>,
    next_id: u32,
    removed: Vec<u32>,
}

impl Table {
    /// The table from the pages of an index; `None` if they do not fit together.
    #[cfg(test)]
    pub(crate) fn from_pages<'a>(some: impl IntoIterator<Item = &'a (u32, Vec<u8>)>) -> Option<Self> {
        let mut table = Self::default();
        table.add_pages(some)?;
        table.complete()
    }

    /// Adds pages; [`Table::complete`] makes them one.
    pub(crate) fn add_pages<'a>(&mut self, pages: impl IntoIterator<Item = &'a (u32, Vec<u8>)>) -> Option<()> {
        for (id, page) in pages {
            self.chunks.push(Chunk::decode(*id, page)?);
            self.next_id = self.next_id.max(id.checked_add(1)?);
        }
        Some(())
    }

    /// Puts the pages in order and sums up.
    pub(crate) fn complete(mut self) -> Option<Self> {
        self.chunks.sort_by_key(|chunk| chunk.uids[0]);
        let ascending = self.chunks.windows(2).all(|pair| pair[0].uids.last() < pair[1].uids.first());
        let mut counts = Counts::default();
        self.rows().for_each(|(_, row)| counts.add(&row));
        self.counts = counts;
        self.deleted = self.rows().filter(|(_, row)| row.bits.has(Flag::Deleted)).map(|(uid, _)| uid).collect();
        self.fresh = self.rows().filter(|(_, row)| row.bits.place() == Place::New).map(|(uid, _)| uid).collect();
        ascending.then_some(self)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The messages with `\Deleted`.
    pub(crate) fn deleted(&self) -> &BTreeSet<Uid> {
        &self.deleted
    }

    /// The messages in `new`.
    pub(crate) fn fresh(&self) -> &BTreeSet<Uid> {
        &self.fresh
    }

    /// The UIDs for a session, sharing memory with the table.
    pub(crate) fn uids(&self) -> Uids {
        Uids::new(self.chunks.iter().map(|chunk| Arc::clone(&chunk.uids)).collect())
    }

    pub(crate) fn last(&self) -> Option<Uid> {
        self.chunks.last()?.uids.last().copied()
    }

    fn place(&self, uid: Uid) -> Option<(usize, usize)> {
        let chunk = self.chunks.partition_point(|chunk| chunk.uids.last().is_some_and(|last| *last < uid));
        let at = self.chunks.get(chunk)?.uids.binary_search(&uid).ok()?;
        Some((chunk, at))
    }

    pub(crate) fn row(&self, uid: Uid) -> Option<Row> {
        self.place(uid).map(|(chunk, at)| self.chunks[chunk].slots[at].row)
    }

    /// A message's row and where the base of its file name is found. `at` is as in [`Uids::follow`].
    pub(crate) fn follow<'a>(&'a self, at: &mut (usize, usize), uid: Uid) -> Option<(&'a Row, impl Fn() -> &'a [u8] + use<'a>)> {
        let expected = self.chunks.get(at.0).and_then(|chunk| chunk.uids.get(at.1)) == Some(&uid);
        let found = if expected { *at } else { self.place(uid)? };
        let chunk = &self.chunks[found.0];
        *at = if found.1 + 1 < chunk.slots.len() { (found.0, found.1 + 1) } else { (found.0 + 1, 0) };
        Some((&chunk.slots[found.1].row, move || chunk.name(found.1)))
    }

    /// The base of a message's file name.
    pub(crate) fn name(&self, uid: Uid) -> Option<&[u8]> {
        self.place(uid).map(|(chunk, at)| self.chunks[chunk].name(at))
    }

    /// The rows with their UIDs, ascending.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Uid, Row)> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.uids.iter().copied().zip(chunk.slots.iter().map(|slot| slot.row)))
    }

    /// The names with their UIDs, ascending by UID.
    pub(crate) fn names(&self) -> impl Iterator<Item = (Uid, &[u8])> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.uids.iter().enumerate().map(|(at, uid)| (*uid, chunk.name(at))))
    }

    /// Changes a row; false if there is no such message.
    pub(crate) fn set(&mut self, uid: Uid, row: Row) -> bool {
        let Some((chunk, at)) = self.place(uid) else { return false };
        let chunk = &mut self.chunks[chunk];
        let old = std::mem::replace(&mut chunk.slots[at].row, row);
        chunk.dirty = true;
        self.counts.remove(&old);
        self.counts.add(&row);
        self.note_sets(uid, Some(row));
        true
    }

    fn note_sets(&mut self, uid: Uid, row: Option<Row>) {
        let note = |set: &mut BTreeSet<Uid>, on: bool| if on { set.insert(uid) } else { set.remove(&uid) };
        note(&mut self.deleted, row.is_some_and(|row| row.bits.has(Flag::Deleted)));
        note(&mut self.fresh, row.is_some_and(|row| row.bits.place() == Place::New));
    }

    /// Puts a message in. Its UID is not there yet.
    pub(crate) fn insert(&mut self, message: &Message) {
        let last = self.chunks.len().saturating_sub(1);
        let at = self.chunks.partition_point(|chunk| chunk.uids.last().is_some_and(|last| *last < message.uid)).min(last);
        let full = self.chunks.get(at).is_none_or(|chunk| chunk.slots.len() >= PIECE);
        let at = if full { self.room(at, message.uid) } else { at };
        let chunk = &mut self.chunks[at];
        let slot = chunk.uids.partition_point(|uid| *uid < message.uid);
        chunk.insert(slot, message);
        self.counts.add(&message.row);
        self.note_sets(message.uid, Some(message.row));
    }

    /// Makes room at a full chunk: a new one behind all others, or one half of the split chunk.
    fn room(&mut self, at: usize, uid: Uid) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        if self.last().is_none_or(|last| last < uid) {
            self.chunks.push(Chunk::new(id));
            return self.chunks.len() - 1;
        }
        let mut upper = Chunk::new(id);
        let chunk = &mut self.chunks[at];
        let mut moved = Vec::new();
        while chunk.slots.len() > PIECE / 2 {
            moved.push(chunk.take(chunk.slots.len() - 1));
        }
        moved.iter().rev().enumerate().for_each(|(slot, message)| upper.insert(slot, message));
        let above = upper.uids[0] < uid;
        self.chunks.insert(at + 1, upper);
        at + usize::from(above)
    }

    /// Takes a message out.
    pub(crate) fn remove(&mut self, uid: Uid) -> Option<Message> {
        let (at, slot) = self.place(uid)?;
        let message = self.chunks[at].take(slot);
        if self.chunks[at].slots.is_empty() {
            self.removed.push(self.chunks.remove(at).id);
        }
        self.counts.remove(&message.row);
        self.note_sets(uid, None);
        Some(message)
    }

    /// Gives every message this modification sequence.
    pub(crate) fn renumber(&mut self, modseq: u64) {
        for chunk in &mut self.chunks {
            chunk.slots.iter_mut().for_each(|slot| slot.row.modseq = modseq);
            chunk.dirty = true;
        }
    }

    /// What changed since the last call, for the index.
    pub(crate) fn take_pages(&mut self) -> Pages {
        let mut pages = Pages { removed: std::mem::take(&mut self.removed), ..Pages::default() };
        for chunk in self.chunks.iter_mut().filter(|chunk| chunk.dirty) {
            chunk.dirty = false;
            pages.changed.push((chunk.id, chunk.encode()));
        }
        pages
    }

    /// Whether the index lacks something of it.
    pub(crate) fn touch(&mut self) {
        self.chunks.iter_mut().for_each(|chunk| chunk.dirty = true);
    }

    /// Octets of memory, for the test that holds the promise.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        let chunk = |c: &Chunk| size_of::<Chunk>() + c.uids.capacity() * 4 + c.slots.capacity() * size_of::<Slot>() + c.names.capacity();
        self.chunks.iter().map(chunk).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn message(uid: Uid, bits: u32) -> Message {
        let row = Row { modseq: u64::from(uid), date: 5, size: if bits.is_multiple_of(7) { NO_SIZE } else { bits }, bits: Bits(bits) };
        Message { uid, row, name: format!("name{uid}").into_bytes().into() }
    }

    proptest! {
        #[test]
        fn it_is_a_map_with_sums(steps in prop::collection::vec((0u8..5, 1u32..2000, 0u32..64), 1..200), first in 0u32..1500) {
            let mut model: BTreeMap<Uid, Message> = (1..=first).map(|uid| (uid * 2, message(uid * 2, uid % 64))).collect();
            let mut table = Table::default();
            model.values().for_each(|m| table.insert(m));
            for (kind, uid, bits) in steps {
                match kind {
                    0 | 1 if !model.contains_key(&uid) => {
                        table.insert(&message(uid, bits));
                        model.insert(uid, message(uid, bits));
                    }
                    2 => prop_assert_eq!(table.remove(uid), model.remove(&uid)),
                    3 => {
                        let pages = table.take_pages();
                        prop_assert!(pages.changed.len() <= table.chunks.len());
                    }
                    _ => {
                        let row = message(uid, bits).row;
                        prop_assert_eq!(table.set(uid, row), model.contains_key(&uid));
                        model.entry(uid).and_modify(|m| m.row = row);
                    }
                }
            }
            let mut counts = Counts::default();
            model.values().for_each(|m| counts.add(&m.row));
            prop_assert_eq!(table.counts(), counts);
            prop_assert_eq!(table.uids().flat().to_vec(), model.keys().copied().collect::<Vec<_>>());
            table.touch();
            let again = Table::from_pages(&table.take_pages().changed).unwrap();
            for table in [&table, &again] {
                prop_assert_eq!(table.counts(), counts);
                for (uid, message) in &model {
                    prop_assert_eq!(table.row(*uid), Some(message.row));
                    prop_assert_eq!(table.name(*uid), Some(&*message.name));
                    prop_assert_eq!(table.deleted().contains(uid), message.row.bits.has(Flag::Deleted));
                    prop_assert_eq!(table.fresh().contains(uid), message.row.bits.place() == Place::New);
                }
            }
        }

        #[test]
        fn no_page_breaks_the_reader(page in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Table::from_pages(&[(1, page)]);
        }
    }

    #[test]
    fn a_hundred_thousand_messages_take_less_than_twelve_megabytes() {
        let mut table = Table::default();
        for uid in 1..=100_000 {
            let id = mail::MessageId::from_number(1_764_003_912_000_000 + u64::from(uid));
            let unique = maildir::name::unique(1_764_003_912, id, 1, "cyan.usenet.net.nz");
            let name = maildir::name::with_sizes(&unique, 12_345, 12_678);
            table.insert(&Message { name: name.into_bytes().into(), ..message(uid, 0) });
        }
        assert!(table.memory() < 12 << 20, "{}", table.memory());
    }
}
