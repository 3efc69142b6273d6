//! The state of a sending session, its loop and its clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Enhanced, Reply};

use super::capabilities::Capabilities;
use super::envelope::{Delivery, Progress, Step, fate};
use super::reply::{Replies, ServerReply};
use super::{Effect, Encoder, Encryption, Fate, Outgoing, Settings};

/// One connection to a server. See the module's head for how to drive it.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    phase: Phase,
    replies: Replies,
    effects: VecDeque<Effect>,
    capabilities: Capabilities,
    encrypted: bool,
    delivery: Option<Box<Delivery>>,
    encoder: Encoder,
    /// The server still knows an envelope that was not finished.
    dirty: bool,
    /// The server has closed the connection.
    gone: bool,
    deadline: Option<Instant>,
}

/// What comes next from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    /// Nothing: the driver decides.
    Idle,
    Envelope,
    /// Nothing: the content goes over.
    Content,
    /// The reply to the content.
    End,
    Quit,
    Closed,
}

impl Session {
    /// A session over a connection that was just made, in clear.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            phase: Phase::Greeting,
            replies: Replies::default(),
            effects: VecDeque::new(),
            capabilities: Capabilities::default(),
            encrypted: false,
            delivery: None,
            encoder: Encoder::default(),
            dirty: false,
            gone: false,
            deadline: None,
        }
    }

    /// Takes octets that were read.
    pub fn receive(&mut self, octets: &[u8]) {
        // What comes between the reply to STARTTLS and the handshake is from who knows whom.
        if !matches!(self.phase, Phase::Handshake | Phase::Closed) {
            self.replies.add(octets);
        }
    }

    /// What is to be done next; `None` means: read, or wait for the deadline.
    pub fn next(&mut self, now: Instant) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            if self.phase == Phase::Closed {
                return None;
            }
            match self.replies.next_reply() {
                Ok(Some(reply)) => {
                    self.deadline = None;
                    self.replied(&reply);
                }
                Ok(None) if self.gone => self.fail(&trouble(Enhanced(4, 4, 2), "The server closed the connection")),
                Ok(None) => {
                    if now < *self.deadline.get_or_insert(now + self.limit()) {
                        return None;
                    }
                    self.fail(&trouble(Enhanced(4, 4, 2), "The server took too long"));
                }
                Err(error) => self.fail(&trouble(Enhanced(4, 5, 0), &format!("The server sent a {error}"))),
            }
        }
    }

    /// Until when the server has time. When it is over, call [`Session::next`].
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        self.deadline.unwrap_or(now + self.limit())
    }

    /// The handshake that [`Effect::StartTls`] asked for is done. Everything learned before it is forgotten.
    pub fn tls_started(&mut self) {
        if self.phase == Phase::Handshake {
            self.encrypted = true;
            self.replies.clear();
            self.hello(Phase::Ehlo);
        }
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Sends a message, after [`Effect::Ready`].
    pub fn send(&mut self, outgoing: Outgoing) {
        if self.phase != Phase::Idle {
            return;
        }
        let mut delivery = Delivery::new(outgoing, self.capabilities, self.dirty);
        if let Some(obstacle) = delivery.obstacle() {
            delivery.stop(&Fate::Failed(obstacle));
            self.effects.extend([Effect::Finished(delivery.into_fates()), Effect::Ready]);
            return;
        }
        self.phase = Phase::Envelope;
        self.dirty = true;
        self.delivery = Some(Box::new(delivery));
        self.go_on(Progress::Waiting);
    }

    /// Takes a piece of the content, with LF line ends, after [`Effect::Content`].
    pub fn content(&mut self, piece: &[u8]) {
        if self.phase == Phase::Content {
            let mut out = Vec::with_capacity(piece.len() + piece.len() / 16 + 8);
            self.encoder.feed(piece, &mut out);
            self.deadline = None;
            self.effects.extend([Effect::Write(out), Effect::Content]);
        }
    }

    /// Takes the end of the content, after [`Effect::Content`].
    pub fn content_end(&mut self) {
        if self.phase == Phase::Content {
            let mut out = Vec::new();
            self.encoder.finish(&mut out);
            self.phase = Phase::End;
            self.deadline = None;
            self.effects.push_back(Effect::Write(out));
        }
    }

    /// Ends the session, after [`Effect::Ready`].
    pub fn quit(&mut self) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Quit;
            self.say("QUIT");
        }
    }

    /// The connection is lost, or has to be given up. What was received before still counts.
    pub fn hang_up(&mut self) {
        self.gone = true;
    }

    fn limit(&self) -> Duration {
        let patience = &self.settings.patience;
        match self.phase {
            Phase::Greeting => patience.greeting,
            Phase::Envelope if self.delivery.as_ref().is_some_and(|d| d.waits_for() == Some(Step::Data)) => patience.data_start,
            Phase::Content => patience.data_piece,
            Phase::End => patience.data_end,
            _ => patience.command,
        }
    }

    fn replied(&mut self, reply: &ServerReply) {
        let summary = reply.summary();
        // "Going away", to whatever it was (RFC 5321 section 3.8).
        if summary.code == 421 && self.phase != Phase::Quit {
            return self.fail(&summary);
        }
        let good = (200..300).contains(&summary.code);
        match self.phase {
            Phase::Greeting if good => self.hello(Phase::Ehlo),
            Phase::Ehlo if good => self.introduced(Capabilities::of(reply)),
            Phase::Ehlo if summary.code >= 500 => self.hello(Phase::Helo),
            Phase::Helo if good => self.introduced(Capabilities::default()),
            Phase::StartTls if good => {
                self.phase = Phase::Handshake;
                self.replies.clear();
                self.effects.push_back(Effect::StartTls);
            }
            Phase::StartTls if self.settings.encryption != Encryption::Required => self.ready(),
            Phase::Envelope => self.envelope_replied(&summary),
            Phase::End => self.ended(&summary),
            Phase::Quit => self.close(),
            Phase::Greeting | Phase::Ehlo | Phase::Helo | Phase::StartTls => self.fail(&summary),
            Phase::Idle | Phase::Content | Phase::Handshake | Phase::Closed => {
                self.fail(&trouble(Enhanced(4, 5, 0), "The server talks unasked"));
            }
        }
    }

    fn hello(&mut self, phase: Phase) {
        let verb = if phase == Phase::Ehlo { "EHLO" } else { "HELO" };
        let line = format!("{verb} {}", self.settings.hostname);
        self.phase = phase;
        self.say(&line);
    }

    fn introduced(&mut self, capabilities: Capabilities) {
        self.capabilities = capabilities;
        match self.settings.encryption {
            _ if self.encrypted => self.ready(),
            Encryption::IfOffered | Encryption::Required if capabilities.starttls => {
                self.phase = Phase::StartTls;
                self.say("STARTTLS");
            }
            Encryption::Required => self.fail(&trouble(Enhanced(4, 7, 4), "The server offers no encryption, which is required")),
            Encryption::Never | Encryption::IfOffered => self.ready(),
        }
    }

    fn ready(&mut self) {
        self.phase = Phase::Idle;
        self.deadline = None;
        self.effects.push_back(Effect::Ready);
    }

    fn envelope_replied(&mut self, reply: &Reply) {
        if let Some(delivery) = &mut self.delivery {
            let progress = delivery.answered(reply);
            self.go_on(progress);
        }
    }

    fn go_on(&mut self, progress: Progress) {
        let Some(delivery) = &mut self.delivery else { return };
        match progress {
            Progress::Content => {
                self.phase = Phase::Content;
                self.encoder = Encoder::default();
                self.effects.push_back(Effect::Content);
            }
            Progress::EmptyContent => {
                self.phase = Phase::End;
                self.effects.push_back(Effect::Write(b".\r\n".to_vec()));
            }
            Progress::Waiting => {
                let mut out = Vec::new();
                delivery.fill(&mut out);
                if !out.is_empty() {
                    self.effects.push_back(Effect::Write(out));
                }
                if delivery.is_over() {
                    self.finish();
                }
            }
        }
    }

    /// The reply to the content has come.
    fn ended(&mut self, reply: &Reply) {
        self.dirty = false;
        if let Some(delivery) = &mut self.delivery {
            delivery.stop(&fate(reply));
        }
        self.finish();
    }

    fn finish(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            self.effects.push_back(Effect::Finished(delivery.into_fates()));
        }
        self.ready();
    }

    /// The session cannot go on.
    fn fail(&mut self, reply: &Reply) {
        match self.delivery.take() {
            Some(mut delivery) => {
                delivery.stop(&fate(reply));
                self.effects.push_back(Effect::Finished(delivery.into_fates()));
            }
            None if matches!(self.phase, Phase::Idle | Phase::Quit) => {}
            None => self.effects.push_back(Effect::Refused(reply.clone())),
        }
        self.close();
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.effects.push_back(Effect::Close);
    }

    fn say(&mut self, line: &str) {
        self.deadline = None;
        self.effects.push_back(Effect::Write(format!("{line}\r\n").into_bytes()));
    }
}

/// A failure that is nobody's verdict: to be tried again.
fn trouble(enhanced: Enhanced, text: &str) -> Reply {
    Reply::new(451, enhanced, text)
}
