//! The IMAP session over a store in memory: whatever a client sends, answers are whole lines and literals, and it comes to an end.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use imap::store::{Pending, Refusal};
use imap::{Peer, Session, Settings, Step};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/imap/tests/memory/mod.rs"]
mod memory;

use memory::Account;

const MESSAGES: [&[u8]; 3] = [
    b"From: Ada <a@b.example>\nTo: c@d.example\nSubject: one\nMessage-ID: <1@x>\nDate: Mon, 6 Jan 2020 10:00:00 +0000\n\nA text.\n",
    b"Subject: =?utf-8?Q?=C3=BC?=\nReferences: <1@x>\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nfirst\n--b\nContent-Type: \
      message/rfc822\n\nSubject: inner\n\ntext\n--b--\n",
    b"no header\n",
];
/// What a session is sent first, so that most inputs reach the states where the work is done.
const BEGINNING: &[u8] = b"a LOGIN u p\r\nb SELECT INBOX\r\n";

/// Answers as they come out, checked for their frame.
#[derive(Default)]
struct Answers {
    text: Vec<u8>,
    total: usize,
}

impl Answers {
    /// Takes whole lines off, their literals included.
    fn push(&mut self, octets: &[u8]) {
        self.total += octets.len();
        assert!(self.total < 64 << 20, "answers without end");
        self.text.extend_from_slice(octets);
        while let Some(length) = whole(&self.text) {
            self.text.drain(..length);
        }
    }
}

/// The length of the first answer if it is there to its end.
fn whole(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = at + text[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let line = &text[at..end];
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "lone CR or LF: {}", line.escape_ascii());
        at = end + 2;
        let Some(literal) = literal(line) else { return Some(at) };
        at += literal;
        if at > text.len() {
            return None;
        }
    }
}

fn literal(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|octet| *octet == b'{')?;
    let digits = std::str::from_utf8(&inner[open + 1..]).ok()?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Carries out what the session wants until it wants to read. Returns false when it is over.
fn drive(session: &mut Session, account: &Account, answers: &mut Answers, now: Instant) -> bool {
    for _ in 0..100_000 {
        match session.advance(now) {
            Step::Read => return true,
            Step::Write => {
                let count = session.output().len();
                answers.push(session.output());
                session.written(count);
            }
            Step::StartTls => {
                assert!(answers.text.is_empty());
                session.secured();
            }
            Step::Authenticate(_) => session.authenticated(Ok(Box::new(account.clone()))),
            Step::Await(pending) => session.resume(finish(pending)),
            Step::Remark(_) => {}
            Step::Close => return false,
        }
    }
    panic!("no end");
}

fn finish(mut pending: Pending) -> imap::store::Result<()> {
    match pending.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Refusal::Unavailable),
    }
}

fuzz_target!(|data: &[u8]| {
    let (choice, data) = fuzz::choice(data);
    let account = Account::new();
    for message in MESSAGES {
        account.deliver("INBOX", message);
    }
    let limits = config::Imap { max_message_size: config::Size::kib(64), max_errors: 1000, ..config::Imap::default() };
    let settings = Arc::new(Settings { limits, tls: choice & 1 != 0 });
    let peer = Peer { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), tls: false, loopback: true };
    let now = Instant::now();
    let mut session = Session::new(settings, peer, Arc::new(|| {}), now);
    let mut answers = Answers::default();
    let start = if choice & 2 == 0 { BEGINNING } else { b"" };
    let mut open = drive(&mut session, &account, &mut answers, now);
    for piece in std::iter::once(start).chain(fuzz::pieces(data, choice >> 2)) {
        if !open {
            break;
        }
        session.receive(piece);
        session.notice();
        open = drive(&mut session, &account, &mut answers, now);
    }
    assert!(answers.text.is_empty(), "unfinished answer: {}", answers.text.escape_ascii());
});
