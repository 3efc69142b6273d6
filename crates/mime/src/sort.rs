//! SORT (RFC 5256 section 2.2, RFC 5957): what messages are ordered by, and the ordering.

use std::cmp::Ordering;

use crate::address::Address;
use crate::date::Sent;
use crate::encoded;
use crate::envelope::Envelope;
use crate::fold::fold;
use crate::limits;
use crate::subject::BaseSubject;

/// A criterion of SORT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// When it was stored.
    Arrival,
    /// The first `Cc` mailbox.
    Cc,
    /// When it was sent; when it was stored if it does not say.
    Date,
    /// The first `From` mailbox.
    From,
    /// Octets in wire form.
    Size,
    /// The base subject.
    Subject,
    /// The first `To` mailbox.
    To,
    /// The name, or else the address, that the first `From` shows.
    DisplayFrom,
    /// The same of `To`.
    DisplayTo,
}

/// A criterion and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: Criterion,
    /// Largest first.
    pub reverse: bool,
}

/// What a header gives SORT and THREAD to work on. Texts are folded ([`crate::fold()`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The `Date` field, if it is a date.
    pub sent: Option<Sent>,
    /// The base subject.
    pub subject: Vec<u8>,
    /// Whether the subject is that of a reply or forward.
    pub is_reply: bool,
    /// The first mailbox, or the first group's name, of `From`, `To` and `Cc`.
    pub from: Vec<u8>,
    /// As above.
    pub to: Vec<u8>,
    /// As above.
    pub cc: Vec<u8>,
    /// What a list of messages shows of `From` and `To`.
    pub display_from: Vec<u8>,
    /// As above.
    pub display_to: Vec<u8>,
}

impl Keys {
    /// Takes them from an envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        let subject = BaseSubject::of(envelope.subject.as_deref().unwrap_or_default());
        Self {
            sent: envelope.date.as_deref().and_then(Sent::parse),
            subject: fold(&subject.text),
            is_reply: subject.is_reply,
            from: mailbox(&envelope.from),
            to: mailbox(&envelope.to),
            cc: mailbox(&envelope.cc),
            display_from: display(&envelope.from),
            display_to: display(&envelope.to),
        }
    }
}

fn mailbox(list: &[Address]) -> Vec<u8> {
    key(list.first().and_then(|address| address.mailbox.as_deref()).unwrap_or_default())
}

/// The name if there is one, otherwise the address (RFC 5957 section 3).
fn display(list: &[Address]) -> Vec<u8> {
    let Some(first) = list.first() else { return Vec::new() };
    match (&first.name, &first.mailbox, &first.host) {
        (Some(name), _, _) if !name.is_empty() => key(name),
        (_, Some(mailbox), Some(host)) => key(&[&mailbox[..], b"@", host].concat()),
        (_, mailbox, _) => key(mailbox.as_deref().unwrap_or_default()),
    }
}

fn key(text: &[u8]) -> Vec<u8> {
    let mut key = fold(&encoded::decode(&text[..text.len().min(limits::SORT_KEY)]));
    key.truncate(limits::SORT_KEY);
    key
}

/// One message to be sorted.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its sequence number, or anything else that grows with it; decides between equals (RFC 5256 section 2.2).
    pub number: u32,
    /// INTERNALDATE in seconds since 1970.
    pub arrival: i64,
    /// RFC822.SIZE.
    pub size: u64,
    /// What its header says.
    pub keys: &'a Keys,
}

impl Entry<'_> {
    /// When it was sent, or arrived.
    #[must_use]
    pub fn date(&self) -> i64 {
        self.keys.sent.map_or(self.arrival, |sent| sent.unix)
    }

    fn compare(&self, other: &Self, by: Criterion) -> Ordering {
        let text = |key: fn(&Keys) -> &Vec<u8>| key(self.keys).cmp(key(other.keys));
        match by {
            Criterion::Arrival => self.arrival.cmp(&other.arrival),
            Criterion::Date => self.date().cmp(&other.date()),
            Criterion::Size => self.size.cmp(&other.size),
            Criterion::Cc => text(|keys| &keys.cc),
            Criterion::From => text(|keys| &keys.from),
            Criterion::Subject => text(|keys| &keys.subject),
            Criterion::To => text(|keys| &keys.to),
            Criterion::DisplayFrom => text(|keys| &keys.display_from),
            Criterion::DisplayTo => text(|keys| &keys.display_to),
        }
    }
}

/// Sorts by the criteria in turn; equals stay in the order of their numbers, also where a criterion is reversed.
pub fn sort(orders: &[Order], entries: &mut [Entry<'_>]) {
    entries.sort_unstable_by(|one, other| {
        let compare = |order: &Order| {
            let ordering = one.compare(other, order.by);
            if order.reverse { ordering.reverse() } else { ordering }
        };
        let differing = orders.iter().map(compare).find(|ordering| ordering.is_ne());
        differing.unwrap_or(Ordering::Equal).then(one.number.cmp(&other.number))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(header: &str) -> Keys {
        Keys::of(&Envelope::of(header.as_bytes()))
    }

    #[test]
    fn takes_keys_from_headers() {
        let seen = keys("From: =?utf-8?Q?=C3=A4?= <Zed@x>\nTo: Team: a@b;\nCc: c@d\nSubject: Re: x\nDate: nonsense\n");
        assert_eq!((&seen.from[..], &seen.to[..], &seen.cc[..]), (&b"ZED"[..], &b"TEAM"[..], &b"C"[..]));
        assert_eq!((seen.display_from, seen.display_to), (fold("Ä"), b"TEAM".to_vec()));
        assert_eq!((seen.subject, seen.is_reply, seen.sent), (b"X".to_vec(), true, None));
        assert_eq!(keys("From: a@b\n").display_from, b"A@B");
    }

    #[test]
    fn sorts_by_several_criteria() {
        let all = [keys("Subject: b\n"), keys("Subject: a\n"), keys("Subject: re: B\n"), keys("")];
        let mut entries: Vec<_> =
            all.iter().zip(1..).map(|(keys, number)| Entry { number, arrival: 0, size: u64::from(number), keys }).collect();
        let order = |by, reverse| Order { by, reverse };
        let mut check = |orders: &[Order], expected: &[u32]| {
            sort(orders, &mut entries);
            assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), expected, "{orders:?}");
        };
        check(&[order(Criterion::Subject, false)], &[4, 2, 1, 3]);
        check(&[order(Criterion::Subject, true)], &[1, 3, 2, 4]);
        check(&[order(Criterion::Subject, false), order(Criterion::Size, true)], &[4, 2, 3, 1]);
        check(&[order(Criterion::Date, true)], &[1, 2, 3, 4]);
    }
}
