//! Messages on their way in: DATA and BDAT.

use std::time::{Duration, Instant};

use mail::{Envelope, MessageId, Protocol, Verdict};

use super::{Chunk, Phase, Question, Session};
use crate::Now;
use crate::decode::Decoder;
use crate::effect::{Effect, Refusal};
use crate::message::{Message, PIECE};
use crate::trace::{self, Hop};

impl Session {
    /// Opens a message, for DATA or for a first chunk.
    pub(super) fn begin(&mut self, chunk: Option<Chunk>, now: Now) {
        let Some(envelope) = self.envelope(now) else { return };
        let decoder = if chunk.is_some() { Decoder::plain() } else { Decoder::dotted() };
        let announced = self.transaction.as_ref().and_then(|transaction| transaction.size);
        let hop = Hop {
            hostname: &self.settings.hostname,
            client: self.verified_name.as_ref(),
            tls: self.peer.tls.as_ref(),
            seconds: now.micros / 1_000_000,
        };
        let message = Message::new(&trace::received(&envelope, hop), decoder, &self.settings.limits, announced);
        self.effects.push_back(Effect::Begin(Box::new(envelope)));
        self.question = Some(Question::Begin(Box::new(message), chunk));
    }

    /// The envelope of the transaction, under a new id.
    fn envelope(&mut self, now: Now) -> Option<Envelope> {
        let transaction = self.transaction.as_mut()?;
        let id = MessageId::new(now.micros);
        transaction.id = Some(id);
        let hello = self.hello.as_ref();
        let extended =
            Protocol::Esmtp { tls: self.peer.tls.is_some(), authenticated: self.account.is_some(), utf8: transaction.parameters.utf8 };
        Some(Envelope {
            id,
            reverse_path: transaction.reverse_path.clone(),
            recipients: transaction.recipients.clone(),
            parameters: transaction.parameters.clone(),
            client: Some(self.peer.address),
            helo: hello.map(|hello| hello.name.clone()).unwrap_or_default(),
            account: self.account.clone(),
            protocol: if hello.is_some_and(|hello| hello.extended) { extended } else { Protocol::Smtp },
        })
    }

    pub(super) fn begun(&mut self, message: Box<Message>, chunk: Option<Chunk>, verdict: Verdict) {
        if let Verdict::Defer(reply) | Verdict::Reject(reply) = &verdict {
            let line = super::line(reply);
            self.transaction = None;
            match chunk {
                Some(chunk) => self.swallow(chunk.left, chunk.last, &line),
                None => self.say(&line),
            }
            return;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.message = Some(message);
        }
        match chunk {
            Some(chunk) => self.take_chunk(chunk),
            None => {
                self.say("354 Send the message, end it with CR LF dot CR LF");
                self.phase = Phase::Data;
                self.deadline = None;
            }
        }
    }

    /// Expects the octets of a chunk.
    pub(super) fn take_chunk(&mut self, chunk: Chunk) {
        self.deadline = None;
        let has_room = self.message().is_some_and(|message| message.has_room(chunk.left));
        if !has_room {
            self.refuse_message(Refusal::TooBig);
        }
        self.phase = Phase::Chunk(chunk);
    }

    /// Expects the octets of a chunk that is not wanted.
    pub(super) fn swallow(&mut self, size: u64, last: bool, reply: &str) {
        self.deadline = None;
        self.phase = Phase::Chunk(Chunk { left: size, last, refusal: Some(reply.to_owned()) });
    }

    fn message(&mut self) -> Option<&mut Message> {
        self.transaction.as_mut()?.message.as_deref_mut()
    }

    /// Drops the open message; the rest of it is swallowed.
    fn refuse_message(&mut self, refusal: Refusal) {
        if let Some(message) = self.message().filter(|message| message.refusal().is_none()) {
            message.refuse(refusal);
            self.effects.push_back(Effect::Abort(refusal));
        }
    }

