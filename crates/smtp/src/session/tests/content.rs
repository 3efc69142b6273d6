//! DATA and BDAT.

use super::*;

/// A session in which a message may begin.
fn ready() -> Lab {
    let mut lab = Lab::greeted(|limits| limits.max_message_size = config::Size(1000));
    lab.talk("C: MAIL FROM:<s@client.test>\nC: RCPT TO:<joe@local.test>\nS: 250\nS: 250");
    lab
}

#[test]
fn lone_line_end_characters_are_refused_and_end_nothing() {
    for sequence in ["\\n.\\n", "\\n.\\r\\n", "\\r\\n.\\n", "\\n\\n.\\n\\n", "\\n.\\r", "\\n\\r.\\r\\n", "\\r\\r\\n.\\n"] {
        ready().talk(&format!(
            "C: DATA
             S: 354
             C: first{sequence}MAIL FROM:<smuggler@client.test>
             C: DATA
             C: second
             C: .
             C: QUIT
             S: 550 5.6.0 Lone
             S: 221
             X: dropped: 550 5.6.0 Lone"
        ));
    }
    ready().talk("C: DATA\nS: 354\nC: a\\rb\nC: .\nS: 550 5.6.0 Lone CR\nC: MAIL FROM:<>\nS: 250");
    ready().talk("C: BDAT 3 LAST\nC: \\n\nC: NOOP\nS: 550 5.6.0 Lone LF\nS: 250");
    ready().talk("C: BDAT 2\nC: a\\rBDAT 0 LAST\nS: 250\nS: 550 5.6.0 Lone CR");
}

#[test]
fn messages_beyond_the_limit_are_refused_at_their_end() {
    let mut lab = ready();
    lab.talk("C: DATA\nS: 354");
    for _ in 0..30 {
        lab.send(&[&[b'x'; 76][..], b"\r\n"].concat());
    }
    lab.talk("X: dropped: 552\nC: .\nS: 552 5.3.4\nC: MAIL FROM:<>\nS: 250");
    let text = "x".repeat(992);
    ready().talk(&format!("C: DATA\nS: 354\nC: y\nC: {text}\nC: .\nS: 250"));
    ready().talk(&format!("C: DATA\nS: 354\nC: yyyyyy\nC: {text}\nC: .\nS: 552"));
    ready().talk(&format!("C: BDAT 990\nC: {}BDAT 11 LAST\nC: 123456789\nC: NOOP\nS: 250\nS: 552\nS: 250", &text[2..]));
}

#[test]
fn chunks_join_at_any_octet() {
    let mut lab = ready();
    lab.send(b"BDAT 5\r\nA: b\rBDAT 11\r\n\n\r\n.\r\n..\r\nNBDAT 0\r\nBDAT 3 LAST\r\no\r\nMAIL FROM:<>\r\n");
    lab.talk("S: 250\nS: 250\nS: 250\nS: 250 2.0.0 Accepted\nS: 250 2.1.0\nM: A: b\\n\\n.\\n..\\nNo\\n");
    let mut lab = ready();
    lab.send(b"BDAT 6 LAST\r\nno endBDAT 3\r\nXYZRCPT TO:<joe@local.test>\r\n");
    lab.talk("S: 250 2.0.0 Accepted\nS: 503\nS: 503\nM: \\n\\nno end\\n");
    ready().talk("C: BDAT 0 LAST\nS: 250 2.0.0 Accepted");
}

#[test]
fn chunks_that_are_not_wanted_are_swallowed() {
    let mut lab = Lab::greeted(|_| ());
    lab.send(b"BDAT 14 LAST\r\nXYZZY\r\nXYZZY\r\nNOOP\r\n");
    lab.talk("S: 503\nS: 250");
    lab.talk("C: MAIL FROM:<>\nC: RCPT TO:<nobody@local.test>\nC: BDAT 6\nC: QUIT\nC: NOOP\nS: 250\nS: 550\nS: 554 5.5.1\nS: 250");
    let mut lab = ready();
    lab.send(b"BDAT 2000 LAST\r\n");
    lab.talk("X: dropped: 552");
    lab.send(&[b'x'; 2000]);
    lab.talk("S: 552 5.3.4\nC: NOOP\nS: 250");
    ready().talk(
        "C: BDAT 3\nC: a\nC: DATA\nC: RCPT TO:<ann@local.test>\nC: RSET\nC: NOOP\nS: 250\nS: 503\nS: 503\nS: 250\nS: 250\nX: dropped: 451",
    );
}

