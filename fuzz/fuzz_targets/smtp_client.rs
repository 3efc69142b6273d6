//! The sending session: whatever a server replies, each recipient gets a fate, what is sent is whole lines, and it comes to an end.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use mail::{Address, Domain, Parameters, Recipient, ReversePath};
use smtp::client::{Effect, Encryption, Outgoing, Patience, Session, Settings};

const BODY: &[u8] = b"Subject: x\n\n.a line\n..\nlast\n";

fn outgoing() -> Outgoing {
    let recipients = ["one@far.example", "two@far.example"].map(|text| Recipient::from(text.parse::<Address>().unwrap()));
    let size = BODY.len() as u64 + 5;
    Outgoing { reverse_path: ReversePath::Null, recipients: recipients.into(), parameters: Parameters::default(), size }
}

/// Carries out what the session wants until it wants to read. Returns false when it is over.
fn drive(session: &mut Session, messages: &mut u32, contents: &mut u32, now: Instant) -> bool {
    let mut effects = 0;
    while let Some(effect) = session.next(now) {
        effects += 1;
        assert!(effects < 10_000, "no end");
        match effect {
            Effect::Write(_) => {}
            Effect::StartTls => session.tls_started(),
            Effect::Ready if *messages < 3 => {
                *messages += 1;
                *contents = 0;
                session.send(outgoing());
            }
            Effect::Ready => session.quit(),
            Effect::Content if *contents == 0 => {
                *contents = 1;
                session.content(BODY);
            }
            Effect::Content => session.content_end(),
            Effect::Finished(fates) => assert_eq!(fates.len(), 2),
            Effect::Refused(_) => {}
            Effect::Close => return false,
        }
    }
    true
}

fuzz_target!(|data: &[u8]| {
    let (choice, data) = fuzz::choice(data);
    let encryption = [Encryption::Never, Encryption::IfOffered, Encryption::Required][usize::from(choice % 3)];
    let settings = Settings { hostname: "mx.example".parse::<Domain>().unwrap(), encryption, patience: Patience::default() };
    let (mut session, now) = (Session::new(Arc::new(settings)), Instant::now());
    let (mut messages, mut contents) = (0, 0);
    for piece in fuzz::pieces(data, choice / 3) {
        if !drive(&mut session, &mut messages, &mut contents, now) {
            return;
        }
        session.receive(piece);
    }
    session.hang_up();
    drive(&mut session, &mut messages, &mut contents, now);
});
