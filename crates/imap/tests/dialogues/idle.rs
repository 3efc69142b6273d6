use std::time::Duration;

use crate::harness::Dialogue;

#[test]
fn news_come_at_once() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.deliver(&["one"]).run("C: a IDLE\nS: + idling");
    dialogue.deliver(&["two"]).run("S: * 2 EXISTS\nS: * 2 RECENT");
    dialogue.run(
        r#"
        C2: a STORE 1 +FLAGS.SILENT (\Deleted)
        S2: a OK Store completed.
        S1: * 1 FETCH (UID 1 FLAGS (\Recent \Deleted))
        C2: b EXPUNGE
        S2: * 1 EXPUNGE
        S2: b OK Expunge completed.
        S1: * 1 EXPUNGE
        C1: done
        S1: a OK Idle completed.
        "#,
    );
    dialogue.deliver(&["three"]).run("C1: b NOOP\nS1: * 2 EXISTS\nS1: * 2 RECENT\nS1: b OK NOOP completed.");
}

#[test]
fn what_came_before_is_told_at_the_beginning() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.run("C: a NOOP\nS: a OK …");
    dialogue.deliver(&["one"]).run("C: b IDLE\nS: + idling\nS: * 1 EXISTS\nS: * 1 RECENT\nC: DONE\nS: b OK Idle completed.");
}

#[test]
fn commands_without_done_are_not_lost() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    client.send(b"a IDLE\r\nb NOOP\r\nDONE\r\nc NOOP\r\n", &account);
    client.send(b"d IDLE\r\nDONE\r\ne NOOP\r\n", &account);
    dialogue.run(
        r#"
        S: + idling
        S: a BAD Expected DONE.
        S: b OK NOOP completed.
        S: c OK NOOP completed.
        S: + idling
        S: d OK Idle completed.
        S: e OK NOOP completed.
        C: DONE
        S: DONE BAD Missing command
        "#,
    );
}

#[test]
fn signs_of_life() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    dialogue.run("C: a IDLE\nS: + idling");
    for _ in 0..40 {
        dialogue.client(1).wait(Duration::from_secs(121), &account);
        dialogue.run("S: * OK Still here");
    }
    dialogue.run("C: DONE\nS: a OK Idle completed.");
}

#[test]
fn idle_without_a_mailbox() {
    Dialogue::within("").run("C: a IDLE\nS: + idling\nC: DONE\nS: a OK Idle completed.\nC: b IDLE x\nS: b BAD Unexpected argument");
}
