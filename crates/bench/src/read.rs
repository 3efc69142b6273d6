//! What a client reads: a session that formats answers, over the store in memory of the session's own tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use imap::{LoginRefused, Peer, Session, Settings, Step};

use crate::texts::message;
use crate::{Outcome, Run};

#[allow(unreachable_pub, missing_docs)] // The tests' own, as it is.
#[path = "../../imap/tests/memory/mod.rs"]
mod memory;

/// Flags of 1,000 messages.
pub(crate) fn fetch_flags(_: &Path) -> Outcome<Run> {
    fetch("FLAGS", 1000 * 20)
}

/// Envelopes of 1,000 messages, of which the store knows the facts after the first time.
pub(crate) fn fetch_envelope(_: &Path) -> Outcome<Run> {
    fetch("ENVELOPE", 1000 * 200)
}

fn fetch(items: &str, least: usize) -> Outcome<Run> {
    let account = memory::Account::new();
    for number in 0..1000 {
        account.deliver("INBOX", message(number, 1024).replace('\n', "\r\n").as_bytes());
    }
    let settings = Arc::new(Settings { limits: config::Imap::default(), tls: false });
    let peer = Peer { ip: [127, 0, 0, 1].into(), tls: false, loopback: true };
    let now = Instant::now();
    let mut session = Session::new(settings, peer, Arc::new(|| {}), now);
    session.receive(b"a login joe pass\r\nb select inbox\r\n");
    drive(&mut session, &account, now);
    let command = format!("c fetch 1:* ({items})\r\n");
    let mut run = move || {
        session.receive(command.as_bytes());
        let written = drive(&mut session, &account, now);
        if written < least { Err(format!("only {written} octets").into()) } else { Ok(()) }
    };
    run()?;
    Ok(Box::new(run))
}

/// Does what the session asks for; gives how many octets it wrote.
fn drive(session: &mut Session, account: &memory::Account, now: Instant) -> usize {
    let mut written = 0;
    loop {
        match session.advance(now) {
            Step::Write => {
                let octets = session.output().len();
                written += octets;
                session.written(octets);
            }
            Step::Authenticate(attempt) => {
                let good = attempt.secret.expose() == b"pass";
                session.authenticated(if good { Ok(Box::new(account.clone())) } else { Err(LoginRefused::Credentials) });
            }
            Step::Await(_) => session.resume(Ok(())),
            Step::Remark(_) => {}
            Step::Read | Step::StartTls | Step::Close => return written,
        }
    }
}
