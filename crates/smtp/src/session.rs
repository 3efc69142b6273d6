//! The receiving session: octets, answers and the time go in, effects come out.
//!
//! The driver's loop: call [`Session::next`] until it gives `None`, doing what each effect says; then read, with
//! [`Session::deadline`] as the limit; hand over what came with [`Session::receive`], or the end of the connection with
//! [`Session::hang_up`], or nothing if the time was up; begin again. The deadline holds while writing too: a client that
//! does not take its replies in time is gone.
//!
//! `order.rs` says which command may come when, `verbs.rs` carries commands out, `content.rs` takes messages in,
//! `login.rs` is AUTH. This file has the state, the loop and the clock.

mod content;
mod login;
mod order;
mod verbs;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Domain, MessageId, Parameters, Recipient, Reply, ReversePath, Verdict};

use crate::effect::{Answer, Closing, Effect, Refusal};
use crate::frame::{Frame, Input};
use crate::grammar::Command;
use crate::message::Message;
use crate::{Now, Peer, Settings, Tls};

/// Replies are gathered up to this size before they are written (RFC 2920 section 3.2).
const REPLIES: usize = 8 << 10;
/// RFC 5321 section 4.5.3.1.5, line end included.
const LONGEST_REPLY: usize = 512;

/// One client's session. See the module's head for how to drive it.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    peer: Peer,
    phase: Phase,
    input: Input,
    output: Vec<u8>,
    effects: VecDeque<Effect>,
    question: Option<Question>,
    hello: Option<Hello>,
    verified_name: Option<Domain>,
    account: Option<String>,
    transaction: Option<Box<Transaction>>,
    /// Since the last message that was accepted.
    commands: u32,
    errors: u32,
    failed_logins: u32,
    /// The client is gone; what was asked for is finished, nothing else.
    gone: bool,
    /// The end of the time for what the client is doing now; not set until there is nothing left to do but wait.
    deadline: Option<Instant>,
    /// The end of the session's time.
    end: Instant,
    /// When the driver was last given something to do. The time it takes is not the client's.
    left: Option<Instant>,
}

/// What comes next from the client.
#[derive(Debug)]
enum Phase {
    /// Nothing may, until the greeting at this time.
    Pause(Instant),
    Command,
    /// The answer to a challenge.
    Exchange,
    /// The message, up to the lone dot.
    Data,
    Chunk(Chunk),
    Handshake,
    Closed,
}

/// A chunk of BDAT under way.
#[derive(Debug)]
struct Chunk {
    left: u64,
    last: bool,
    /// Set if the octets are only swallowed, to be answered so.
    refusal: Option<String>,
}

/// What the driver was asked and has not answered.
#[derive(Debug)]
enum Question {
    Sender(Box<Transaction>),
    Recipient(Recipient),
    Login,
    /// A message opens, for DATA or a first chunk.
    Begin(Box<Message>, Option<Chunk>),
    Commit(MessageId),
}

/// What the client said of itself.
#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

/// From MAIL to the end of the message.
#[derive(Debug)]
struct Transaction {
    reverse_path: ReversePath,
    size: Option<u64>,
    parameters: Parameters,
    recipients: Vec<Recipient>,
    /// RCPT commands that were accepted, repetitions included.
    accepted: u32,
    /// RCPT commands that were refused.
    refused: u32,
    /// Set between chunks, and while the content comes.
    message: Option<Box<Message>>,
    id: Option<MessageId>,
}