    /// Feeds the open message with at most `limit` octets of the input. Gives the number of octets used, and whether the
    /// lone dot was among them.
    fn feed(&mut self, limit: u64, now: Instant) -> (usize, bool) {
        let most = usize::try_from(limit).unwrap_or(PIECE).min(PIECE);
        let rest = self.input.rest();
        let part = &rest[..rest.len().min(most)];
        let Some(message) = self.transaction.as_mut().and_then(|transaction| transaction.message.as_deref_mut()) else {
            let count = part.len();
            self.credit(count, now);
            self.input.take(count);
            return (count, false);
        };
        let known = message.refusal();
        let fed = message.feed(part);
        match message.refusal() {
            Some(refusal) if known.is_none() => self.effects.push_back(Effect::Abort(refusal)),
            Some(_) => {}
            None => self.effects.extend(message.full_piece().map(Effect::Body)),
        }
        self.credit(fed.taken, now);
        self.input.take(fed.taken);
        (fed.taken, fed.ended)
    }

    /// The time left grows with what comes in, at the lowest rate that is allowed, but never beyond the limit for silence.
    fn credit(&mut self, octets: usize, now: Instant) {
        let limits = &self.settings.limits;
        let most = now + limits.data_timeout;
        let earned = match limits.min_data_rate {
            0 => limits.data_timeout,
            rate => Duration::from_micros(octets as u64 * 1_000_000 / u64::from(rate)),
        };
        self.deadline = Some(self.deadline.map_or(most, |deadline| (deadline + earned).min(most)));
    }

    /// Takes what there is of DATA.
    pub(super) fn data_came(&mut self, now: Instant) -> bool {
        if self.input.rest().is_empty() || now >= self.end {
            return false;
        }
        let (_, ended) = self.feed(u64::MAX, now);
        if ended {
            self.message_complete();
        }
        true
    }

    /// Takes what there is of a chunk.
    pub(super) fn chunk_came(&mut self, now: Instant) -> bool {
        let Phase::Chunk(chunk) = &self.phase else { return false };
        let left = chunk.left;
        if left > 0 && (self.input.rest().is_empty() || now >= self.end) {
            return false;
        }
        let (taken, _) = self.feed(left, now);
        if let Phase::Chunk(chunk) = &mut self.phase {
            chunk.left -= taken as u64;
            if chunk.left == 0 {
                let (last, refusal) = (chunk.last, chunk.refusal.take());
                self.chunk_complete(last, refusal);
            }
        }
        true
    }

    fn chunk_complete(&mut self, last: bool, refusal: Option<String>) {
        self.phase = Phase::Command;
        self.deadline = None;
        if let Some(reply) = refusal {
            return self.refuse(&reply);
        }
        let refused = match self.message() {
            Some(message) if last => {
                let known = message.refusal();
                message.finish();
                let found = message.refusal();
                if known.is_none() {
                    self.effects.extend(found.map(Effect::Abort));
                }
                found
            }
            Some(message) => message.refusal(),
            None => None,
        };
        match refused {
            _ if last => self.message_complete(),
            // The transaction is over: chunks that follow find none (RFC 3030 section 2).
            Some(refusal) => self.message_refused(refusal),
            None => self.say("250 2.0.0 Chunk taken"),
        }
    }

    /// The end of the content has come.
    fn message_complete(&mut self) {
        self.phase = Phase::Command;
        self.deadline = None;
        let Some(transaction) = &mut self.transaction else { return };
        let (Some(message), Some(id)) = (&mut transaction.message, transaction.id) else { return };
        if let Some(refusal) = message.refusal() {
            return self.message_refused(refusal);
        }
        let piece = message.last_piece();
        let size = message.handed_on();
        self.transaction = None;
        self.effects.push_back(Effect::Body(piece));
        self.flush();
        self.effects.push_back(Effect::Commit { size });
        self.question = Some(Question::Commit(id));
    }

    fn message_refused(&mut self, refusal: Refusal) {
        self.transaction = None;
        self.refuse(&refusal.to_string());
    }

    pub(super) fn committed(&mut self, id: MessageId, verdict: Verdict) {
        if !self.turned_down(&verdict) {
            self.commands = 0;
            self.errors = 0;
            self.say(&format!("250 2.0.0 Accepted as {id}"));
        }
    }
}
