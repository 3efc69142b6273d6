//! Messages on their way in.

use imap::store::{Appended, Pending, Refusal, Result, Upload};
use mail::{Flags, Keyword};

use super::{Account, Message, durable};

/// Octets, flags, keywords, internal date.
type Parts = (Vec<u8>, Flags, Vec<Keyword>, Option<i64>);

pub(crate) struct Incoming {
    account: Account,
    mailbox: String,
    messages: Vec<Parts>,
}

impl Incoming {
    pub(crate) fn new(account: Account, mailbox: &str) -> Self {
        Self { account, mailbox: mailbox.to_owned(), messages: Vec::new() }
    }
}

impl Upload for Incoming {
    fn begin(&mut self, flags: Flags, keywords: &[Keyword], internal_date: Option<i64>) -> Result<()> {
        self.messages.push((Vec::new(), flags, keywords.to_vec(), internal_date));
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> Result<()> {
        let (raw, ..) = self.messages.last_mut().ok_or(Refusal::Unavailable)?;
        raw.extend_from_slice(octets);
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(Appended, Pending)> {
        let mut state = self.account.lock();
        let now = state.clock;
        let (_, mailbox) = state.by_name(&self.mailbox)?;
        let uid_validity = mailbox.uid_validity;
        let mut bits = Vec::new();
        for (_, _, keywords, _) in &self.messages {
            bits.push(mailbox.keyword_bits(keywords)?);
        }
        let mut uids = mail::UidSet::new();
        for ((raw, flags, _, date), keywords) in self.messages.into_iter().zip(bits) {
            let size = mime::eol::size(&raw).octets;
            let internal_date = date.unwrap_or(now);
            uids.insert(mailbox.add(Message {
                raw: raw.into(),
                flags,
                keywords,
                modseq: 0,
                size,
                internal_date,
                save_date: now,
                facts: None,
            }));
        }
        mailbox.notify();
        Ok((Appended { uid_validity, uids }, durable()))
    }
}
