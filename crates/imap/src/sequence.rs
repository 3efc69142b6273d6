//! Sets of message numbers as clients write them, and as they are in a mailbox (RFC 3501 section 9, RFC 5182).

use mail::{Uid, UidSet};

use crate::parse::{Cursor, Parse, Syntax};

/// A set as it was written: of sequence numbers or of UIDs, which only the command knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Ranges in the order of writing; 0 stands for `*`.
    Ranges(Vec<(u32, u32)>),
    /// `$`: what the last SEARCH RETURN (SAVE) found.
    Saved,
}

const INVALID: Syntax = Syntax("Invalid message set");

impl Numbers {
    /// Reads a `sequence-set`.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parse<Self> {
        if cursor.take(b'$') {
            return Ok(Self::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = number(cursor)?;
            let last = if cursor.take(b':') { number(cursor)? } else { first };
            ranges.push((first, last));
            if !cursor.take(b',') {
                return Ok(Self::Ranges(ranges));
            }
        }
    }

    /// The ranges with `*` replaced, lower number first, in ascending order.
    fn ordered(&self, largest: u32) -> Vec<(u32, u32)> {
        let Self::Ranges(ranges) = self else { return Vec::new() };
        let real = |number: u32| if number == 0 { largest } else { number };
        let mut ordered: Vec<_> = ranges.iter().map(|(a, b)| (real(*a).min(real(*b)), real(*a).max(real(*b)))).collect();
        ordered.sort_unstable();
        ordered
    }

    /// The set as sequence numbers of a mailbox with `count` messages. All of them must be there, as Dovecot demands.
    pub(crate) fn sequence(&self, uids: &[Uid], saved: &UidSet) -> Parse<UidSet> {
        if *self == Self::Saved {
            return Ok(positions(saved, uids));
        }
        let count = u32::try_from(uids.len()).map_err(|_| INVALID)?;
        let ordered = self.ordered(count);
        if ordered.iter().any(|(first, last)| *first == 0 || *last > count) {
            return Err(Syntax("Invalid message set: there are fewer messages"));
        }
        Ok(collect(ordered))
    }

    /// The same for SEARCH, where numbers may be beyond the last message.
    pub(crate) fn sequence_within(&self, uids: &[Uid], saved: &UidSet) -> UidSet {
        if *self == Self::Saved {
            return positions(saved, uids);
        }
        let count = u32::try_from(uids.len()).unwrap_or(u32::MAX);
        // In an empty mailbox `*` is no message.
        let inside = self.ordered(count).into_iter().filter(|(first, last)| *first <= count && *last > 0 && count > 0);
        collect(inside.map(|(first, last)| (first.max(1), last.min(count))))
    }

    /// The set as UIDs; `*` is the highest one in use, or `empty` if there is none.
    pub(crate) fn uid_set(&self, uids: &[Uid], saved: &UidSet, empty: Uid) -> UidSet {
        if *self == Self::Saved {
            return saved.clone();
        }
        collect(self.ordered(uids.last().copied().unwrap_or(empty)).into_iter().filter(|(_, last)| *last > 0))
    }

    /// The sequence numbers of the messages that the set, one of UIDs, names.
    pub(crate) fn positions(&self, uids: &[Uid], saved: &UidSet) -> UidSet {
        positions(&self.uid_set(uids, saved, 0), uids)
    }
}

/// A number from 1, or 0 for `*`.
fn number(cursor: &mut Cursor<'_>) -> Parse<u32> {
    if cursor.take(b'*') { Ok(0) } else { cursor.nonzero().map_err(|_| INVALID) }
}

fn collect(ordered: impl IntoIterator<Item = (u32, u32)>) -> UidSet {
    let mut set = UidSet::new();
    for (first, last) in ordered {
        set.insert_range(first, last);
    }
    set
}

/// The sequence numbers of the messages whose UIDs are in `set`.
pub(crate) fn positions(set: &UidSet, uids: &[Uid]) -> UidSet {
    let mut found = UidSet::new();
    for (first, last) in set.ranges() {
        let begin = uids.partition_point(|uid| uid < first);
        let end = uids.partition_point(|uid| uid <= last);
        if begin < end {
            found.insert_range(begin as u32 + 1, end as u32);
        }
    }
    found
}

/// The UIDs at these sequence numbers, all of which are there.
pub(crate) fn uids_at(sequence: &UidSet, uids: &[Uid]) -> Vec<Uid> {
    let mut found = Vec::with_capacity(usize::try_from(sequence.count()).unwrap_or_default().min(uids.len()));
    for (first, last) in sequence.ranges() {
        found.extend_from_slice(uids.get(*first as usize - 1..*last as usize).unwrap_or_default());
    }
    found
}

/// The sequence number of a message of the view.
pub(crate) fn position(uid: Uid, uids: &[Uid]) -> Option<u32> {
    uids.binary_search(&uid).ok().map(|at| at as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UIDS: [Uid; 5] = [3, 5, 6, 9, 20];

    fn parse(text: &str) -> Option<Numbers> {
        let mut cursor = Cursor::new(text.as_bytes());
        let numbers = Numbers::parse(&mut cursor).ok()?;
        cursor.at_end().then_some(numbers)
    }

    fn check(text: &str, sequence: Option<&str>, uid: &str) {
        let numbers = parse(text).unwrap();
        let none = UidSet::new();
        assert_eq!(numbers.sequence(&UIDS, &none).ok().map(|set| set.to_string()).as_deref(), sequence, "{text}");
        assert_eq!(numbers.positions(&UIDS, &none).to_string(), uid, "UID {text}");
    }

    #[test]
    fn sets_of_numbers_and_uids() {
        check("1:*", Some("1:5"), "1:5");
        check("*", Some("5"), "5");
        check("*:4", Some("4:5"), "2:5");
        check("5:1,2", Some("1:5"), "1:2");
        check("4000000000:*", None, "5");
        check("6", None, "3");
        check("1,1,1", Some("1"), "");
    }

    #[test]
    fn search_bears_numbers_beyond_the_end() {
        let within = |text: &str| parse(text).unwrap().sequence_within(&UIDS, &UidSet::new()).to_string();
        assert_eq!(within("4:4000000000"), "4:5");
        assert_eq!(within("4000000000"), "");
        for text in ["*", "2:*", "1:2", "*:1"] {
            assert!(parse(text).unwrap().sequence_within(&[], &UidSet::new()).is_empty(), "{text} in an empty mailbox");
        }
    }

    #[test]
    fn malformed_sets() {
        for wrong in ["", "0", "1,", "1:", ":1", "a", "1:2:3", "4294967296", "1,,2", "-1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn saved_results() {
        let saved: UidSet = [5, 7, 20].into_iter().collect();
        let numbers = parse("$").unwrap();
        assert_eq!(numbers.sequence(&UIDS, &saved).unwrap().to_string(), "2,5");
        assert_eq!(uids_at(&numbers.positions(&UIDS, &saved), &UIDS), [5, 20]);
    }
}
