//! The session: octets, notices and the time go in; octets and [`Step`]s come out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::Secret;

use crate::capability;
use crate::command::{append, swallow::Swallow};
use crate::core::{Answer, Core, Next, Outcome, Progress, Task};
use crate::frame::{Framed, Input, Literal};
use crate::parse::{Cursor, is_astring};
use crate::reply::{Condition, Reply};
use crate::store::{self, Pending, Store};
use crate::sync::{Finish, Poll};
use crate::verb::{self, State, Verb};

/// What all sessions have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The limits.
    pub limits: config::Imap,
    /// There is a certificate, so that STARTTLS can be offered.
    pub tls: bool,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client's address.
    pub ip: IpAddr,
    /// The connection is encrypted already.
    pub tls: bool,
    /// The connection does not leave this machine: passwords may be sent without TLS.
    pub loopback: bool,
}

/// Called from any thread when the selected mailbox may have news. The driver then calls [`Session::notice`].
pub type Notice = Arc<dyn Fn() + Send + Sync>;

/// What the driver has to do next.
#[derive(Debug)]
pub enum Step {
    /// Wait for octets, a notice, or [`Session::deadline`].
    Read,
    /// Send what is in [`Session::output`], and tell [`Session::written`].
    Write,
    /// Do the TLS handshake; then [`Session::secured`].
    StartTls,
    /// Check a name and password; then [`Session::authenticated`].
    Authenticate(Attempt),
    /// Wait until something is durable; then [`Session::resume`].
    Await(Pending),
    /// Log it.
    Remark(Remark),
    /// Close the connection.
    Close,
}

/// How a client logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The command LOGIN.
    Command,
    /// SASL PLAIN (RFC 4616).
    Plain,
    /// SASL LOGIN.
    Login,
}

/// A log-in to be checked.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// By which way it came.
    pub mechanism: Mechanism,
    /// Whose password it is.
    pub name: String,
    /// The account that is meant, if another one was named.
    pub authorization: Option<String>,
    /// The password.
    pub secret: Secret,
}

/// Why a log-in failed. Unknown name and wrong password look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefused {
    /// Name or password is wrong: `[AUTHENTICATIONFAILED]`.
    Credentials,
    /// The account may not act for the one that it named: `[AUTHORIZATIONFAILED]`.
    Authorization,
    /// Too many attempts, or sessions of this account: `[LIMIT]`.
    Limit,
    /// It cannot be checked now: `[UNAVAILABLE]`.
    Unavailable,
}

/// What the log should know of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// What the client says it is (RFC 2971), made printable.
    Client(String),
    /// The session was ended for a reason that the log should have.
    Ended(&'static str),
    /// A message could not be read to its end, so that the connection had to be closed.
    BrokenMessage {
        /// The mailbox.
        mailbox: String,
        /// The message.
        uid: mail::Uid,
    },
}

/// A session with one client.
pub struct Session {
    core: Core,
    input: Input,
    /// The present command, if it takes more than one go.
    task: Option<Box<dyn Task>>,
    /// The end of the present command.
    ending: Option<Finish>,
    /// What the driver has to do as soon as the output is sent.
    effect: Option<Step>,
    /// The driver is doing it.
    waiting: bool,
    opened: Instant,
    /// When the client was last heard of.
    heard: Instant,
    /// Octets came since the last call of [`Session::advance`].
    fresh: bool,
    /// When the client was last sent something.
    told: Instant,
}

