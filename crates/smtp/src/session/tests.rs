//! Dialogues. `C:` is a line of the client (lines in a row come in one read), `S:` the beginning of a line of the server,
//! `M:` a message that was committed, `T:` milliseconds that pass, `X:` why the session was closed, `D:` that the client
//! closes the connection, `P:` a change of the policy that answers the session's questions.

mod commands;
mod content;
mod limits;
mod login;
mod splits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Enhanced, Envelope, Reply, Verdict};

use crate::{Answer, Effect, Now, Peer, Role, Session, Settings, Tls};

/// A session with a driver that keeps everything in memory.
struct Lab {
    session: Session,
    now: Now,
    written: Vec<u8>,
    /// Where `written` was compared up to.
    read: usize,
    open: Option<(Box<Envelope>, Vec<u8>)>,
    messages: Vec<(Box<Envelope>, Vec<u8>)>,
    log: Vec<String>,
    disk_full: bool,
    slow: Duration,
}

fn settings(role: Role, change: impl FnOnce(&mut config::Smtp)) -> Settings {
    let mut limits = config::Smtp::default();
    change(&mut limits);
    Settings { starttls: true, ..Settings::new(limits, "mx.test".parse().unwrap(), role) }
}

impl Lab {
    fn new(settings: Settings, tls: bool) -> Self {
        let now = Now { instant: Instant::now(), micros: 1_772_532_000_000_000 };
        let tls = tls.then(|| Tls { cipher: "TLS_AES_128_GCM_SHA256".to_owned() });
        let peer = Peer { address: "127.0.0.9".parse().unwrap(), tls, known: false };
        Self {
            session: Session::new(Arc::new(settings), peer, now),
            now,
            written: Vec::new(),
            read: 0,
            open: None,
            messages: Vec::new(),
            log: Vec::new(),
            disk_full: false,
            slow: Duration::ZERO,
        }
    }

    /// A session on port 25, greeted, after EHLO; what was said so far is read.
    fn greeted(change: impl FnOnce(&mut config::Smtp)) -> Self {
        let mut lab = Self::new(settings(Role::Relay, change), false);
        lab.pass(200);
        lab.send(b"EHLO client.test\r\n");
        lab.read = lab.written.len();
        lab
    }

    /// A session on the submission port under TLS, after EHLO.
    fn submission(change: impl FnOnce(&mut config::Smtp)) -> Self {
        let mut lab = Self::new(settings(Role::Submission, change), true);
        lab.send(b"EHLO client.test\r\n");
        lab.read = lab.written.len();
        lab
    }

    fn send(&mut self, octets: &[u8]) {
        self.session.receive(octets);
        self.run();
    }

    fn pass(&mut self, millis: u64) {
        self.now.instant += Duration::from_millis(millis);
        self.now.micros += millis * 1000;
        self.run();
    }

    fn run(&mut self) {
        while let Some(effect) = self.session.next(self.now) {
            self.now.instant += self.slow;
            if let Some(answer) = self.act(effect) {
                self.session.answer(answer, self.now);
            }
        }
    }

    fn act(&mut self, effect: Effect) -> Option<Answer> {
        match effect {
            Effect::Write(octets) => self.written.extend(octets),
            Effect::StartTls => self.log.push("starttls".to_owned()),
            Effect::Close(closing) => self.log.push(closing.to_string()),
            Effect::Abort(refusal) => {
                self.open.take().expect("an open message is dropped");
                self.log.push(format!("dropped: {refusal}"));
            }
            Effect::Body(piece) => self.open.as_mut().expect("a message is open").1.extend(piece),
            Effect::CheckSender { sender, .. } => return Some(Answer::Verdict(judge_sender(&sender.to_string()))),
            Effect::CheckRecipient { recipient, .. } => return Some(Answer::Verdict(judge(&recipient.to_string()))),
            Effect::LoginStart { mechanism, initial } => return Some(login::start(&mechanism, initial)),
            Effect::LoginAnswer(secret) => return Some(login::verify(secret.expose())),
            Effect::Begin(envelope) => {
                assert!(self.open.is_none(), "one message at a time");
                if self.disk_full {
                    return Some(Answer::Verdict(Verdict::Defer(Reply::new(452, Enhanced(4, 3, 1), "Disk full"))));
                }
                self.open = Some((envelope, Vec::new()));
                return Some(Answer::Verdict(Verdict::Accept));
            }
            Effect::Commit { size } => return Some(Answer::Verdict(self.commit(size))),
        }
        None
    }

    fn commit(&mut self, size: u64) -> Verdict {
        let (envelope, content) = self.open.take().expect("an open message is committed");
        assert_eq!(size, content.len() as u64);
        if content.windows(4).any(|w| w == b"fail") {
            return Verdict::Defer(Reply::new(452, Enhanced(4, 3, 1), "Disk full"));
        }
        self.messages.push((envelope, content));
        Verdict::Accept
    }

    /// What was said since this was called last.
    fn said(&mut self) -> String {
        let said = String::from_utf8(self.written[self.read..].to_vec()).unwrap();
        self.read = self.written.len();
        said
    }

    /// Plays a dialogue.
    fn talk(&mut self, script: &str) -> &mut Self {
        let mut said: Vec<String> = Vec::new();
        let mut group = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()).chain(["E:"]) {
            let (kind, rest) = line.split_at(2);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            if kind != "C:" && !group.is_empty() {
                self.send(&std::mem::take(&mut group));
            }
            match kind {
                "C:" => group.extend([unescape(rest).as_slice(), b"\r\n"].concat()),
                "S:" => {
                    said.extend(self.said().split_terminator("\r\n").map(str::to_owned));
                    assert!(!said.is_empty(), "nothing said; expected {rest:?} in\n{script}");
                    let got = said.remove(0);
                    assert!(got.starts_with(rest), "expected {rest:?}, got {got:?} in\n{script}");
                }
                "T:" => self.pass(rest.parse().unwrap()),
                "D:" => {
                    self.session.hang_up();
                    self.run();
                }
                "P:" => self.disk_full = rest == "disk full",
                "X:" => {
                    assert!(self.log.iter().any(|entry| entry.contains(rest)), "not {rest:?} in {:?}", self.log);
                    self.log.clear();
                }
                "M:" => {
                    let (_, content) = self.messages.remove(0);
                    let text = String::from_utf8_lossy(&content).into_owned();
                    assert!(text.ends_with(&String::from_utf8(unescape(rest)).unwrap()), "{text:?} does not end in {rest:?}");
                }
                _ => assert!(said.is_empty() && self.said().is_empty(), "said too much: {said:?} in\n{script}"),
            }
        }
        self
    }
}

/// `\r`, `\n`, `\0` and `\\` stand for what they do in Rust.
fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}

fn judge_sender(sender: &str) -> Verdict {
    match sender {
        "spammer@client.test" => Verdict::Reject(Reply::new(550, Enhanced(5, 7, 1), "Not you")),
        _ => Verdict::Accept,
    }
}

fn judge(recipient: &str) -> Verdict {
    match recipient.split_once('@').unwrap_or_default() {
        ("joe" | "ann" | "postmaster" | "j\u{f6}rg", "local.test" | "mx.test") => Verdict::Accept,
        ("busy", "local.test") => Verdict::Defer(Reply::new(450, Enhanced(4, 2, 1), "Try later")),
        (_, "local.test") => Verdict::Reject(Reply::new(550, Enhanced(5, 1, 1), "No such user")),
        _ => Verdict::Reject(Reply::new(554, Enhanced(5, 7, 1), format!("No relaying to {recipient}\r\n"))),
    }
}
