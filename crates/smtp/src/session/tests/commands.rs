//! Greeting, order of commands, replies.

use super::*;

#[test]
fn a_whole_session() {
    Lab::new(settings(Role::Relay, |_| ()), false).talk(
        "T: 200
         S: 220 mx.test ESMTP
         C: EHLO client.test
         S: 250-mx.test
         S: 250-PIPELINING
         S: 250-SIZE 67108864
         S: 250-STARTTLS
         S: 250-ENHANCEDSTATUSCODES
         S: 250-8BITMIME
         S: 250-DSN
         S: 250-SMTPUTF8
         S: 250 CHUNKING
         C: MAIL FROM:<s@client.test>
         S: 250 2.1.0
         C: RCPT TO:<joe@local.test>
         S: 250 2.1.5
         C: DATA
         S: 354
         C: Subject: x
         C:
         C: ..dot
         C: .
         S: 250 2.0.0 Accepted as 001JC3F23
         M: Subject: x\\n\\n.dot\\n
         C: QUIT
         S: 221 2.0.0
         X: QUIT",
    );
}

#[test]
fn pipelined_commands_are_answered_in_order_with_one_write() {
    let mut lab = Lab::greeted(|_| ());
    lab.talk(
        "C: MAIL FROM:<s@client.test>
         C: RCPT TO:<nobody@local.test>
         C: RCPT TO:<joe@local.test>
         C: RCPT TO:<out@remote.test>
         C: DATA
         S: 250
         S: 550 5.1.1 No such user
         S: 250
         S: 554 5.7.1 No relaying to out@remote.test??
         S: 354
         C: text
         C: .
         C: MAIL FROM:<>
         C: RCPT TO:<ann@local.test>
         C: DATA
         S: 250
         S: 250
         S: 250
         S: 354
         C: .
         S: 250
         M: \\ntext\\n
         M: 2026 10:00:00 +0000\\n",
    );
}

#[test]
fn commands_out_of_order_change_nothing() {
    let mut lab = Lab::new(settings(Role::Relay, |_| ()), false);
    lab.talk(
        "T: 200
         S: 220
         C: MAIL FROM:<s@client.test>
         S: 503 5.5.1
         C: NOOP
         C: RSET
         C: VRFY joe
         C: HELP
         C: EXPN list
         S: 250 2.0.0
         S: 250 2.0.0
         S: 252 2.5.0
         S: 214 2.0.0
         S: 502 5.5.1
         C: HELO client.test
         S: 250 mx.test
         C: RCPT TO:<joe@local.test>
         C: DATA
         S: 503
         S: 503
         C: MAIL FROM:<s@client.test>
         C: MAIL FROM:<t@client.test>
         C: DATA
         S: 250
         S: 503
         S: 503 5.5.1 Send RCPT first
         C: RCPT TO:<nobody@local.test>
         C: DATA
         S: 550
         S: 554 5.5.1 No valid recipients
         C: RCPT TO:<joe@local.test>
         C: HELO again.test
         S: 250
         S: 250
         C: DATA
         S: 503 5.5.1 Send MAIL first",
    );
    assert!(lab.messages.is_empty());
}

#[test]
fn the_received_header_says_how_the_message_came() {
    let mut lab = Lab::greeted(|_| ());
    lab.talk("C: MAIL FROM:<s@client.test>\nC: RCPT TO:<joe@local.test>\nC: DATA\nS: 250\nS: 250\nS: 354\nC: A: b\nC: .\nS: 250");
    let (envelope, content) = lab.messages.remove(0);
    let expected = format!(
        "Received: from client.test (unknown [127.0.0.9])\n\tby mx.test with ESMTP id {}\n\tfor <joe@local.test>;\n\tTue, 03 Mar 2026 10:00:00 +0000\nA: b\n",
        envelope.id
    );
    assert_eq!(String::from_utf8(content).unwrap(), expected);
    lab.session.resolved("out.test".parse().unwrap());
    lab.talk("C: HELO old\nS: 250\nC: MAIL FROM:<>\nC: RCPT TO:<joe@local.test>\nC: RCPT TO:<ann@local.test>\nC: DATA\nS: 250\nS: 250\nS: 250\nS: 354\nC: .\nS: 250");
    let (envelope, content) = lab.messages.remove(0);
    let text = String::from_utf8(content).unwrap();
    assert!(
        text.starts_with("Received: from old (out.test [127.0.0.9])\n\tby mx.test with SMTP id ") && !text.contains("\tfor "),
        "{text}"
    );
    assert_eq!((envelope.recipients.len(), envelope.helo.as_str(), envelope.protocol), (2, "old", mail::Protocol::Smtp));
}

#[test]
fn the_envelope_has_what_mail_and_rcpt_asked_for() {
    let mut lab = Lab::greeted(|_| ());
    lab.talk(
        "C: MAIL FROM:<j\u{f6}rg@b\u{fc}cher.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=Q+2B1 SIZE=10
         C: RCPT TO:<j\u{f6}rg@local.test> NOTIFY=SUCCESS ORCPT=rfc822;a+2Bb@c
         C: RCPT TO:<joe@LOCAL.test>
         C: RCPT TO:<joe@local.test> NOTIFY=NEVER
         C: RCPT TO:<PostMaster>
         C: DATA
         S: 250
         S: 250
         S: 250
         S: 250
         S: 250
         S: 354
         C: .
         S: 250",
    );
    let (envelope, _) = lab.messages.remove(0);
    let names: Vec<_> = envelope.recipients.iter().map(|r| r.address.to_string()).collect();
    assert_eq!(names, ["j\u{f6}rg@local.test", "joe@local.test", "postmaster@mx.test"]);
    assert!(envelope.parameters.utf8 && envelope.parameters.eight_bit);
    assert_eq!(envelope.parameters.envelope_id.as_deref(), Some("Q+1"));
    assert!(envelope.recipients[0].notify.success && !envelope.recipients[0].notify.failure);
    assert_eq!(envelope.recipients[0].original.as_deref(), Some("rfc822;a+b@c"));
    assert_eq!(envelope.protocol.to_string(), "UTF8SMTP");
}