impl Session {
    /// A session on a connection just accepted, or just encrypted if it is TLS from the start. The greeting is in the output.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Peer, notice: Notice, now: Instant) -> Self {
        let mut core = Core::new(settings, peer, notice);
        let greeting = format!("* OK [CAPABILITY {}] Pillarbox ready.\r\n", capability::list(&core));
        core.out.text(&greeting);
        Self {
            core,
            input: Input::default(),
            task: None,
            ending: None,
            effect: None,
            waiting: false,
            opened: now,
            heard: now,
            fresh: false,
            told: now,
        }
    }

    /// Takes octets from the client in. To be called when [`Step::Read`] was asked for; what cannot be used yet is kept.
    pub fn receive(&mut self, octets: &[u8]) {
        self.fresh = true;
        self.input.push(octets);
    }

    /// What waits to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.core.out.bytes()
    }

    /// The first `count` octets of the output were sent.
    pub fn written(&mut self, count: usize) {
        self.core.out.sent(count);
    }

    /// There may be news of the selected mailbox.
    pub fn notice(&mut self) {
        self.core.stirred = true;
    }

    /// Tells what came of [`Step::Authenticate`].
    pub fn authenticated(&mut self, result: Result<Box<dyn Store>, LoginRefused>) {
        self.answer(Answer::Login(result));
    }

    /// Tells what came of [`Step::Await`].
    pub fn resume(&mut self, result: store::Result<()>) {
        self.answer(Answer::Durable(result));
    }

    fn answer(&mut self, answer: Answer) {
        self.waiting = false;
        if let Some(task) = &mut self.task {
            task.answer(&mut self.core, answer);
        }
    }

    /// Tells that [`Step::StartTls`] succeeded. What the client had sent before is forgotten: it may be a stranger's.
    pub fn secured(&mut self) {
        self.waiting = false;
        self.input.clear();
        self.core.peer.tls = true;
    }

    /// Ends the session from the server's side, for example when it shuts down: says BYE with this text, unless the client
    /// would take it for a part of the response that it is being sent.
    pub fn end(&mut self, text: &str) {
        self.core.out.forget_sent();
        self.core.leaving |= self.task.as_ref().is_some_and(|task| task.is_amid());
        self.core.bye(text);
        (self.task, self.ending, self.effect) = (None, None, None);
        self.waiting = false;
    }

    /// Whether the client has logged in.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.core.state() != State::NotAuthenticated
    }

    /// When [`Session::advance`] has to be called even if nothing came.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let limits = &self.core.settings.limits;
        if !self.is_authenticated() {
            return self.opened + limits.login_timeout;
        }
        match self.reminder() {
            Some(reminder) => self.told + reminder,
            None => self.heard + limits.idle_timeout,
        }
    }

    /// How often the client is to be sent a sign of life: only in IDLE, and if the settings say so.
    fn reminder(&self) -> Option<Duration> {
        let reminder = self.core.settings.limits.idle_reminder;
        let idles = self.task.as_ref().is_some_and(|task| task.idles());
        (idles && !reminder.is_zero()).then_some(reminder)
    }

    /// Goes on as far as it can and says what has to be done next. `now` never goes back.
    pub fn advance(&mut self, now: Instant) -> Step {
        if std::mem::take(&mut self.fresh) {
            self.heard = now;
        }
        self.core.out.forget_sent();
        loop {
            let done = self.core.leaving && self.ending.is_none();
            if self.core.full() || done || self.waiting || self.effect.is_some() {
                return self.outward(now);
            }
            if !self.proceed() && !self.core.full() && !self.is_late(now) {
                return self.outward(now);
            }
        }
    }

    /// One step of the present command, or the beginning of the next; false if that needs input or room.
    fn proceed(&mut self) -> bool {
        if let Some(ending) = &mut self.ending {
            let Some(reply) = ending.run(&mut self.core) else { return false };
            self.ending = None;
            self.tagged(&reply);
            return true;
        }
        let Some(task) = &mut self.task else { return self.next_command() };
        match task.run(&mut self.core, &mut self.input) {
            Progress::Full | Progress::Starved => return false,
            Progress::Effect(step) => self.effect = Some(step),
            Progress::Done(reply) => {
                self.task = None;
                self.finish(reply);
            }
        }
        true
    }

    /// Sends what there is to be sent, and then asks for what is needed.
    fn outward(&mut self, now: Instant) -> Step {
        if !self.core.out.bytes().is_empty() {
            self.told = now;
            return Step::Write;
        }
        if let Some(remark) = self.core.remarks.pop() {
            return Step::Remark(remark);
        }
        if self.core.leaving {
            self.core.unselect();
            return Step::Close;
        }
        self.core.out.rest();
        let Some(step) = self.effect.take() else { return Step::Read };
        self.waiting = true;
        step
    }

    /// Whether the client's time is up, so that there is something to say.
    fn is_late(&mut self, now: Instant) -> bool {
        if now < self.deadline() || self.waiting {
            return false;
        }
        if self.reminder().is_some() {
            self.core.out.text("* OK Still here\r\n");
            self.told = now;
        } else {
            self.core.remarks.push(Remark::Ended("the client was silent for too long"));
            self.core.bye("Disconnected for inactivity");
            self.task = None;
        }
        true
    }

    /// Ends the present command: its news are told, then its tagged line.
    fn finish(&mut self, reply: Reply) {
        let poll = match self.core.verb {
            Some(verb) if reply.condition != Condition::Bad => verb.poll,
            _ => Poll::Nothing,
        };
        let poll = if poll == Poll::Flags && self.core.uid { Poll::All } else { poll };
        self.ending = Some(Finish::new(&mut self.core, reply, poll));
    }

    /// Writes the tagged line.
    fn tagged(&mut self, reply: &Reply) {
        reply.write(&self.core.tag, &mut self.core.out);
        if std::mem::take(&mut self.core.starts_tls) {
            self.effect = Some(Step::StartTls);
        }
        if reply.condition != Condition::Bad {
            self.core.errors = 0;
            return;
        }
        self.core.errors += 1;
        if self.core.errors >= self.core.settings.limits.max_errors {
            self.core.remarks.push(Remark::Ended("too many malformed commands"));
            self.core.bye("Too many malformed commands");
        }
    }

    /// What a command has come to at first.
    fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Ok(Next::Task(task)) => self.task = Some(task),
            Ok(Next::Reply(reply)) | Err(reply) => self.finish(reply),
        }
    }

    /// Takes the next command from the input; false if there is none.
    fn next_command(&mut self) -> bool {
        let limit = self.core.settings.limits.max_command_size.octets();
        match self.input.next(limit) {
            Framed::Incomplete => return false,
            Framed::Command(length) => self.command(length),
            Framed::Literal(literal) => self.literal(&literal, limit),
            Framed::TooLong => {
                let reply = begin(&mut self.core, self.input.front()).err();
                let reply = reply.unwrap_or_else(|| Reply::bad("Command too long").code("TOOBIG"));
                self.task = Some(Box::new(Swallow::literal(self.input.line_start(), reply)));
            }
        }
        true
    }

    /// Parses a whole command and carries it out.
    fn command(&mut self, length: usize) {
        let text = &self.input.front()[..length];
        if self.core.stray_done && text.trim_ascii_end().eq_ignore_ascii_case(b"DONE") {
            self.core.stray_done = false;
            self.input.consume(length);
            return;
        }
        let outcome = begin(&mut self.core, text).and_then(|(verb, mut cursor)| (verb.run)(&mut self.core, &mut cursor));
        self.input.wipe(length);
        self.input.consume(length);
        self.settle(outcome);
    }

    /// A command has come up to a literal: it is asked for, refused, or given to APPEND as a stream.
    fn literal(&mut self, literal: &Literal, limit: usize) {
        let text = &self.input.front()[..literal.at];
        let size = usize::try_from(literal.size).unwrap_or(usize::MAX);
        let begun = begin(&mut self.core, text).and_then(|(verb, mut cursor)| match verb.name {
            "APPEND" => append::begin(&mut self.core, &mut cursor, literal),
            _ => Ok(None),
        });
        match begun {
            Ok(Some(task)) => {
                self.input.consume(literal.end);
                self.task = Some(task);
            }
            Ok(None) if literal.end.saturating_add(size) <= limit => {
                self.input.approve(literal);
                if literal.waits {
                    self.core.out.text("+ OK\r\n");
                }
            }
            Ok(None) => self.refuse(literal, Reply::bad("Literal too long").code("TOOBIG")),
            Err(reply) => self.refuse(literal, reply),
        }
    }

    /// Refuses a command at its literal. A client that does not wait for leave sends it nevertheless (RFC 7888 section 4).
    fn refuse(&mut self, literal: &Literal, reply: Reply) {
        self.input.consume(literal.end);
        if literal.waits {
            self.finish(reply);
        } else {
            self.task = Some(Box::new(Swallow::literal(literal.size, reply)));
        }
    }
}

/// Reads a command's tag and verb, and makes it the present one.
fn begin<'a>(core: &mut Core, text: &'a [u8]) -> Result<(&'static Verb, Cursor<'a>), Reply> {
    let mut cursor = Cursor::new(text);
    core.tag.clear();
    core.tag.push(b'*');
    (core.verb, core.uid) = (None, false);
    let tag = cursor.span(|b| is_astring(b) && b != b'+' && b.is_ascii());
    if tag.is_empty() || tag.len() > LONGEST_TAG {
        return Err(Reply::bad("Invalid tag"));
    }
    core.tag.clear();
    core.tag.extend_from_slice(tag);
    cursor.space().map_err(|_| Reply::bad("Missing command"))?;
    let (verb, uid) = verb::find(&mut cursor, core.state())?;
    (core.verb, core.uid) = (Some(verb), uid);
    Ok((verb, cursor))
}

/// The longest tag that is taken, in octets.
const LONGEST_TAG: usize = 200;
