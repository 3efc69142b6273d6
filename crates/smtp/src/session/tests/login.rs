//! AUTH, with PLAIN and LOGIN made of sticks: the account is `joe`, the password `secret`.

use mail::Secret;

use super::*;

fn failed() -> Answer {
    Answer::Verdict(Verdict::Reject(Reply::new(535, Enhanced(5, 7, 8), "Wrong name or password")))
}

/// A log-in begins.
pub(super) fn start(mechanism: &str, initial: Option<Secret>) -> Answer {
    match (mechanism, initial) {
        (_, Some(secret)) => verify(secret.expose()),
        ("LOGIN", None) => Answer::Challenge(b"Username:".to_vec()),
        _ => Answer::Challenge(Vec::new()),
    }
}

/// The client answers.
pub(super) fn verify(answer: &[u8]) -> Answer {
    match answer {
        b"joe" => Answer::Challenge(b"Password:".to_vec()),
        b"\0joe\0secret" | b"secret" => Answer::LoggedIn("joe".to_owned()),
        _ => failed(),
    }
}

#[test]
fn log_in_is_neither_offered_nor_taken_in_clear() {
    let mut lab = Lab::new(settings(Role::Submission, |_| ()), false);
    lab.send(b"EHLO client.test\r\n");
    let said = lab.said();
    assert!(said.contains("STARTTLS") && !said.contains("AUTH"), "{said}");
    lab.talk("C: AUTH PLAIN AGpvZQBzZWNyZXQ=\nS: 538 5.7.11\nC: MAIL FROM:<s@client.test>\nS: 530 5.7.0");
}

#[test]
fn plain_in_one_step_and_in_two() {
    let mut lab = Lab::submission(|_| ());
    lab.send(b"EHLO client.test\r\n");
    assert!(lab.said().contains("250-AUTH PLAIN LOGIN\r\n"));
    lab.talk(
        "C: MAIL FROM:<joe@local.test>
         S: 530 5.7.0
         C: AUTH PLAIN AGpvZQBzZWNyZXQ=
         S: 235 2.7.0
         C: AUTH PLAIN AGpvZQBzZWNyZXQ=
         S: 503
         C: MAIL FROM:<joe@local.test> AUTH=<>
         C: RCPT TO:<joe@local.test>
         C: DATA
         S: 250
         S: 250
         S: 354
         C: .
         S: 250",
    );
    let (envelope, content) = lab.messages.remove(0);
    assert_eq!(envelope.account.as_deref(), Some("joe"));
    assert!(String::from_utf8(content).unwrap().contains(" with ESMTPSA id "));
    Lab::submission(|_| ()).talk("C: AUTH PLAIN\nS: 334\nC: AGpvZQBzZWNyZXQ=\nS: 235");
}

#[test]
fn login_and_its_ends() {
    Lab::submission(|_| ()).talk("C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: am9l\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235");
    Lab::submission(|_| ()).talk("C: AUTH LOGIN\nS: 334\nC: *\nS: 501 5.7.0\nC: NOOP\nS: 250");
    Lab::submission(|_| ()).talk("C: AUTH LOGIN\nS: 334\nC: !!\nS: 501 5.5.2\nC: NOOP\nS: 250");
    Lab::submission(|_| ()).talk(&format!("C: AUTH LOGIN\nS: 334\nC: {}\nS: 500 5.5.6\nC: NOOP\nS: 250", "A".repeat(20_000)));
    Lab::submission(|_| ()).talk("C: AUTH LOGIN\nS: 334\nC: a\\nb\nS: 500 5.5.2\nX: lone LF");
    Lab::submission(|_| ()).talk("C: AUTH FROB\nS: 504\nC: AUTH\nS: 501\nC: AUTH PLAIN =\nS: 535 5.7.8");
}

#[test]
fn failed_log_ins_have_a_limit() {
    let mut lab = Lab::submission(|limits| limits.max_login_failures = 3);
    let again = "C: AUTH PLAIN AGpvZQB3cm9uZw==\nS: 535 5.7.8\n".repeat(2);
    lab.talk(&format!("{again}C: AUTH PLAIN AGpvZQB3cm9uZw==\nS: 421 4.7.0\nX: failed log-ins"));
}

#[test]
fn what_the_driver_gets_wrong_is_not_believed() {
    let mut lab = Lab::submission(|_| ());
    lab.session.receive(b"AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n");
    assert!(matches!(lab.session.next(lab.now), Some(Effect::LoginStart { .. })));
    lab.session.answer(Answer::Verdict(Verdict::Accept), lab.now);
    lab.run();
    lab.talk("S: 454 4.7.0");
    let mut lab = Lab::greeted(|_| ());
    lab.session.receive(b"MAIL FROM:<s@client.test>\r\n");
    assert!(matches!(lab.session.next(lab.now), Some(Effect::CheckSender { .. })));
    lab.session.answer(Answer::LoggedIn("root".to_owned()), lab.now);
    lab.session.answer(Answer::LoggedIn("root".to_owned()), lab.now);
    lab.run();
    lab.talk("S: 451 4.3.0\nC: NOOP\nS: 250");
}

#[test]
fn no_log_in_within_a_transaction() {
    let mut lab = Lab::submission(|_| ());
    lab.talk("C: AUTH PLAIN AGpvZQBzZWNyZXQ=\nS: 235\nC: MAIL FROM:<joe@local.test>\nS: 250\nC: AUTH PLAIN AA==\nS: 503");
}
