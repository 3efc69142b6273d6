//! The receiving session: whatever a client sends, replies are whole lines, messages open and close in order, and it comes to an end.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use mail::{Domain, Verdict};
use smtp::{Answer, Effect, Now, Peer, Role, Session, Settings, Tls};

/// What is watched over the whole session.
#[derive(Default)]
struct Watch {
    open: bool,
    closed: bool,
    effects: usize,
    body: usize,
}

fn settings(choice: u8) -> Settings {
    let mut limits =
        config::Smtp { max_message_size: config::Size::kib(64), max_hops: 3, greeting_pause: Duration::ZERO, ..config::Smtp::default() };
    limits.max_recipients = 5;
    let role = if choice & 1 == 0 { Role::Relay } else { Role::Submission };
    let hostname = "mx.example".parse::<Domain>().unwrap();
    Settings { starttls: choice & 2 != 0, ..Settings::new(limits, hostname, role) }
}

/// Carries out what the session wants until it wants to read.
fn drive(session: &mut Session, watch: &mut Watch, now: Now) {
    while let Some(effect) = session.next(now) {
        watch.effects += 1;
        assert!(watch.effects < 1_000_000, "no end");
        assert!(!watch.closed, "{effect:?} after Close");
        match effect {
            Effect::Write(text) => fuzz::assert_lines(&text),
            Effect::StartTls => session.tls_started(Tls { cipher: "TLS_AES_128_GCM_SHA256".to_owned() }),
            Effect::CheckSender { .. } | Effect::CheckRecipient { .. } => session.answer(Answer::Verdict(Verdict::Accept), now),
            Effect::LoginStart { .. } => session.answer(Answer::Challenge(b"Username:".to_vec()), now),
            Effect::LoginAnswer(_) => session.answer(Answer::LoggedIn("someone".to_owned()), now),
            Effect::Begin(_) => {
                assert!(!std::mem::replace(&mut watch.open, true), "two messages at once");
                watch.body = 0;
                session.answer(Answer::Verdict(Verdict::Accept), now);
            }
            Effect::Body(text) => {
                assert!(watch.open && !text.contains(&b'\r'));
                watch.body += text.len();
            }
            Effect::Commit { size } => {
                assert!(std::mem::take(&mut watch.open));
                assert_eq!(size, watch.body as u64);
                session.answer(Answer::Verdict(Verdict::Accept), now);
            }
            Effect::Abort(_) => assert!(std::mem::take(&mut watch.open)),
            Effect::Close(_) => watch.closed = true,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (choice, data) = fuzz::choice(data);
    let (cut, data) = fuzz::choice(data);
    let now = Now { instant: Instant::now(), micros: 1_700_000_000_000_000 };
    let tls = (choice & 4 != 0).then(|| Tls { cipher: "TLS_AES_128_GCM_SHA256".to_owned() });
    let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), tls, known: choice & 8 != 0 };
    let mut session = Session::new(Arc::new(settings(choice)), peer, now);
    let mut watch = Watch::default();
    drive(&mut session, &mut watch, now);
    for piece in fuzz::pieces(data, cut) {
        session.receive(piece);
        drive(&mut session, &mut watch, now);
    }
    session.hang_up();
    drive(&mut session, &mut watch, now);
    assert!(watch.closed && !watch.open);
});