impl Session {
    /// A session with a client that has just connected.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Peer, now: Now) -> Self {
        let strangers = settings.role == crate::Role::Relay && peer.tls.is_none() && !peer.known;
        let pause = if strangers { settings.limits.greeting_pause } else { Duration::ZERO };
        let end = now.instant + settings.limits.session_timeout;
        Self {
            settings,
            peer,
            phase: Phase::Pause(now.instant + pause),
            input: Input::default(),
            output: Vec::new(),
            effects: VecDeque::new(),
            question: None,
            hello: None,
            verified_name: None,
            account: None,
            transaction: None,
            commands: 0,
            errors: 0,
            failed_logins: 0,
            gone: false,
            deadline: None,
            end,
            left: None,
        }
    }

    /// Takes octets that were read. Read no more before [`Session::next`] has given `None`.
    pub fn receive(&mut self, octets: &[u8]) {
        // What comes between STARTTLS and the handshake was sent in clear by who knows whom (RFC 3207 section 4.2).
        if !matches!(self.phase, Phase::Closed | Phase::Handshake) {
            self.input.add(octets);
        }
    }

    /// What is to be done next; `None` means: read, or wait for the deadline.
    pub fn next(&mut self, now: Now) -> Option<Effect> {
        self.resume(now.instant);
        loop {
            if let Some(effect) = self.effects.pop_front() {
                match effect {
                    // Reading replies is the client's work: it counts as part of its next command.
                    Effect::Write(_) => self.set_deadline(now.instant),
                    _ => self.left = Some(now.instant),
                }
                return Some(effect);
            }
            if self.question.is_some() || matches!(self.phase, Phase::Closed) {
                return None;
            }
            if self.output.len() >= REPLIES {
                self.flush();
            } else if !self.step(now) {
                if !self.output.is_empty() {
                    self.flush();
                } else if !self.is_late(now.instant) {
                    return None;
                }
            }
        }
    }

    /// Until when the client has time for what comes next. When it is over, call [`Session::next`].
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match (&self.phase, self.deadline) {
            (Phase::Pause(until), _) => *until,
            (_, Some(deadline)) => deadline.min(self.end),
            (_, None) => self.end,
        }
    }

    /// Gives the answer to the effect that asked. An answer of the wrong kind counts as a failure of this server.
    pub fn answer(&mut self, answer: Answer, now: Now) {
        self.resume(now.instant);
        match (self.question.take(), answer) {
            (Some(Question::Sender(transaction)), Answer::Verdict(verdict)) => self.sender_checked(transaction, verdict),
            (Some(Question::Recipient(recipient)), Answer::Verdict(verdict)) => self.recipient_checked(recipient, verdict),
            (Some(Question::Begin(message, chunk)), Answer::Verdict(verdict)) => self.begun(message, chunk, verdict),
            (Some(Question::Commit(id)), Answer::Verdict(verdict)) => self.committed(id, verdict),
            (Some(Question::Login), answer) => self.login_answered(answer),
            (None, _) => {}
            (Some(_), _) => {
                self.end_transaction(Refusal::GivenUp);
                self.phase = Phase::Command;
                self.say("451 4.3.0 Something is wrong here, try again later");
            }
        }
        if self.gone {
            self.close(Closing::Gone);
        }
    }

    /// The handshake that [`Effect::StartTls`] asked for is done. Everything learned before it is forgotten.
    pub fn tls_started(&mut self, tls: Tls) {
        if matches!(self.phase, Phase::Handshake) {
            self.peer.tls = Some(tls);
            self.phase = Phase::Command;
            self.deadline = None;
        }
    }

    /// The client has closed the connection, or it is lost. A message that was complete is still finished.
    pub fn hang_up(&mut self) {
        self.gone = true;
        if matches!(self.question, Some(Question::Commit(_))) {
            return;
        }
        if matches!(self.question.take(), Some(Question::Begin(..))) {
            self.effects.push_back(Effect::Abort(Refusal::GivenUp));
        }
        self.output.clear();
        self.close(Closing::Gone);
    }

    /// Tells the client's name in the DNS, for Received headers from now on. It has to be verified: it leads back to the
    /// client's address.
    pub fn resolved(&mut self, name: Domain) {
        self.verified_name = Some(name);
    }

    /// What the client called itself, if it did.
    #[must_use]
    pub fn client_name(&self) -> Option<&str> {
        self.hello.as_ref().map(|hello| hello.name.as_str())
    }

    /// Whether the client waited for the greeting and said HELO or EHLO; for [`crate::Admission::leave`].
    #[must_use]
    pub fn is_well_behaved(&self) -> bool {
        self.hello.is_some()
    }

    /// Does one thing; `false` if more input is needed for that.
    fn step(&mut self, now: Now) -> bool {
        match self.phase {
            Phase::Pause(until) => self.pause(until, now.instant),
            Phase::Command => self.command(now),
            Phase::Exchange => self.exchange(),
            Phase::Data => self.data_came(now.instant),
            Phase::Chunk(_) => self.chunk_came(now.instant),
            Phase::Handshake | Phase::Closed => false,
        }
    }

    fn pause(&mut self, until: Instant, now: Instant) -> bool {
        if !self.input.rest().is_empty() && !self.peer.known && self.settings.role == crate::Role::Relay {
            self.say("554 5.5.1 You talk before the greeting");
            self.close(Closing::Pregreet);
        } else if now >= until {
            self.phase = Phase::Command;
            let greeting = format!("220 {} ESMTP", self.settings.hostname);
            self.say(&greeting);
        } else {
            return false;
        }
        true
    }

    /// Takes one command line from the input.
    fn command(&mut self, now: Now) -> bool {
        let limit = self.settings.limits.max_command_line.octets();
        let parsed = match self.input.line(limit) {
            Frame::Partial => return false,
            Frame::Line(line) => Command::parse(line).map_err(|error| error.to_string()),
            Frame::TooLong => Err("500 5.5.2 Line too long".to_owned()),
            Frame::BareLf => {
                self.say("500 5.5.2 Lone LF in a command: lines have to end in CR LF");
                self.close(Closing::BareLf);
                return true;
            }
        };
        self.deadline = None;
        self.commands += 1;
        if self.commands > self.settings.limits.max_commands {
            self.say("421 4.7.0 Too many commands without a message");
            self.close(Closing::Commands);
            return true;
        }
        match parsed {
            Ok(command) => self.obey(command, now),
            Err(reply) => self.refuse(&reply),
        }
        true
    }

    /// Sets the deadline for what the client does next, if there is none.
    fn set_deadline(&mut self, now: Instant) {
        let limit = match self.phase {
            Phase::Pause(_) => return,
            Phase::Data | Phase::Chunk(_) => self.settings.limits.data_timeout,
            _ => self.settings.limits.command_timeout,
        };
        self.deadline.get_or_insert(now + limit);
    }

    /// Ends the session if its time is over.
    fn is_late(&mut self, now: Instant) -> bool {
        self.input.shrink();
        self.set_deadline(now);
        if matches!(self.phase, Phase::Pause(_)) || now < self.deadline() {
            return false;
        }
        // Within the handshake the client expects TLS; a reply in clear would only confuse it.
        if !matches!(self.phase, Phase::Handshake) {
            self.say("421 4.4.2 Time is over");
        }
        self.end_transaction(Refusal::Timeout);
        self.close(Closing::Timeout);
        true
    }

    /// Gives the client back the time that the driver took.
    fn resume(&mut self, now: Instant) {
        if let Some(left) = self.left.take() {
            let taken = now.saturating_duration_since(left);
            self.deadline = self.deadline.map(|deadline| deadline + taken);
        }
    }

    /// Puts a reply of one line into the output.
    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Says that something was not done. Too many of these end the session.
    fn refuse(&mut self, line: &str) {
        self.errors += 1;
        if self.errors > self.settings.limits.max_errors {
            self.say("421 4.7.0 Too many errors");
            self.close(Closing::Errors);
        } else {
            self.say(line);
        }
    }

    /// Says what the driver decided against; `true` if it did.
    fn turned_down(&mut self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Accept => return false,
            Verdict::Defer(reply) => self.say(&line(reply)),
            Verdict::Reject(reply) => self.refuse(&line(reply)),
        }
        true
    }

    fn flush(&mut self) {
        if !self.output.is_empty() {
            let output = std::mem::take(&mut self.output);
            self.effects.push_back(Effect::Write(output));
        }
    }

    /// Ends the session; what was said is still written.
    fn close(&mut self, closing: Closing) {
        if !matches!(self.phase, Phase::Closed) {
            self.end_transaction(Refusal::GivenUp);
            self.flush();
            self.effects.push_back(Effect::Close(closing));
            self.phase = Phase::Closed;
            self.input.clear();
        }
    }

    /// Forgets the transaction; an open message is dropped for the reason given.
    fn end_transaction(&mut self, refusal: Refusal) {
        if let Some(transaction) = self.transaction.take() {
            // A message that was refused on its way is closed already.
            if transaction.message.is_some_and(|message| message.refusal().is_none()) {
                self.effects.push_back(Effect::Abort(refusal));
            }
        }
    }
}

/// A reply as its line, whatever it was made of: printable ASCII, of bounded length.
fn line(reply: &Reply) -> String {
    let code = if (200..600).contains(&reply.code) { reply.code } else { 451 };
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let mut line = format!("{code} {} ", reply.enhanced);
    line.extend(reply.text.chars().map(printable).take(LONGEST_REPLY - 2 - line.len()));
    line
}

#[cfg(test)]
mod tests;
