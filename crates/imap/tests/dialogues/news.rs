use crate::harness::{Dialogue, selected};

#[test]
fn expunges_wait_for_a_command_that_may_tell_them() {
    selected(
        r#"
        C1: a NOOP
        S1: a OK …
        C2: a STORE 1 FLAGS.SILENT (\Deleted)
        S2: a OK …
        C2: b EXPUNGE
        S2: * 1 EXPUNGE
        S2: b OK …
        C1: b FETCH 2 UID
        S1: * 2 FETCH (UID 2)
        S1: * 1 FETCH (UID 1 FLAGS (\Recent \Deleted))
        S1: b OK …
        C1: c STORE 2 +FLAGS (\Seen)
        S1: * 2 FETCH (UID 2 FLAGS (\Recent \Seen))
        S1: c OK …
        C1: d SEARCH ALL
        S1: * SEARCH 1 2 3
        S1: d OK …
        C1: e NAMESPACE
        S1: * NAMESPACE (("" ".")) NIL NIL
        S1: * 1 EXPUNGE
        S1: e OK …
        C1: f SEARCH ALL
        S1: * SEARCH 1 2
        S1: f OK …
        "#,
    );
}

#[test]
fn new_messages_are_told_by_every_command() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.run("C: a NOOP\nS: a OK …");
    dialogue.deliver(&["one"]).run("C: b UID SEARCH ALL\nS: * SEARCH\nS: * 1 EXISTS\nS: * 1 RECENT\nS: b OK …");
    dialogue.deliver(&["two"]).run("C: c XYZZY\nS: c BAD Unknown command\nC: d CHECK\nS: * 2 EXISTS\nS: * 2 RECENT\nS: d OK …");
}

#[test]
fn another_sessions_keyword_is_introduced() {
    selected(
        r#"
        C1: a NOOP
        S1: a OK …
        C2: a STORE 1 +FLAGS.SILENT (New)
        S2: * FLAGS (… New)
        S2: * OK [PERMANENTFLAGS (… New \*)] Flags permitted.
        S2: a OK …
        C1: b FETCH 1 FLAGS
        S1: * FLAGS (… New)
        S1: * OK [PERMANENTFLAGS (… New \*)] Flags permitted.
        S1: * 1 FETCH (FLAGS (\Recent New))
        S1: * 1 FETCH (UID 1 FLAGS (\Recent New))
        S1: b OK …
        "#,
    );
}

#[test]
fn what_a_client_may_remember_stays_below_what_it_was_not_told() {
    selected(
        r#"
        C1: a ENABLE QRESYNC
        S1: * ENABLED QRESYNC
        S1: * OK [HIGHESTMODSEQ 4] Highest
        S1: a OK …
        C2: a STORE 1 FLAGS.SILENT (\Deleted)
        S2: a OK …
        C2: b EXPUNGE
        S2: * 1 EXPUNGE
        S2: b OK …
        C1: b STORE 3 +FLAGS (\Seen)
        S1: * 3 FETCH (UID 3 MODSEQ (7) FLAGS (\Recent \Seen))
        S1: * 1 FETCH (UID 1 MODSEQ (5) FLAGS (\Recent \Deleted))
        S1: * OK [HIGHESTMODSEQ 5] Highest
        S1: b OK Store completed.
        C1: c NOOP
        S1: * VANISHED 1
        S1: c OK NOOP completed.
        C1: d EXPUNGE
        S1: d OK [HIGHESTMODSEQ 7] Expunge completed.
        "#,
    );
}
