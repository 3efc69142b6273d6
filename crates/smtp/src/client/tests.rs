//! Dialogues: `S:` is a line of the server (lines in a row come in one read), `C:` the beginning of a line that has to be
//! sent, `R:` that the session is ready, and a message goes next if there is one, `F:` the fates of a message, `T:` seconds
//! that pass, `D:` that the server closes the connection, `X:` how it ended. The last tests let both sessions talk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use mail::{Domain, Notify, Returned};
use proptest::prelude::*;

use super::*;

struct Lab {
    session: Session,
    now: Instant,
    messages: VecDeque<(Outgoing, &'static str)>,
    content: Option<&'static str>,
    sent: Vec<u8>,
    log: VecDeque<String>,
}

fn outgoing(sender: &str, recipients: &[&str]) -> Outgoing {
    let recipients = recipients.iter().map(|r| r.parse::<mail::Address>().unwrap().into()).collect();
    Outgoing { reverse_path: sender.parse().unwrap(), recipients, parameters: Parameters::default(), size: 10 }
}

fn show(fate: &Fate) -> String {
    match fate {
        Fate::Delivered(reply) => format!("delivered {reply}"),
        Fate::Deferred(reply) => format!("deferred {reply}"),
        Fate::Failed(reply) => format!("failed {reply}"),
    }
}

fn settings(encryption: Encryption) -> Arc<Settings> {
    let hostname: Domain = "out.test".parse().unwrap();
    Arc::new(Settings { hostname, encryption, patience: Patience::default() })
}

impl Lab {
    fn new(encryption: Encryption, messages: &[(Outgoing, &'static str)]) -> Self {
        let session = Session::new(settings(encryption));
        Self { session, now: Instant::now(), messages: messages.to_vec().into(), content: None, sent: Vec::new(), log: VecDeque::new() }
    }

    fn run(&mut self) {
        while let Some(effect) = self.session.next(self.now) {
            match effect {
                Effect::Write(octets) => self.sent.extend(octets),
                Effect::StartTls => self.log.push_back("starttls".to_owned()),
                Effect::Ready => match self.messages.pop_front() {
                    Some((message, content)) => {
                        self.content = Some(content);
                        self.session.send(message);
                    }
                    None => self.session.quit(),
                },
                Effect::Content => match self.content.take() {
                    Some(content) => self.session.content(content.as_bytes()),
                    None => self.session.content_end(),
                },
                Effect::Finished(fates) => self.log.extend(fates.iter().map(show)),
                Effect::Refused(reply) => self.log.push_back(format!("refused {reply}")),
                Effect::Close => self.log.push_back("closed".to_owned()),
            }
        }
    }

    fn talk(&mut self, script: &str) -> &mut Self {
        let mut group = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()).chain(["E:"]) {
            let (kind, rest) = line.split_at(2);
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            if kind == "S:" {
                group.extend([rest.as_bytes(), b"\r\n"].concat());
                continue;
            }
            self.session.receive(&std::mem::take(&mut group));
            self.run();
            match kind {
                "C:" => {
                    let end = self
                        .sent
                        .iter()
                        .position(|b| *b == b'\n')
                        .unwrap_or_else(|| panic!("nothing sent; expected {rest:?} in\n{script}"));
                    let line: Vec<u8> = self.sent.drain(..=end).collect();
                    assert_eq!(String::from_utf8(line).unwrap().trim_end_matches("\r\n"), rest, "in\n{script}");
                }
                "T:" => self.now += Duration::from_secs(rest.parse().unwrap()),
                "D:" => self.session.hang_up(),
                "X:" => {
                    let entry = self.log.pop_front().unwrap_or_default();
                    assert!(entry.starts_with(rest), "expected {rest:?}, got {entry:?} in\n{script}");
                }
                _ => assert!(
                    self.sent.is_empty() && self.log.is_empty(),
                    "too much: {:?} {:?}",
                    String::from_utf8_lossy(&self.sent),
                    self.log
                ),
            }
            self.run();
        }
        self
    }
}

#[test]
fn a_whole_session_with_pipelining() {
    let messages = [(outgoing("s@out.test", &["a@b.test", "c@b.test"]), "A: b\n\n.dot\n"), (outgoing("", &["a@b.test"]), "x")];
    Lab::new(Encryption::IfOffered, &messages).talk(
        "S: 220-mx.test
         S: 220 hello
         C: EHLO out.test
         S: 250-mx.test
         S: 250-pipelining
         S: 250-SIZE 1000
         S: 250 8BITMIME
         C: MAIL FROM:<s@out.test> SIZE=10
         C: RCPT TO:<a@b.test>
         C: RCPT TO:<c@b.test>
         C: DATA
         S: 250 2.1.0 ok
         S: 550 5.1.1 no such user
         S: 250 ok
         S: 354 go
         C: A: b
         C:
         C: ..dot
         C: .
         S: 250 2.0.0 queued
         X: failed 550 5.1.1 no such user
         X: delivered 250 2.0.0 queued
         C: MAIL FROM:<> SIZE=10
         C: RCPT TO:<a@b.test>
         C: DATA
         S: 250 ok
         S: 450 4.2.1 busy
         S: 354 go
         C: .
         S: 554 no recipients
         X: deferred 450 4.2.1 busy
         C: QUIT
         S: 221 bye
         X: closed",
    );
}

#[test]
fn an_old_server_gets_one_command_at_a_time() {
    let messages = [(outgoing("s@out.test", &["a@b.test"]), "x"), (outgoing("t@out.test", &["a@b.test"]), "y")];
    Lab::new(Encryption::IfOffered, &messages).talk(
        "S: 220 mx
         C: EHLO out.test
         S: 500 what?
         C: HELO out.test
         S: 250 mx
         C: MAIL FROM:<s@out.test>
         S: 250 ok
         C: RCPT TO:<a@b.test>
         S: 550 no
         X: failed 550 5.0.0 no
         C: RSET
         S: 250 ok
         C: MAIL FROM:<t@out.test>
         S: 451 4.7.1 grey
         X: deferred 451 4.7.1 grey
         C: QUIT
         S: 221 bye
         X: closed",
    );
}

#[test]
fn starttls_forgets_what_was_said_in_clear() {
    let message = [(outgoing("s@out.test", &["a@b.test"]), "x")];
    let mut lab = Lab::new(Encryption::Required, &message);
    lab.talk("S: 220 mx\nC: EHLO out.test\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nS: 250 injected\nX: starttls");
    lab.session.receive(b"250 injected\r\n");
    lab.session.tls_started();
    lab.talk("C: EHLO out.test\nS: 250-mx\nS: 250 STARTTLS\nC: MAIL FROM:<s@out.test>");
    assert!(lab.session.is_encrypted());
}

#[test]
fn without_the_encryption_that_is_required_nothing_is_sent() {
    let message = [(outgoing("s@out.test", &["a@b.test"]), "x")];
    let hello = "S: 220 mx\nC: EHLO out.test\n";
    Lab::new(Encryption::Required, &message).talk(&format!("{hello}S: 250 mx\nX: refused 451 4.7.4\nX: closed"));
    Lab::new(Encryption::Required, &message)
        .talk(&format!("{hello}S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no\nX: refused 454\nX: closed"));
    Lab::new(Encryption::IfOffered, &message)
        .talk(&format!("{hello}S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no\nC: MAIL FROM:<s@out.test>"));
    Lab::new(Encryption::Never, &message).talk(&format!("{hello}S: 250-mx\nS: 250 STARTTLS\nC: MAIL FROM:<s@out.test>"));
}

#[test]
fn every_end_of_the_connection_leaves_every_recipient_a_fate() {
    let two = [(outgoing("s@out.test", &["a@b.test", "c@b.test"]), "x")];
    let envelope = "S: 220 mx\nC: EHLO out.test\nS: 250-mx\nS: 250 PIPELINING\nC: MAIL FROM:<s@out.test>\nC: RCPT TO:<a@b.test>\nC: RCPT TO:<c@b.test>\nC: DATA\n";
    let lab = || Lab::new(Encryption::Never, &two);
    lab().talk("S: 554 go away\nX: refused 554\nX: closed");
    lab().talk("D:\nX: refused 451 4.4.2 The server closed\nX: closed");
    lab().talk("T: 299\nT: 1\nX: refused 451 4.4.2 The server took too long\nX: closed");
    lab().talk("S: 220 mx\nC: EHLO out.test\nS: junk\nX: refused 451 4.5.0 The server sent a malformed reply\nX: closed");
    lab().talk(&format!("{envelope}S: 250 ok\nS: 550 no\nS: 250 ok\nD:\nX: failed 550\nX: deferred 451 4.4.2\nX: closed"));
    lab().talk(&format!("{envelope}S: 550 not you\nS: 503 x\nS: 503 x\nS: 503 x\nX: failed 550\nX: failed 550\nC: QUIT"));
    lab().talk(&format!("{envelope}S: 250 ok\nS: 250 ok\nS: 421 4.3.2 shutdown\nX: deferred 421 4.3.2\nX: deferred 421 4.3.2\nX: closed"));
    lab().talk(&format!("{envelope}S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 452 full\nX: deferred 452\nX: deferred 452\nC: QUIT"));
    lab().talk(&format!("{envelope}S: 250 ok\nS: 250 ok\nS: 250 ok\nT: 120\nX: deferred 451 4.4.2\nX: deferred 451 4.4.2\nX: closed"));
    lab().talk(&format!(
        "{envelope}S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: x\nC: .\nT: 600\nX: deferred 451 4.4.2\nX: deferred 451 4.4.2\nX: closed"
    ));
    lab().talk(&format!(
        "{envelope}S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: x\nC: .\nS: 552 big\nD:\nX: failed 552\nX: failed 552\nC: QUIT\nX: closed"
    ));
}

#[test]
fn what_the_server_does_not_offer_is_not_asked_of_it() {
    let mut message = outgoing("s@out.test", &["a@b.test"]);
    message.parameters =
        Parameters { eight_bit: true, utf8: false, returned: Some(Returned::Header), envelope_id: Some("Q+=1".to_owned()) };
    message.recipients[0].notify = Notify { success: true, failure: true, delay: false };
    message.recipients[0].original = Some("rfc822;a+b@c d".to_owned());
    let messages = [(message.clone(), "x")];
    Lab::new(Encryption::Never, &messages)
        .talk("S: 220 mx\nC: EHLO out.test\nS: 250 mx\nC: MAIL FROM:<s@out.test>\nS: 250 ok\nC: RCPT TO:<a@b.test>");
    Lab::new(Encryption::Never, &messages).talk(
        "S: 220 mx
         C: EHLO out.test
         S: 250-mx
         S: 250-DSN
         S: 250-SIZE
         S: 250 8BITMIME
         C: MAIL FROM:<s@out.test> SIZE=10 BODY=8BITMIME RET=HDRS ENVID=Q+2B+3D1
         S: 250 ok
         C: RCPT TO:<a@b.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@c+20d",
    );
    message.parameters.utf8 = true;
    let offers = "S: 220 mx\nC: EHLO out.test\nS: 250-mx\nS: 250 ";
    Lab::new(Encryption::Never, &[(message.clone(), "x")]).talk(&format!("{offers}SIZE 9\nX: failed 550 5.6.7\nC: QUIT"));
    Lab::new(Encryption::Never, &[(message, "x")]).talk(&format!("{offers}SMTPUTF8\nC: MAIL FROM:<s@out.test> SMTPUTF8"));
    Lab::new(Encryption::Never, &[(outgoing("", &["j\u{f6}rg@b.test"]), "x")]).talk(&format!("{offers}DSN\nX: failed 550 5.6.7\nC: QUIT"));
    Lab::new(Encryption::Never, &[(outgoing("", &["a@b.test"]), "x")]).talk(&format!("{offers}SIZE 9\nX: failed 552 5.3.4\nC: QUIT"));
}

#[test]
fn many_recipients_go_over_in_windows() {
    let many: Vec<_> = (0..120).map(|n| format!("r{n}@b.test")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let mut lab = Lab::new(Encryption::Never, &[(outgoing("", &many), "x")]);
    lab.session.receive(b"220 mx\r\n250-mx\r\n250 PIPELINING\r\n");
    let (mut commands, mut answered) = (0, 0);
    loop {
        lab.run();
        let sent = std::mem::take(&mut lab.sent);
        commands += sent.iter().filter(|octet| **octet == b'\n').count();
        assert!(commands - answered <= 51, "EHLO aside, the window is 50");
        if sent.ends_with(b"QUIT\r\n") {
            break;
        }
        // EHLO is answered above; MAIL is accepted, nothing else.
        lab.session.receive(if answered == 0 { b"250 ok\r\n" } else { b"450 later\r\n" });
        answered += 1;
    }
    assert!(lab.log.len() == 120 && lab.log.iter().all(|entry| entry.starts_with("deferred 450")), "{:?}", lab.log);
    assert_eq!(commands, 1 + 1 + 120 + 1 + 1, "EHLO, MAIL, RCPT, DATA, QUIT");
}

/// Lets a sending and a receiving session talk; what the receiving one took.
fn exchange(message: Outgoing, content: &[u8], step: usize) -> (Vec<Fate>, Vec<u8>) {
    use crate::{Answer, Now, Peer, Role};
    let limits = crate::Settings::new(config::Smtp::default(), "mx.test".parse().unwrap(), Role::Relay);
    let now = Now { instant: Instant::now(), micros: 0 };
    let peer = Peer { address: "127.0.0.1".parse().unwrap(), tls: None, known: true };
    let mut server = crate::Session::new(Arc::new(limits), peer, now);
    let mut client = Session::new(settings(Encryption::Never));
    let (mut message, mut pieces) = (Some(message), content.chunks(step));
    let (mut fates, mut taken, mut closed) = (Vec::new(), Vec::new(), false);
    while !closed {
        while let Some(effect) = server.next(now) {
            match effect {
                crate::Effect::Write(octets) => octets.chunks(step).for_each(|piece| client.receive(piece)),
                crate::Effect::Body(piece) => taken.extend(piece),
                crate::Effect::Close(_) => closed = true,
                _ => server.answer(Answer::Verdict(mail::Verdict::Accept), now),
            }
        }
        while let Some(effect) = client.next(now.instant) {
            match effect {
                Effect::Write(octets) => server.receive(&octets),
                Effect::Ready => match message.take() {
                    Some(message) => client.send(message),
                    None => client.quit(),
                },
                Effect::Content => match pieces.next() {
                    Some(piece) => client.content(piece),
                    None => client.content_end(),
                },
                Effect::Finished(found) => fates = found,
                other => assert_eq!(other, Effect::Close),
            }
        }
    }
    (fates, taken)
}

proptest! {
    #[test]
    fn both_sessions_understand_each_other(body in "[.a \n]{0,200}", senders in 0usize..2, count in 1usize..120, step in 1usize..50) {
        let many: Vec<_> = (0..count).map(|n| format!("r{n}@b.test")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let content = format!("A: b\n\n{body}\n");
        let (fates, taken) = exchange(outgoing(["", "\"a b\"@out.test"][senders], &many), content.as_bytes(), step);
        prop_assert!(fates.len() == count && fates.iter().all(|fate| matches!(fate, Fate::Delivered(_))), "{:?}", fates);
        let taken = String::from_utf8(taken).unwrap();
        prop_assert!(taken.starts_with("Received: ") && taken.ends_with(&content));
    }
}
