//! Runs dialogues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use imap::store::Refusal;
use imap::{LoginRefused, Peer, Remark, Session, Settings, Step};

use crate::memory::Account;

/// One connection.
pub(crate) struct Client {
    session: Session,
    stirred: Arc<AtomicBool>,
    output: Vec<u8>,
    pub(crate) closed: bool,
    pub(crate) starts_tls: bool,
    pub(crate) remarks: Vec<Remark>,
    /// The most that ever waited in the output.
    pub(crate) most: usize,
    now: Instant,
}

/// How the connections of a dialogue are made.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) limits: config::Imap,
    pub(crate) tls: bool,
    pub(crate) peer: Peer,
}

impl Default for Setup {
    fn default() -> Self {
        let peer = Peer { ip: [127, 0, 0, 1].into(), tls: false, loopback: true };
        Self { limits: config::Imap::default(), tls: false, peer }
    }
}

impl Client {
    pub(crate) fn new(setup: &Setup) -> Self {
        let stirred = Arc::new(AtomicBool::new(false));
        let notice = stirred.clone();
        let settings = Arc::new(Settings { limits: setup.limits.clone(), tls: setup.tls });
        let now = Instant::now();
        let session = Session::new(settings, setup.peer, Arc::new(move || notice.store(true, Ordering::SeqCst)), now);
        Self { session, stirred, output: Vec::new(), closed: false, starts_tls: false, remarks: Vec::new(), most: 0, now }
    }

    /// Sends octets and does what the session asks for until it wants to read.
    pub(crate) fn send(&mut self, octets: &[u8], account: &Account) {
        if !self.closed {
            self.session.receive(octets);
            self.drive(account);
        }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, time: Duration, account: &Account) {
        self.now += time;
        self.drive(account);
    }

    /// The server shuts down while the client takes no more than what was sent so far.
    pub(crate) fn shut_down(&mut self, octets: &[u8], account: &Account) {
        self.session.receive(octets);
        assert!(matches!(self.session.advance(self.now), Step::Write));
        self.session.end("Server is shutting down");
        self.drive(account);
    }

    pub(crate) fn drive(&mut self, account: &Account) {
        while !self.closed {
            if self.stirred.swap(false, Ordering::SeqCst) {
                self.session.notice();
            }
            match self.session.advance(self.now) {
                Step::Read if self.stirred.load(Ordering::SeqCst) => {}
                Step::Read => return,
                Step::Write => {
                    self.most = self.most.max(self.session.output().len());
                    self.output.extend_from_slice(self.session.output());
                    self.session.written(self.session.output().len());
                }
                Step::StartTls => {
                    self.starts_tls = true;
                    self.session.secured();
                }
                Step::Authenticate(attempt) => {
                    let good = attempt.secret.expose() == b"pass";
                    self.session.authenticated(if good { Ok(Box::new(account.clone())) } else { Err(LoginRefused::Credentials) });
                }
                Step::Await(mut pending) => {
                    let ready = pending.0.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    self.session.resume(if let Poll::Ready(result) = ready { result } else { Err(Refusal::Unavailable) });
                }
                Step::Remark(remark) => self.remarks.push(remark),
                Step::Close => self.closed = true,
            }
        }
    }

    /// All that was sent and not looked at yet.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The next line that was sent.
    fn next_line(&mut self) -> Option<String> {
        let end = self.output.windows(2).position(|two| two == b"\r\n")?;
        let line = String::from_utf8_lossy(&self.output[..end]).into_owned();
        self.output.drain(..end + 2);
        Some(line)
    }
}

/// Whether a line is as expected; `…` stands for anything.
fn matches(expected: &str, line: &str) -> bool {
    let mut pieces = expected.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut last = None;
    for piece in pieces {
        last = Some(piece);
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty() || last.is_some_and(|last| last.is_empty() || line.ends_with(last))
}

/// A dialogue with as many connections as it names.
pub(crate) struct Dialogue {
    pub(crate) account: Account,
    pub(crate) clients: BTreeMap<u32, Client>,
    pub(crate) setup: Setup,
    /// New connections are logged in, with this mailbox selected.
    selected: Option<String>,
}

impl Dialogue {
    pub(crate) fn new(setup: Setup) -> Self {
        Self { account: Account::new(), clients: BTreeMap::new(), setup, selected: None }
    }

    /// Connections are logged in, and have `mailbox` selected unless it is empty.
    pub(crate) fn within(mailbox: &str) -> Self {
        Self { selected: Some(mailbox.to_owned()), ..Self::new(Setup::default()) }
    }

    pub(crate) fn client(&mut self, number: u32) -> &mut Client {
        let (setup, account, selected) = (&self.setup, &self.account, &self.selected);
        self.clients.entry(number).or_insert_with(|| {
            let mut client = Client::new(setup);
            client.drive(account);
            if number > 1 {
                client.take();
            }
            if let Some(mailbox) = selected {
                client.send(b"0 LOGIN user pass\r\n", account);
                if !mailbox.is_empty() {
                    client.send(format!("0 SELECT {mailbox}\r\n").as_bytes(), account);
                }
                client.take();
            }
            client
        })
    }

    /// Runs a script. Lines of the server must be in order, and all of them must be there.
    pub(crate) fn run(&mut self, script: &str) -> &mut Self {
        for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            let (head, text) = line.split_once(':').unwrap_or((line, ""));
            let text = text.strip_prefix(' ').unwrap_or(text);
            let number = head[1..].parse().unwrap_or(1);
            self.client(number);
            if head.starts_with('C') {
                self.finished(number, line);
                let account = self.account.clone();
                self.client(number).send(format!("{text}\r\n").as_bytes(), &account);
                self.clients.values_mut().for_each(|client| client.drive(&account));
            } else {
                let got = self.client(number).next_line();
                let Some(got) = got else { panic!("nothing came where this was expected: {line}") };
                assert!(matches(text, &got), "\nexpected {head}: {text}\n     got {head}: {got}\nin\n{script}");
            }
        }
        let numbers: Vec<u32> = self.clients.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.finished(number, "the end"));
        self
    }

    fn finished(&mut self, number: u32, place: &str) {
        if let Some(line) = self.client(number).next_line() {
            panic!("not expected before {place:?}: S{number}: {line}");
        }
    }

    /// Messages with these subjects come into INBOX.
    pub(crate) fn deliver(&mut self, subjects: &[&str]) -> &mut Self {
        for subject in subjects {
            self.account.deliver("INBOX", format!("From: a@example.org\nSubject: {subject}\n\nbody of {subject}\n").as_bytes());
        }
        let account = self.account.clone();
        self.clients.values_mut().for_each(|client| client.drive(&account));
        self
    }
}

/// A dialogue on a new connection that is not logged in; the greeting is part of it.
pub(crate) fn fresh(script: &str) {
    Dialogue::new(Setup::default()).run(script);
}

/// A dialogue after log-in.
pub(crate) fn logged_in(script: &str) {
    Dialogue::within("").run(script);
}

/// A dialogue with an INBOX that has three messages, `one`, `two` and `three`, and is selected.
pub(crate) fn selected(script: &str) {
    Dialogue::within("INBOX").deliver(&["one", "two", "three"]).run(script);
}
