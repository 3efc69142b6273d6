//! Counts and times.

use super::*;

#[test]
fn errors_have_a_limit_that_an_accepted_message_resets() {
    let mut lab = Lab::greeted(|limits| limits.max_errors = 2);
    lab.talk("C: X\nC: X\nS: 500\nS: 500\nC: MAIL FROM:<>\nC: RCPT TO:<joe@local.test>\nC: DATA\nS: 250\nS: 250\nS: 354\nC: .\nS: 250");
    lab.talk("C: X\nC: MAIL FROM:<>\nC: RCPT TO:<nobody@local.test>\nC: RCPT TO:<nobody@local.test>\nC: NOOP\nS: 500\nS: 250\nS: 550\nS: 421 4.7.0\nX: too many refused");
}

#[test]
fn commands_have_a_limit() {
    let mut lab = Lab::greeted(|limits| limits.max_commands = 3);
    lab.talk("C: RSET\nC: NOOP\nC: NOOP\nC: NOOP\nS: 250\nS: 250\nS: 421 4.7.0\nX: too many commands");
}

#[test]
fn recipients_have_a_limit_that_is_no_error() {
    let mut lab = Lab::greeted(|limits| {
        limits.max_recipients = 3;
        limits.max_errors = 0;
    });
    let rcpt = "C: RCPT TO:<joe@local.test>\n".repeat(5);
    lab.talk(&format!("C: MAIL FROM:<>\n{rcpt}S: 250\nS: 250\nS: 250\nS: 250\nS: 452 4.5.3\nS: 452\nC: DATA\nS: 354\nC: .\nS: 250"));
}

#[test]
fn a_long_line_costs_only_itself() {
    let mut lab = Lab::greeted(|limits| limits.max_command_line = config::Size(512));
    lab.talk(&format!("C: NOOP {}\nS: 250\nC: NOOP {}\nS: 500 5.5.2\nC: NOOP\nS: 250", "x".repeat(505), "x".repeat(506)));
}

#[test]
fn a_command_has_its_time_from_the_reply_before() {
    let mut lab = Lab::greeted(|limits| limits.command_timeout = Duration::from_secs(8));
    lab.talk("T: 7000\nC: NOOP\nS: 250\nT: 7999\nT: 1\nS: 421 4.4.2\nX: time limit");
    let mut lab = Lab::greeted(|limits| limits.command_timeout = Duration::from_secs(8));
    for _ in 0..8 {
        lab.send(b"N");
        lab.pass(1000);
    }
    lab.talk("S: 421 4.4.2\nX: time limit");
}

#[test]
fn the_deadline_is_the_earliest_of_all() {
    let mut lab = Lab::new(settings(Role::Relay, |limits| limits.session_timeout = Duration::from_secs(400)), false);
    lab.run();
    let start = lab.now.instant;
    assert_eq!(lab.session.deadline() - start, Duration::from_millis(200));
    lab.pass(200);
    assert_eq!(lab.session.deadline() - start, Duration::from_millis(300_200));
    lab.pass(200_000);
    lab.send(b"NOOP\r\n");
    assert_eq!(lab.session.deadline() - start, Duration::from_secs(400));
    lab.talk("S: 220\nS: 250\nT: 200000\nS: 421\nX: time limit");
}

/// A session in the middle of DATA, with 8 s for silence and 500 octets a second at least.
fn in_data() -> Lab {
    let mut lab = Lab::greeted(|limits| {
        limits.data_timeout = Duration::from_secs(8);
        limits.min_data_rate = 500;
    });
    lab.talk("C: MAIL FROM:<>\nC: RCPT TO:<joe@local.test>\nC: DATA\nS: 250\nS: 250\nS: 354");
    lab
}

#[test]
fn a_message_may_not_trickle() {
    let mut lab = in_data();
    for second in 0.. {
        lab.send(b"x");
        lab.pass(1000);
        if !lab.log.is_empty() {
            assert!((8..10).contains(&second), "{second}");
            break;
        }
    }
    lab.talk("S: 421 4.4.2\nX: dropped: 451 4.4.2");
    let mut lab = in_data();
    for _ in 0..100 {
        lab.send(&[b'x'; 510]);
        lab.pass(1000);
    }
    lab.talk("C:\nC: .\nS: 250");
}

#[test]
fn fast_beginnings_buy_no_silence() {
    let mut lab = in_data();
    lab.send(&[b'x'; 100_000]);
    lab.talk("T: 7999\nT: 1\nS: 421 4.4.2\nX: dropped");
}

#[test]
fn chunks_have_the_same_time_limits() {
    let mut lab = Lab::greeted(|limits| limits.data_timeout = Duration::from_secs(8));
    lab.talk("C: MAIL FROM:<>\nC: RCPT TO:<joe@local.test>\nC: BDAT 2000000000\nS: 250\nS: 250\nX: dropped: 552");
    lab.talk("C: abc\nT: 8010\nS: 421\nX: time limit");
}

#[test]
fn the_time_that_this_server_takes_is_not_the_clients() {
    let mut lab = in_data();
    lab.slow = Duration::from_secs(60);
    lab.send(&b"0123456789\r\n".repeat(10_000));
    lab.slow = Duration::ZERO;
    lab.talk("T: 7000\nC: .\nS: 250");
}

#[test]
fn a_handshake_counts_as_a_command() {
    let mut lab = Lab::greeted(|limits| limits.command_timeout = Duration::from_secs(8));
    lab.talk("C: STARTTLS\nS: 220\nX: starttls\nT: 7999\nT: 1\nX: time limit");
}

#[test]
fn the_greeting_waits_for_strangers_only() {
    let peer = |known| Peer { address: "127.0.0.1".parse().unwrap(), tls: None, known };
    let now = Now { instant: Instant::now(), micros: 0 };
    let greets = |role, known| {
        let settings = Arc::new(settings(role, |_| ()));
        matches!(Session::new(settings, peer(known), now).next(now), Some(Effect::Write(_)))
    };
    assert!(!greets(Role::Relay, false) && greets(Role::Relay, true) && greets(Role::Submission, false));
}

#[test]
fn replies_have_to_be_taken_within_the_time_for_a_command() {
    let mut lab = Lab::greeted(|limits| limits.command_timeout = Duration::from_secs(8));
    lab.session.receive(b"NOOP\r\n");
    assert!(matches!(lab.session.next(lab.now), Some(Effect::Write(_))));
    assert_eq!(lab.session.deadline(), lab.now.instant + Duration::from_secs(8));
    lab.talk("T: 7999\nT: 1\nS: 421");
}
