//! Which messages went when, for clients that come back after a while (RFC 7162 QRESYNC). Bounded: of what is older
//! than the log only UIDs that no longer exist can be told, which is right for every client, but longer.

use std::collections::VecDeque;

use mail::{ModSeq, Uid, UidSet};

use crate::codec::{Reader, Writer};

/// Most entries that are kept.
const LONGEST: usize = 2_000;

/// The log of expunged messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vanished {
    /// Everything that went after this is in the log.
    floor: ModSeq,
    ranges: VecDeque<(ModSeq, Uid, Uid)>,
}

impl Vanished {
    /// A log that knows of nothing before `floor`.
    pub(crate) fn since(floor: ModSeq) -> Self {
        Self { floor, ranges: VecDeque::new() }
    }

    /// A message went. A modification sequence that was set aside before others were used counts as the last one.
    pub(crate) fn push(&mut self, modseq: ModSeq, uid: Uid) {
        let modseq = self.ranges.back().map_or(modseq, |(last, _, _)| modseq.max(*last));
        match self.ranges.back_mut() {
            Some((at, _, last)) if *at == modseq && last.checked_add(1) == Some(uid) => *last = uid,
            _ => self.ranges.push_back((modseq, uid, uid)),
        }
        if self.ranges.len() > LONGEST
            && let Some((modseq, _, _)) = self.ranges.pop_front()
        {
            self.floor = modseq;
        }
    }

    /// What went after `since`; `None` if that is longer ago than the log knows.
    pub(crate) fn after(&self, since: ModSeq) -> Option<UidSet> {
        if since < self.floor {
            return None;
        }
        let from = self.ranges.partition_point(|(modseq, _, _)| *modseq <= since);
        let mut set = UidSet::new();
        self.ranges.range(from..).for_each(|(_, first, last)| set.insert_range(*first, *last));
        Some(set)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.floor);
        out.u32(self.ranges.len() as u32);
        for (modseq, first, last) in &self.ranges {
            out.u64(*modseq);
            out.u32(*first);
            out.u32(*last);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Option<Self> {
        let mut log = Self::since(input.u64()?);
        for _ in 0..input.u32()? {
            log.ranges.push_back((input.u64()?, input.u32()?, input.u32()?));
        }
        Some(log)
    }
}

/// The members of `set` that are also in `other`.
pub(crate) fn common(set: &UidSet, other: &UidSet) -> UidSet {
    let mut both = UidSet::new();
    let (mut a, mut b) = (set.ranges().iter().peekable(), other.ranges().iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        let (first, last) = (x.0.max(y.0), x.1.min(y.1));
        if first <= last {
            both.insert_range(first, last);
        }
        if x.1 < y.1 {
            a.next()
        } else {
            b.next()
        };
    }
    both
}

/// The members of `set` without those of an ascending list.
pub(crate) fn without(set: &UidSet, uids: impl Iterator<Item = Uid>) -> UidSet {
    let mut rest = UidSet::new();
    let mut ranges = set.ranges().iter().copied();
    let mut range = ranges.next();
    for uid in uids {
        while let Some((first, last)) = range.filter(|r| r.1 < uid) {
            rest.insert_range(first, last);
            range = ranges.next();
        }
        if let Some((first, last)) = range.filter(|r| r.0 <= uid) {
            if first < uid {
                rest.insert_range(first, uid - 1);
            }
            range = if uid < last { Some((uid + 1, last)) } else { ranges.next() };
        }
    }
    range.into_iter().chain(ranges).for_each(|(first, last)| rest.insert_range(first, last));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ranges: &[(Uid, Uid)]) -> UidSet {
        let mut set = UidSet::new();
        ranges.iter().for_each(|(first, last)| set.insert_range(*first, *last));
        set
    }

    #[test]
    fn the_log_tells_what_went_since_or_that_it_does_not_know() {
        let mut log = Vanished::since(10);
        for (modseq, uid) in [(11, 5), (11, 6), (12, 1)] {
            log.push(modseq, uid);
        }
        let check = |since, expected: Option<&str>| assert_eq!(log.after(since).map(|s| s.to_string()).as_deref(), expected, "{since}");
        check(9, None);
        check(10, Some("1,5:6"));
        check(11, Some("1"));
        check(12, Some(""));
        for n in 0..LONGEST as u64 {
            log.push(20 + n, 100 + 2 * n as Uid);
        }
        assert_eq!((log.after(11), log.after(12).is_some()), (None, true));
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets(a in prop::collection::vec((0u32..60, 0u32..60), 0..6), b in prop::collection::vec((0u32..60, 0u32..60), 0..6)) {
            let (a, b) = (set(&a), set(&b));
            let both: UidSet = a.iter().filter(|uid| b.contains(*uid)).collect();
            let rest: UidSet = a.iter().filter(|uid| !b.contains(*uid)).collect();
            prop_assert_eq!(common(&a, &b), both);
            prop_assert_eq!(without(&a, b.iter()), rest);
        }
    }
}
