//! An envelope and the progress of its recipients as octets: the header of a journal entry, and of a file in the queue's
//! folder. One version octet, then fields in a fixed order; numbers are little-endian, texts have their length before them.

use mail::{Envelope, MessageId, Notify, Parameters, Protocol, Recipient, Returned};

/// The version that this code writes; others are refused.
const VERSION: u8 = 1;

/// The most recipients that are read.
const MOST_RECIPIENTS: u32 = 100_000;

/// The longest text that is read, in octets.
const LONGEST_TEXT: u32 = 4096;

/// Writes an envelope.
pub(crate) fn encode(envelope: &Envelope) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&envelope.id.number().to_le_bytes());
    text(&mut out, &envelope.reverse_path.to_string());
    let Parameters { eight_bit, utf8, returned, envelope_id } = &envelope.parameters;
    out.push(u8::from(*eight_bit) | u8::from(*utf8) << 1);
    out.push(match returned {
        None => 0,
        Some(Returned::Full) => 1,
        Some(Returned::Header) => 2,
    });
    optional(&mut out, envelope_id.as_deref());
    optional(&mut out, envelope.client.map(|client| client.to_string()).as_deref());
    text(&mut out, &envelope.helo);
    optional(&mut out, envelope.account.as_deref());
    out.push(match envelope.protocol {
        Protocol::Smtp => 0,
        Protocol::Local => 1,
        Protocol::Esmtp { tls, authenticated, utf8 } => 2 | u8::from(tls) << 2 | u8::from(authenticated) << 3 | u8::from(utf8) << 4,
    });
    out.extend_from_slice(&u32::try_from(envelope.recipients.len()).unwrap_or(u32::MAX).to_le_bytes());
    for recipient in &envelope.recipients {
        text(&mut out, &recipient.address.to_string());
        let Notify { success, failure, delay } = recipient.notify;
        out.push(u8::from(success) | u8::from(failure) << 1 | u8::from(delay) << 2);
        optional(&mut out, recipient.original.as_deref());
    }
    out
}

pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        text(out, value);
    }
}

/// Reads an envelope from the beginning of `octets`; gives what stands behind it. `None` if it is damaged or of another version.
pub(crate) fn decode(octets: &[u8]) -> Option<(Envelope, &[u8])> {
    let mut reader = Reader(octets);
    if reader.octet()? != VERSION {
        return None;
    }
    let id = MessageId::from_number(u64::from_le_bytes(reader.take(8)?.try_into().ok()?));
    let reverse_path = reader.text()?.parse().ok()?;
    let bits = reader.octet()?;
    let returned = match reader.octet()? {
        0 => None,
        1 => Some(Returned::Full),
        2 => Some(Returned::Header),
        _ => return None,
    };
    let parameters = Parameters { eight_bit: bits & 1 != 0, utf8: bits & 2 != 0, returned, envelope_id: reader.optional()? };
    let client = match reader.optional()? {
        None => None,
        Some(address) => Some(address.parse().ok()?),
    };
    let (helo, account) = (reader.text()?.to_owned(), reader.optional()?);
    let protocol = match reader.octet()? {
        0 => Protocol::Smtp,
        1 => Protocol::Local,
        bits if bits & 3 == 2 => Protocol::Esmtp { tls: bits & 4 != 0, authenticated: bits & 8 != 0, utf8: bits & 16 != 0 },
        _ => return None,
    };
    let count = reader.number().filter(|count| *count <= MOST_RECIPIENTS)?;
    let recipients = (0..count).map(|_| reader.recipient()).collect::<Option<Vec<_>>>()?;
    Some((Envelope { id, reverse_path, recipients, parameters, client, helo, account, protocol }, reader.0))
}

/// What is left to be read.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn octet(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    pub(crate) fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.number().filter(|length| *length <= LONGEST_TEXT)?;
        std::str::from_utf8(self.take(length as usize)?).ok()
    }

    fn optional(&mut self) -> Option<Option<String>> {
        match self.octet()? {
            0 => Some(None),
            1 => Some(Some(self.text()?.to_owned())),
            _ => None,
        }
    }

    fn recipient(&mut self) -> Option<Recipient> {
        let address = self.text()?.parse().ok()?;
        let bits = self.octet()?;
        let notify = Notify { success: bits & 1 != 0, failure: bits & 2 != 0, delay: bits & 4 != 0 };
        Some(Recipient { address, notify, original: self.optional()? })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn envelope(id: u64, recipients: &[&str]) -> Envelope {
        Envelope {
            id: MessageId::from_number(id),
            reverse_path: "a@client.test".parse().unwrap(),
            recipients: recipients.iter().map(|r| r.parse::<mail::Address>().unwrap().into()).collect(),
            parameters: Parameters { eight_bit: true, utf8: false, returned: Some(Returned::Header), envelope_id: Some("x".into()) },
            client: Some("192.0.2.1".parse().unwrap()),
            helo: "client.test".into(),
            account: None,
            protocol: Protocol::Esmtp { tls: true, authenticated: false, utf8: true },
        }
    }

    #[test]
    fn an_envelope_reads_back() {
        let mut one = envelope(7, &["joe@b.example", "\"a b\"@c.example"]);
        one.recipients[0].original = Some("rfc822;info@b.example".into());
        let mut octets = encode(&one);
        assert_eq!(decode(&octets), Some((one.clone(), &b""[..])));
        octets.extend_from_slice(b"rest");
        assert_eq!(decode(&octets), Some((one, &b"rest"[..])));
    }

    proptest! {
        #[test]
        fn damaged_envelopes_are_refused_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..120, bit in 0u8..8) {
            let _ = decode(&octets);
            let mut good = encode(&envelope(7, &["joe@b.example"]));
            let at = at % good.len();
            good[at] ^= 1 << bit;
            let _ = decode(&good);
            prop_assert!(decode(&good[..at]).is_none());
        }
    }
}
