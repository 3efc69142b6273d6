//! What the mailboxes write into the journal: what an APPEND, COPY or MOVE has promised, so that it can be done again.

use mail::{Flags, Keyword, Uid, UidValidity};

use crate::codec::{Reader, Writer};

/// The kinds of journal entries that are ours: [`crate::Account::recover`] takes those.
pub const KINDS: std::ops::RangeInclusive<u8> = APPEND..=MOVE;

pub(crate) const APPEND: u8 = 16;
pub(crate) const COPY: u8 = 17;
pub(crate) const MOVE: u8 = 18;

/// The account that an entry of ours belongs to; `None` if its header makes no sense.
///
/// APPEND has its record in the header, because its body is the messages. COPY and MOVE may be of any number of messages:
/// their record is the body, and only the account is in the header.
#[must_use]
pub fn account_of(header: &[u8]) -> Option<String> {
    Reader::new(header).text()
}

/// One message of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Its UID in the target.
    pub(crate) uid: Uid,
    /// The base of its file name in the target.
    pub(crate) base: Vec<u8>,
    /// The base of its file name in the source; empty for APPEND.
    pub(crate) source: Vec<u8>,
    /// Its octets in the entry's body; 0 for COPY and MOVE.
    pub(crate) length: u64,
    pub(crate) flags: Flags,
    pub(crate) keywords: Vec<Keyword>,
    /// INTERNALDATE.
    pub(crate) date: i64,
}

/// What an entry promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) account: String,
    pub(crate) target: String,
    pub(crate) validity: UidValidity,
    /// The mailbox that messages come from; empty for APPEND.
    pub(crate) source: String,
    pub(crate) promises: Vec<Promise>,
}

impl Record {
    /// The header of an entry whose record is its body.
    pub(crate) fn short_header(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.text(&self.account);
        out.plain()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.text(&self.account);
        out.text(&self.target);
        out.u32(self.validity);
        out.text(&self.source);
        out.u32(self.promises.len() as u32);
        for promise in &self.promises {
            out.u32(promise.uid);
            out.bytes(&promise.base);
            out.bytes(&promise.source);
            out.u64(promise.length);
            out.u8(promise.flags.bits());
            out.u32(promise.keywords.len() as u32);
            promise.keywords.iter().for_each(|keyword| out.text(keyword.as_str()));
            out.u64(promise.date.cast_unsigned());
        }
        out.plain()
    }

    pub(crate) fn decode(header: &[u8]) -> Option<Self> {
        let mut input = Reader::new(header);
        let (account, target, validity, source) = (input.text()?, input.text()?, input.u32()?, input.text()?);
        let mut promises = Vec::new();
        for _ in 0..input.u32()? {
            let (uid, base, source) = (input.u32()?, input.bytes()?.to_vec(), input.bytes()?.to_vec());
            let (length, flags) = (input.u64()?, Flags::from_bits(input.u8()?));
            let mut keywords = Vec::new();
            for _ in 0..input.u32()? {
                keywords.push(input.text()?.parse().ok()?);
            }
            let date = input.u64()?.cast_signed();
            promises.push(Promise { uid, base, source, length, flags, keywords, date });
        }
        input.is_at_end().then_some(Self { account, target, validity, source, promises })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_cut_one_does_not() {
        let promise = Promise {
            uid: 7,
            base: b"1.x".to_vec(),
            source: b"2.y".to_vec(),
            length: 99,
            flags: Flags::from_bits(9),
            keywords: vec!["$Forwarded".parse().unwrap()],
            date: -5,
        };
        let record = Record {
            account: "a".to_owned(),
            target: "Entwürfe".to_owned(),
            validity: 3,
            source: "INBOX".to_owned(),
            promises: vec![promise.clone(), promise],
        };
        let octets = record.encode();
        assert_eq!(account_of(&octets).as_deref(), Some("a"));
        assert_eq!(account_of(&record.short_header()).as_deref(), Some("a"));
        assert_eq!(Record::decode(&octets), Some(record));
        (0..octets.len()).for_each(|end| assert_eq!(Record::decode(&octets[..end]), None, "{end}"));
    }
}