#[test]
fn refusals_are_telling() {
    Lab::greeted(|_| ()).talk(
        "C: MAIL FROM:<spammer@client.test>
         S: 550 5.7.1 Not you
         C: MAIL FROM:<s@client.test> SIZE=67108865
         S: 552 5.3.4
         C: MAIL FROM:<s@client.test> SIZE=99999999999999999999
         S: 552 5.3.4
         C: MAIL FROM:<s@client.test> AUTH=<>
         S: 555 5.5.4
         C: MAIL FROM:<s@client.test>
         S: 250
         C: RCPT TO:<j\u{f6}rg@local.test>
         S: 553 5.6.7
         C: RCPT TO:<busy@local.test>
         S: 450 4.2.1
         C: RCPT TO:<a b@local.test>
         S: 501 5.1.3
         C: AUTH PLAIN AA==
         S: 502 5.5.1
         C: XYZZY
         C:
         S: 500 5.5.1
         S: 500 5.5.1
         C: NOOP a\\rb
         S: 500 5.5.2
         C: RCPT TO:<joe@local.test>
         S: 250",
    );
}

#[test]
fn without_reports_their_parameters_are_unknown() {
    let mut quiet = settings(Role::Relay, |_| ());
    quiet.reports = false;
    quiet.starttls = false;
    let mut lab = Lab::new(quiet, false);
    lab.talk("T: 200\nS: 220");
    lab.send(b"EHLO client.test\r\n");
    let said = lab.said();
    assert!(!said.contains("DSN") && !said.contains("STARTTLS"), "{said}");
    lab.talk(
        "C: STARTTLS
         S: 502 5.5.1
         C: MAIL FROM:<s@client.test> RET=FULL
         S: 555 5.5.4
         C: MAIL FROM:<s@client.test>
         C: RCPT TO:<joe@local.test> NOTIFY=NEVER
         S: 250
         S: 555 5.5.4",
    );
}

#[test]
fn starttls_forgets_what_came_before() {
    let mut lab = Lab::greeted(|_| ());
    lab.talk(
        "C: STARTTLS now
         S: 501 5.5.4
         C: MAIL FROM:<s@client.test>
         S: 250
         C: STARTTLS
         C: EHLO evil.test
         C: MAIL FROM:<evil@client.test>
         S: 220 2.0.0
         X: starttls",
    );
    lab.send(b"RCPT TO:<joe@local.test>\r\n");
    lab.session.tls_started(Tls { cipher: "TLS_AES_128_GCM_SHA256".to_owned() });
    lab.run();
    lab.talk("C: RCPT TO:<joe@local.test>\nS: 503\nC: MAIL FROM:<s@client.test>\nS: 503 5.5.1 Say EHLO");
    lab.send(b"EHLO client.test\r\n");
    assert!(!lab.said().contains("STARTTLS"));
    lab.talk("C: STARTTLS\nS: 503\nC: MAIL FROM:<>\nC: RCPT TO:<joe@local.test>\nC: DATA\nS: 250\nS: 250\nS: 354\nC: .\nS: 250");
    let text = String::from_utf8(lab.messages.remove(0).1).unwrap();
    assert!(text.contains(" with ESMTPS id ") && text.contains("\ttls TLS_AES_128_GCM_SHA256;"), "{text}");
}

#[test]
fn who_does_not_listen_is_not_served() {
    let mut lab = Lab::new(settings(Role::Relay, |_| ()), false);
    lab.talk("C: EHLO client.test\nS: 554 5.5.1\nX: before the greeting");
    let mut lab = Lab::new(settings(Role::Relay, |_| ()), false);
    lab.talk("T: 199\nT: 1\nS: 220\nC: EHLO client.test\nC: MAIL FROM:<s@client.test>\nS: 554 5.5.0\nX: did not wait");
    Lab::greeted(|_| ()).talk(
        "C: MAIL FROM:<s@client.test>
         C: RCPT TO:<joe@local.test>
         C: DATA
         C: Subject: x
         S: 250
         S: 250
         S: 554 5.5.0
         X: did not wait",
    );
    Lab::greeted(|_| ()).talk("C: POST / HTTP/1.1\nC: Host: mx\nS: 421 4.7.0\nX: does not speak SMTP");
    Lab::greeted(|_| ()).talk("C: NOOP\\nNOOP\nS: 500 5.5.2 Lone LF\nX: lone LF");
    Lab::greeted(|_| ()).talk("C: QUIT\nC: MAIL FROM:<s@client.test>\nS: 221\nX: QUIT");
}

#[test]
fn no_reply_line_is_longer_than_the_limit() {
    let mut lab = Lab::greeted(|_| ());
    lab.talk("C: MAIL FROM:<s@client.test>\nS: 250");
    lab.send(format!("RCPT TO:<{}@{}.remote.test>\r\n", "a".repeat(250), vec!["d".repeat(60); 3].join(".")).as_bytes());
    let said = lab.said();
    assert!(said.starts_with("554 5.7.1") && said.len() <= 512, "{said}");
    let long = Reply::new(99, Enhanced(4, 0, 0), "\u{fc}".repeat(900));
    assert_eq!(crate::session::line(&long).len(), 510);
    assert!(crate::session::line(&long).starts_with("451 4.0.0 ???"));
}