#[test]
fn a_full_disk_is_told_before_the_message_comes_or_after() {
    ready().talk("P: disk full\nC: DATA\nS: 452 4.3.1\nC: MAIL FROM:<>\nS: 250");
    ready().talk("P: disk full\nC: BDAT 6\nC: QUIT\nC: NOOP\nS: 452 4.3.1\nS: 250");
    ready().talk("C: DATA\nS: 354\nC: fail\nC: .\nS: 452 4.3.1 Disk full\nC: MAIL FROM:<>\nS: 250");
}

#[test]
fn loops_are_found() {
    let hops = |count: usize| "C: Received: from a by b\n".repeat(count);
    ready().talk(&format!("C: DATA\nS: 354\n{}C: .\nS: 250", hops(20)));
    let mut lab = Lab::greeted(|_| ());
    lab.talk("C: MAIL FROM:<>\nC: RCPT TO:<joe@local.test>\nS: 250\nS: 250");
    lab.talk(&format!("C: DATA\nS: 354\n{}C: .\nS: 554 5.4.6\nX: mail loop", hops(51)));
}

#[test]
fn a_connection_that_is_lost_leaves_nothing_half_done() {
    ready().talk("C: DATA\nS: 354\nC: half\nD:\nX: dropped: 451");
    ready().talk("C: BDAT 9\nC: half\nD:\nX: closed the connection");
    let mut lab = ready();
    lab.talk("C: DATA\nS: 354");
    lab.send(b"text\r\n.\r");
    lab.talk("D:\nX: dropped");
    assert!(lab.messages.is_empty());
}

#[test]
fn a_message_that_opens_while_its_client_goes_is_dropped() {
    let mut lab = ready();
    lab.session.receive(b"DATA\r\n");
    while let Some(effect) = lab.session.next(lab.now) {
        let opens = matches!(effect, Effect::Begin(_));
        lab.act(effect);
        if opens {
            lab.session.hang_up();
        }
    }
    assert!(lab.open.is_none() && lab.log.len() == 2, "{:?}", lab.log);
}

#[test]
fn a_message_that_is_complete_is_finished_without_its_client() {
    let mut lab = ready();
    lab.talk("C: DATA\nS: 354");
    lab.session.receive(b"text\r\n.\r\n");
    let mut committed = false;
    while let Some(effect) = lab.session.next(lab.now) {
        committed |= matches!(effect, Effect::Commit { .. });
        if matches!(effect, Effect::Commit { .. }) {
            lab.session.hang_up();
        }
        if let Some(answer) = lab.act(effect) {
            lab.session.answer(answer, lab.now);
        }
    }
    assert!(committed && lab.messages.len() == 1);
    assert_eq!(lab.log, ["the client closed the connection"]);
}

#[test]
fn a_large_message_comes_in_pieces() {
    let mut lab = Lab::greeted(|_| ());
    lab.talk("C: MAIL FROM:<>\nC: RCPT TO:<joe@local.test>\nC: DATA\nS: 250\nS: 250\nS: 354");
    let line = [&[b'x'; 70][..], b"\r\n"].concat();
    lab.session.receive(&line.repeat(10_000));
    let mut pieces = 0;
    while let Some(effect) = lab.session.next(lab.now) {
        if let Effect::Body(piece) = &effect {
            assert!(piece.len() <= 2 * crate::message::PIECE);
            pieces += 1;
        }
        lab.act(effect);
    }
    assert!(pieces > 10);
    lab.talk("C: .\nS: 250");
    assert!(lab.messages[0].1.len() > 710_000);
}

#[test]
fn nul_and_eight_bit_octets_pass() {
    let mut lab = ready();
    lab.talk("C: DATA\nS: 354");
    lab.send(b"A: b\r\n\r\na\0b\xff\x80\r\n\0.\r\n.\r\n");
    lab.talk("S: 250");
    assert!(lab.messages[0].1.ends_with(b"\n\na\0b\xff\x80\n\0.\n"));
}
