//! A message on its way from an SMTP session into the queue: its content streams into the journal, its aliases are expanded,
//! and the client is told when it is on disk.

use std::collections::HashSet;

use mail::{Enhanced, Envelope, MessageId, Recipient, Reply, Verdict};
use serde_json::Value;

use crate::details::Details;
use crate::house::House;

/// How much of a message's beginning is looked at for its Message-ID, in octets.
const LOOKED_AT: usize = 16 << 10;

/// A message that comes in.
#[derive(Debug)]
pub(crate) struct Incoming {
    content: queue::Incoming,
    envelope: Envelope,
    beginning: Vec<u8>,
    failure: Option<queue::Error>,
}

impl Incoming {
    /// Opens it; an error is what the client is told.
    pub(crate) fn open(house: &House, envelope: Envelope) -> Result<Self, Verdict> {
        let content = house.queue.begin().map_err(|error| refusal(envelope.id, &error))?;
        Ok(Self { content, envelope, beginning: Vec::new(), failure: None })
    }

    /// The message's id.
    pub(crate) fn id(&self) -> MessageId {
        self.envelope.id
    }

    /// More of the content, with LF line ends. After a failure the rest is swallowed; the client hears of it at the end.
    pub(crate) async fn write(&mut self, octets: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        let room = LOOKED_AT.saturating_sub(self.beginning.len());
        self.beginning.extend_from_slice(&octets[..octets.len().min(room)]);
        self.failure = self.content.write(octets).await.err();
    }

    /// Waits until the message is on disk.
    pub(crate) async fn accept(self, house: &House) -> Verdict {
        let Self { content, mut envelope, beginning, failure } = self;
        let id = envelope.id;
        if let Some(error) = failure {
            return refusal(id, &error);
        }
        let asked: Vec<_> = envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        let steps = match expand(house, &mut envelope) {
            Ok(steps) => steps,
            Err(verdict) => return verdict,
        };
        let step = Details::new()
            .maybe("account", envelope.account.as_ref())
            .plains("aliases", &steps)
            .maybe("client", envelope.client)
            .text("from", &envelope.reverse_path)
            .text("helo", &envelope.helo)
            .maybe("message_id", message_id(&beginning))
            .text("protocol", envelope.protocol)
            .texts("recipients", envelope.recipients.iter().map(|recipient| &recipient.address))
            .texts("to", asked);
        match content.accept(envelope).await {
            Ok(()) => {
                house.trace.step(id, "accepted", step);
                Verdict::Accept
            }
            Err(error) => refusal(id, &error),
        }
    }
}

/// Replaces the recipients by what the alias maps make of them, each address once; gives the lines that did it.
fn expand(house: &House, envelope: &mut Envelope) -> Result<Vec<Value>, Verdict> {
    let member = envelope.account.is_some();
    let (mut seen, mut steps) = (HashSet::new(), Vec::new());
    let mut expanded = Vec::with_capacity(envelope.recipients.len());
    for recipient in std::mem::take(&mut envelope.recipients) {
        let resolved = house.expand(&recipient.address, member)?;
        steps.extend(resolved.steps);
        for address in resolved.targets {
            if seen.insert(address.clone()) {
                let original = recipient.original.clone().or_else(|| Some(format!("rfc822;{}", recipient.address)));
                expanded.push(Recipient { address, notify: recipient.notify, original });
            }
        }
    }
    envelope.recipients = expanded;
    Ok(steps)
}

/// What the client is told; the cause is for the log.
fn refusal(id: MessageId, error: &queue::Error) -> Verdict {
    tracing::error!(%id, %error, "a message was not accepted");
    let full = matches!(error, queue::Error::Full(_)) || matches!(error, queue::Error::Journal(error) if error.is_temporary());
    let reply = if full {
        Reply::new(452, Enhanced(4, 3, 1), "Insufficient system storage, try again later")
    } else {
        Reply::new(451, Enhanced(4, 3, 0), "Local error, try again later")
    };
    Verdict::Defer(reply)
}

/// The value of the Message-ID field, if it stands in the beginning of the header.
fn message_id(beginning: &[u8]) -> Option<String> {
    let mut lines = beginning.split(|octet| *octet == b'\n').take_while(|line| !line.is_empty());
    let named = |line: &&[u8]| line.len() > 11 && line[..11].eq_ignore_ascii_case(b"message-id:");
    let value = lines.find(named)?;
    Some(String::from_utf8_lossy(value[11..].trim_ascii()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_id_is_found_in_the_header_alone() {
        for (text, expected) in [
            ("Subject: x\nMessage-Id: <a@b>\n\nMessage-ID: <c@d>\n", Some("<a@b>")),
            ("Subject: x\n\nMessage-ID: <c@d>\n", None),
            ("", None),
        ] {
            assert_eq!(message_id(text.as_bytes()).as_deref(), expected);
        }
    }
}
