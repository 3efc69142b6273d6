use crate::harness::{Dialogue, selected};

#[test]
fn vanished_instead_of_expunge() {
    selected(
        r#"
        C: a ENABLE QRESYNC
        S: * ENABLED QRESYNC
        S: * OK [HIGHESTMODSEQ 4] Highest
        S: a OK Enabled.
        C: b STORE 1,3 +FLAGS.SILENT (\Deleted)
        S: * 1 FETCH (UID 1 MODSEQ (5))
        S: * 3 FETCH (UID 3 MODSEQ (6))
        S: b OK Store completed.
        C: c EXPUNGE
        S: * VANISHED 1,3
        S: c OK [HIGHESTMODSEQ 8] Expunge completed.
        C: d UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
        S: * VANISHED (EARLIER) 1,3
        S: * 1 FETCH (UID 2 FLAGS (\Recent) MODSEQ (3))
        S: d OK Fetch completed.
        C: e FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)
        S: e BAD VANISHED needs UID FETCH and QRESYNC
        "#,
    );
}

#[test]
fn back_again() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.deliver(&["one", "two", "three", "four"]).run(
        r#"
        C1: a STORE 2 +FLAGS.SILENT (\Deleted)
        S1: a OK …
        C1: b EXPUNGE
        S1: * 2 EXPUNGE
        S1: b OK …
        C1: c STORE 3 +FLAGS.SILENT (\Flagged)
        S1: c OK …
        C1: d UNSELECT
        S1: d OK …
        C1: e SELECT INBOX (QRESYNC (1001 5 1:4))
        S1: e BAD QRESYNC is not enabled
        C1: f ENABLE QRESYNC
        S1: * ENABLED QRESYNC
        S1: f OK …
        C1: g SELECT INBOX (QRESYNC (1001 5 1:4))
        S1: * FLAGS …
        S1: * OK [PERMANENTFLAGS …
        S1: * 3 EXISTS
        S1: * 0 RECENT
        S1: * OK [UNSEEN 1] …
        S1: * OK [UIDVALIDITY 1001] …
        S1: * OK [UIDNEXT 5] …
        S1: * OK [HIGHESTMODSEQ 8] Highest
        S1: * VANISHED (EARLIER) 2
        S1: * 3 FETCH (UID 4 FLAGS (\Flagged) MODSEQ (8))
        S1: g OK [READ-WRITE] Select completed.
        C1: h SELECT INBOX (QRESYNC (999 5 1:4 (1,2 1,2)))
        S1: * OK [CLOSED] …
        S1: * FLAGS …
        S1: * OK [PERMANENTFLAGS …
        S1: * 3 EXISTS
        S1: * 0 RECENT
        S1: * OK [UNSEEN 1] …
        S1: * OK [UIDVALIDITY 1001] …
        S1: * OK [UIDNEXT 5] …
        S1: * OK [HIGHESTMODSEQ 8] Highest
        S1: h OK [READ-WRITE] Select completed.
        C1: i SELECT INBOX (QRESYNC (0 5))
        S1: i BAD …
        C1: j SELECT INBOX (FOO)
        S1: j BAD Unknown SELECT parameter
        "#,
    );
}
