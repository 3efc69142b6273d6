use crate::harness::{Dialogue, selected};

#[test]
fn changes_are_answered() {
    selected(
        r#"
        C: a STORE 1:2 +FLAGS (\Seen $Work)
        S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work)
        S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work \*)] Flags permitted.
        S: * 1 FETCH (UID 1 FLAGS (\Recent \Seen $Work))
        S: * 2 FETCH (UID 2 FLAGS (\Recent \Seen $Work))
        S: a OK Store completed.
        C: b STORE 2 -FLAGS $work
        S: * 2 FETCH (UID 2 FLAGS (\Recent \Seen))
        S: b OK Store completed.
        C: c UID STORE 1 FLAGS \Draft \Flagged
        S: * 1 FETCH (UID 1 FLAGS (\Recent \Flagged \Draft))
        S: c OK Store completed.
        C: d STORE 1 FLAGS ()
        S: * 1 FETCH (UID 1 FLAGS (\Recent))
        S: d OK Store completed.
        C: e STORE 1 FLAGS ()
        S: * 1 FETCH (UID 1 FLAGS (\Recent))
        S: e OK Store completed.
        C: f STORE 3 +FLAGS.SILENT (\Deleted)
        S: f OK Store completed.
        C: g STORE 1 FLAGS (\Foo)
        S: g BAD Invalid system flag
        C: h STORE 1 FLAGS (\Recent)
        S: h BAD Invalid system flag
        C: i STORE 4 FLAGS ()
        S: i BAD Invalid message set: there are fewer messages
        C: j UID STORE 44 FLAGS ()
        S: j OK Store completed.
        C: k STORE 1 NOFLAGS ()
        S: k BAD Unknown STORE item
        C: l EXPUNGE
        S: * 3 EXPUNGE
        S: l OK Expunge completed.
        "#,
    );
}

#[test]
fn others_hear_of_it() {
    selected(
        r#"
        C1: a STORE 1 +FLAGS (\Flagged)
        S1: * 1 FETCH (UID 1 FLAGS (\Recent \Flagged))
        S1: a OK …
        C2: a STORE 1 +FLAGS.SILENT (\Seen)
        S2: a OK Store completed.
        C1: b STORE 1 -FLAGS (\Flagged)
        S1: * 1 FETCH (UID 1 FLAGS (\Recent \Seen))
        S1: * 1 FETCH (UID 1 FLAGS (\Recent \Seen))
        S1: b OK Store completed.
        C2: b NOOP
        S2: * 1 FETCH (UID 1 FLAGS (\Seen))
        S2: b OK NOOP completed.
        "#,
    );
}

#[test]
fn conditional_changes() {
    selected(
        r#"
        C: a FETCH 1:3 (MODSEQ)
        S: * OK [HIGHESTMODSEQ 4] Highest
        S: * 1 FETCH (MODSEQ (2))
        S: * 2 FETCH (MODSEQ (3))
        S: * 3 FETCH (MODSEQ (4))
        S: a OK Fetch completed.
        C: b STORE 1:3 (UNCHANGEDSINCE 3) +FLAGS.SILENT (\Seen)
        S: * 1 FETCH (UID 1 MODSEQ (5))
        S: * 2 FETCH (UID 2 MODSEQ (6))
        S: b OK [MODIFIED 3] Conditional store left some messages alone.
        C: c UID STORE 1 (UNCHANGEDSINCE 0) FLAGS ()
        S: c OK [MODIFIED 1] …
        C: d STORE 3 +FLAGS (\Flagged)
        S: * 3 FETCH (UID 3 MODSEQ (7) FLAGS (\Recent \Flagged))
        S: d OK Store completed.
        C: e UID FETCH 1:* FLAGS (CHANGEDSINCE 5)
        S: * 2 FETCH (UID 2 FLAGS (\Recent \Seen) MODSEQ (6))
        S: * 3 FETCH (UID 3 FLAGS (\Recent \Flagged) MODSEQ (7))
        S: e OK Fetch completed.
        C: f STORE 1 (FOO 3) FLAGS ()
        S: f BAD Unknown STORE modifier
        "#,
    );
}

#[test]
fn keywords_have_limits() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.deliver(&["one"]);
    let names: Vec<_> = (0..65).map(|n| format!("k{n}")).collect();
    dialogue.run(&format!("C: a STORE 1 FLAGS ({})\nS: a NO [LIMIT] Too many keywords.", names.join(" ")));
    dialogue.run(&format!("C: a STORE 1 FLAGS ({})\nS: a NO [LIMIT] Keyword too long.", "k".repeat(200)));
    dialogue.run(&format!("C: a STORE 1 FLAGS.SILENT ({})\nS: * FLAGS …\nS: …k63)] Flags permitted.\nS: a OK …", names[..64].join(" ")));
    dialogue.run("C: a STORE 1 +FLAGS one-more\nS: a NO [LIMIT] Too many keywords");
}
