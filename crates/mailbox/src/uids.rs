//! The UIDs that one session sees, in sequence. The pieces are shared with the mailbox and with other sessions until they
//! differ, so that many sessions of a large mailbox cost little, and a change costs the same in a mailbox of any size.

use std::sync::{Arc, OnceLock};

use mail::Uid;

/// Most UIDs in one piece.
pub(crate) const PIECE: usize = 512;

/// An ascending list of UIDs in pieces; none of them is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uids {
    pieces: Vec<Arc<Vec<Uid>>>,
    /// How many UIDs stand before each piece.
    starts: Vec<u32>,
    count: u32,
    /// All in one slice, made when it is first asked for.
    flat: OnceLock<Vec<Uid>>,
}

impl Uids {
    pub(crate) fn new(pieces: Vec<Arc<Vec<Uid>>>) -> Self {
        let mut uids = Self { pieces, ..Self::default() };
        uids.count_from(0);
        uids
    }

    /// Sets the starts again from one piece on. Adds up a word for each 512 messages.
    fn count_from(&mut self, piece: usize) {
        self.starts.truncate(piece);
        let mut before = if piece == 0 { 0 } else { self.starts[piece - 1] + self.pieces[piece - 1].len() as u32 };
        for piece in &self.pieces[piece..] {
            self.starts.push(before);
            before += piece.len() as u32;
        }
        self.count = before;
    }

    pub(crate) fn len(&self) -> u32 {
        self.count
    }

    /// The UID with a sequence number, from 1.
    pub(crate) fn at(&self, sequence: u32) -> Option<Uid> {
        let index = sequence.checked_sub(1).filter(|index| *index < self.count)?;
        let piece = self.starts.partition_point(|start| *start <= index) - 1;
        self.pieces[piece].get((index - self.starts[piece]) as usize).copied()
    }

    fn place(&self, uid: Uid) -> Option<(usize, usize)> {
        let piece = self.pieces.partition_point(|piece| piece.last().is_some_and(|last| *last < uid));
        let at = self.pieces.get(piece)?.binary_search(&uid).ok()?;
        Some((piece, at))
    }

    /// The sequence number of a UID.
    pub(crate) fn sequence(&self, uid: Uid) -> Option<u32> {
        self.place(uid).map(|(piece, at)| self.starts[piece] + at as u32 + 1)
    }

    /// Whether it is one of them. `at` is where it is expected, and then where the next one stands: who asks for one after the
    /// other does not have each searched for.
    pub(crate) fn follow(&self, at: &mut (usize, usize), uid: Uid) -> bool {
        let expected = self.pieces.get(at.0).and_then(|piece| piece.get(at.1)) == Some(&uid);
        let Some(found) = (if expected { Some(*at) } else { self.place(uid) }) else { return false };
        *at = if found.1 + 1 < self.pieces[found.0].len() { (found.0, found.1 + 1) } else { (found.0 + 1, 0) };
        true
    }

    /// The highest UID.
    pub(crate) fn last(&self) -> Option<Uid> {
        self.pieces.last()?.last().copied()
    }

    /// Adds a UID above all others.
    pub(crate) fn push(&mut self, uid: Uid) {
        if let Some(flat) = self.flat.get_mut() {
            flat.push(uid);
        }
        match self.pieces.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => Arc::make_mut(piece).push(uid),
            None => {
                self.pieces.push(Arc::new(vec![uid]));
                self.starts.push(self.count);
            }
        }
        self.count += 1;
    }

    /// Takes a UID out; gives the sequence number that it had.
    pub(crate) fn remove(&mut self, uid: Uid) -> Option<u32> {
        let (piece, at) = self.place(uid)?;
        let sequence = self.starts[piece] + at as u32 + 1;
        // Moving the rest up is far cheaper than gathering a million UIDs again.
        if let Some(flat) = self.flat.get_mut() {
            flat.remove(sequence as usize - 1);
        }
        if self.pieces[piece].len() == 1 {
            self.pieces.remove(piece);
        } else {
            Arc::make_mut(&mut self.pieces[piece]).remove(at);
        }
        self.count_from(piece);
        Some(sequence)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.pieces.iter().flat_map(|piece| piece.iter().copied())
    }

    /// All of them in one slice, which is kept up to date from then on.
    pub(crate) fn flat(&self) -> &[Uid] {
        self.flat.get_or_init(|| self.iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_vector_with_sequence_numbers(steps in prop::collection::vec((any::<bool>(), 0usize..3000), 1..60), first in 0u32..2000) {
            let mut model: Vec<Uid> = (1..=first).collect();
            let mut uids = Uids::new(model.chunks(PIECE).map(|c| Arc::new(c.to_vec())).collect());
            let shared = uids.clone();
            let mut next = first + 1;
            for (add, n) in steps {
                if n % 2 == 0 {
                    prop_assert_eq!(uids.flat(), &model[..]);
                }
                if add || model.is_empty() {
                    next += n as u32 % 3;
                    uids.push(next);
                    model.push(next);
                    next += 1;
                } else {
                    let at = n % model.len();
                    let uid = model.remove(at);
                    prop_assert_eq!(uids.remove(uid), Some(at as u32 + 1));
                    prop_assert_eq!(uids.sequence(uid), None);
                }
            }
            prop_assert_eq!(uids.flat(), &model[..]);
            for (at, uid) in model.iter().enumerate() {
                prop_assert_eq!(uids.at(at as u32 + 1), Some(*uid));
                prop_assert_eq!(uids.sequence(*uid), Some(at as u32 + 1));
            }
            let (mut up, mut down) = Default::default();
            prop_assert!(model.iter().all(|uid| uids.follow(&mut up, *uid)) && model.iter().rev().all(|uid| uids.follow(&mut down, *uid)));
            prop_assert!(!uids.follow(&mut up, next + 3));
            prop_assert_eq!(uids.at(0), None);
            prop_assert_eq!(uids.at(model.len() as u32 + 1), None);
            prop_assert_eq!(uids.last(), model.last().copied());
            prop_assert_eq!(shared.len(), first);
        }
    }
}
