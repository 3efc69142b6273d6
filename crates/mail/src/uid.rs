//! Numbers that name messages within a mailbox (RFC 3501 section 2.3.1, RFC 7162).

use std::fmt;

/// A message's unique identifier within its mailbox: 1 to 2^32 - 1, ascending, never used again.
pub type Uid = u32;

/// A mailbox's UIDVALIDITY: other UIDs are meant when it changes.
pub type UidValidity = u32;

/// A modification sequence (RFC 7162): ascends with every change of a mailbox; 1 to 2^63 - 1.
pub type ModSeq = u64;

/// A set of UIDs as ascending ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidSet(Vec<(Uid, Uid)>);

impl UidSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `first..=last` (in either order).
    pub fn insert_range(&mut self, first: Uid, last: Uid) {
        let (first, last) = (first.min(last), first.max(last));
        let begin = self.0.partition_point(|r| r.1 < first.saturating_sub(1));
        let end = self.0.partition_point(|r| r.0 <= last.saturating_add(1));
        let mut whole = (first, last);
        if begin < end {
            whole = (first.min(self.0[begin].0), last.max(self.0[end - 1].1));
        }
        self.0.splice(begin..end, [whole]);
    }

    /// Adds one UID.
    pub fn insert(&mut self, uid: Uid) {
        self.insert_range(uid, uid);
    }

    /// Whether `uid` is in the set.
    #[must_use]
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.0.partition_point(|r| r.1 < uid);
        self.0.get(at).is_some_and(|r| r.0 <= uid)
    }

    /// Whether the set has no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many members the set has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|r| u64::from(r.1 - r.0) + 1).sum()
    }

    /// The ranges, ascending, first and last included.
    #[must_use]
    pub fn ranges(&self) -> &[(Uid, Uid)] {
        &self.0
    }

    /// All members, ascending. Only for sets of existing messages: a stranger's `1:*` has four thousand million.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.0.iter().flat_map(|r| r.0..=r.1)
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Self::new();
        for uid in uids {
            match set.0.last_mut() {
                Some(last) if last.1.checked_add(1) == Some(uid) => last.1 = uid,
                _ => set.insert(uid),
            }
        }
        set
    }
}

impl fmt::Display for UidSet {
    /// As IMAP writes it: `1:3,7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{first}")?;
            if first != last {
                write!(f, ":{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_show_as_imap_writes_them() {
        let mut set = UidSet::new();
        for (a, b) in [(5, 7), (1, 2), (10, 9), (3, 3), (8, 8), (20, 20)] {
            set.insert_range(a, b);
        }
        assert_eq!(set.to_string(), "1:3,5:10,20");
        assert_eq!(set.count(), 10);
        assert!(set.contains(9) && !set.contains(4) && !set.contains(21));
        assert_eq!([4, 1, 2, 3].into_iter().collect::<UidSet>().to_string(), "1:4");
        set.insert_range(0, u32::MAX);
        assert_eq!(set.ranges(), &[(0, u32::MAX)]);
    }
}
