use crate::harness::{Dialogue, logged_in};

#[test]
fn create_list_rename_delete() {
    logged_in(
        r#"
        C: a CREATE Work.2026.
        S: a OK Create completed.
        C: b CREATE work.2026
        S: b OK Create completed.
        C: c CREATE Work.2026
        S: c NO [ALREADYEXISTS] The mailbox already exists
        C: d LIST "" *
        S: * LIST (\HasNoChildren) "." INBOX
        S: * LIST (\Noselect \HasChildren) "." Work
        S: * LIST (\HasNoChildren) "." Work.2026
        S: * LIST (\Noselect \HasChildren) "." work
        S: * LIST (\HasNoChildren) "." work.2026
        S: d OK List completed.
        C: e RENAME Work.2026 Old
        S: e OK Rename completed.
        C: f LIST "" %
        S: * LIST (\HasNoChildren) "." INBOX
        S: * LIST (\HasNoChildren) "." Old
        S: * LIST (\Noselect \HasChildren) "." work
        S: f OK List completed.
        C: g DELETE Old
        S: g OK Delete completed.
        C: h DELETE Old
        S: h NO [NONEXISTENT] No such mailbox
        C: i DELETE inbox
        S: i NO [CANNOT] INBOX cannot be deleted
        C: j LIST work. %
        S: * LIST (\HasNoChildren) "." work.2026
        S: j OK List completed.
        C: k LIST "" ""
        S: * LIST (\Noselect) "." ""
        S: k OK List completed.
        C: l LIST "" inbox
        S: * LIST (\HasNoChildren) "." INBOX
        S: l OK List completed.
        "#,
    );
}

#[test]
fn names_are_modified_utf7() {
    logged_in(
        r#"
        C: a CREATE Entw&APw-rfe
        S: a OK Create completed.
        C: b CREATE "R&-D"
        S: b OK Create completed.
        C: c CREATE {8+}
        C: sp ace]x
        S: c OK Create completed.
        C: d LIST "" *
        S: * LIST (\HasNoChildren) "." INBOX
        S: * LIST (\HasNoChildren) "." Entw&APw-rfe
        S: * LIST (\HasNoChildren) "." R&-D
        S: * LIST (\HasNoChildren) "." "sp ace]x"
        S: d OK List completed.
        C: e CREATE R&D
        S: e NO [CANNOT] Invalid mailbox name
        C: f CREATE Entwürfe
        S: f NO [CANNOT] Invalid mailbox name
        C: g CREATE a..b
        S: g NO [CANNOT] The name cannot be a mailbox
        C: h CREATE ""
        S: h NO [CANNOT] Invalid mailbox name
        C: i LIST "" Entw&APw-%
        S: * LIST (\HasNoChildren) "." Entw&APw-rfe
        S: i OK List completed.
        C: j LIST "" R&%
        S: j OK List completed.
        "#,
    );
}

#[test]
fn subscriptions() {
    logged_in(
        r#"
        C: a SUBSCRIBE a.b.c
        S: a OK Subscribe completed.
        C: b SUBSCRIBE a
        S: b OK Subscribe completed.
        C: c LSUB "" *
        S: * LSUB () "." a
        S: * LSUB () "." a.b.c
        S: c OK Lsub completed.
        C: d LSUB "" a.%
        S: * LSUB (\Noselect) "." a.b
        S: d OK Lsub completed.
        C: e UNSUBSCRIBE a
        S: e OK Unsubscribe completed.
        C: f LSUB "" %
        S: * LSUB (\Noselect) "." a
        S: f OK Lsub completed.
        "#,
    );
}

#[test]
fn extended_list() {
    logged_in(
        r#"
        C: a CREATE Sent (USE (\Sent))
        S: a OK Create completed.
        C: b CREATE x (USE (\Nothing))
        S: b NO [USEATTR] That use is not supported.
        C: c CREATE x.y
        S: c OK Create completed.
        C: d SUBSCRIBE x.y
        S: d OK Subscribe completed.
        C: e SUBSCRIBE gone
        S: e OK Subscribe completed.
        C: f LIST (SUBSCRIBED) "" *
        S: * LIST (\Subscribed \HasNoChildren) "." x.y
        S: * LIST (\NonExistent \Subscribed \HasNoChildren) "." gone
        S: f OK List completed.
        C: g LIST (SUBSCRIBED RECURSIVEMATCH) "" %
        S: * LIST (\Noselect \HasChildren) "." x ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\NonExistent \Subscribed \HasNoChildren) "." gone
        S: g OK List completed.
        C: h LIST (SPECIAL-USE) "" *
        S: * LIST (\HasNoChildren \Sent) "." Sent
        S: h OK List completed.
        C: i LIST "" (INBOX S*) RETURN (SUBSCRIBED CHILDREN STATUS (MESSAGES UIDNEXT))
        S: * LIST (\HasNoChildren) "." INBOX
        S: * STATUS INBOX (MESSAGES 0 UIDNEXT 1)
        S: * LIST (\HasNoChildren \Sent) "." Sent
        S: * STATUS Sent (MESSAGES 0 UIDNEXT 1)
        S: i OK List completed.
        C: j LIST (RECURSIVEMATCH) "" *
        S: j BAD …
        C: k LIST "" * RETURN (FOO)
        S: k BAD Unknown return option
        "#,
    );
}

#[test]
fn status_items() {
    Dialogue::within("").deliver(&["one", "two"]).run(
        r#"
        C: a STATUS inbox (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)
        S: * STATUS INBOX (MESSAGES 2 RECENT 2 UIDNEXT 3 UIDVALIDITY 1001 UNSEEN 2)
        S: a OK Status completed.
        C: b STATUS INBOX (SIZE DELETED APPENDLIMIT HIGHESTMODSEQ)
        S: * STATUS INBOX (SIZE 100 DELETED 0 APPENDLIMIT 67108864 HIGHESTMODSEQ 3)
        S: b OK Status completed.
        C: c STATUS nowhere (MESSAGES)
        S: c NO [NONEXISTENT] No such mailbox
        C: d STATUS INBOX ()
        S: d BAD Missing status items
        C: e STATUS INBOX (FOO)
        S: e BAD Unknown status item
        "#,
    );
}

#[test]
fn select_examine_close_unselect() {
    Dialogue::within("").deliver(&["one", "two"]).run(
        r#"
        C: a EXAMINE INBOX
        S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft)
        S: * OK [PERMANENTFLAGS ()] Read-only mailbox.
        S: * 2 EXISTS
        S: * 2 RECENT
        S: * OK [UNSEEN 1] First unseen.
        S: * OK [UIDVALIDITY 1001] UIDs valid
        S: * OK [UIDNEXT 3] Predicted next UID
        S: * OK [HIGHESTMODSEQ 3] Highest
        S: a OK [READ-ONLY] Examine completed.
        C: b STORE 1 +FLAGS (\Seen)
        S: b NO [READ-ONLY] The mailbox is read-only
        C: c EXPUNGE
        S: c NO [READ-ONLY] …
        C: d MOVE 1 INBOX
        S: d NO [READ-ONLY] …
        C: e SELECT INBOX (CONDSTORE)
        S: * OK [CLOSED] Previous mailbox closed.
        S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft)
        S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft \*)] Flags permitted.
        S: * 2 EXISTS
        S: * 2 RECENT
        S: …
        S: …
        S: …
        S: …
        S: e OK [READ-WRITE] Select completed.
        C: f SELECT nowhere
        S: * OK [CLOSED] Previous mailbox closed.
        S: f NO [NONEXISTENT] No such mailbox
        C: g FETCH 1 FLAGS
        S: g BAD Select a mailbox first
        "#,
    );
}

#[test]
fn close_expunges_and_unselect_does_not() {
    Dialogue::within("INBOX").deliver(&["one", "two"]).run(
        r#"
        C: a STORE 1 +FLAGS.SILENT (\Deleted)
        S: a OK Store completed.
        C: b UNSELECT
        S: b OK Unselect completed.
        C: c STATUS INBOX (MESSAGES)
        S: * STATUS INBOX (MESSAGES 2)
        S: c OK …
        C: d SELECT INBOX
        S: * FLAGS …
        S: …
        S: * 2 EXISTS
        S: …
        S: …
        S: …
        S: …
        S: …
        S: d OK …
        C: e CLOSE
        S: e OK Close completed.
        C: f STATUS INBOX (MESSAGES)
        S: * STATUS INBOX (MESSAGES 1)
        S: f OK …
        "#,
    );
}

#[test]
fn the_selected_mailbox_goes() {
    let mut dialogue = Dialogue::within("Box");
    dialogue.account.deliver("INBOX", b"a: b\n\n");
    imap::store::Store::create(&dialogue.account, "Box", None).unwrap();
    dialogue.run(
        r#"
        C1: a NOOP
        S1: a OK NOOP completed.
        C2: a DELETE Box
        S2: * OK [CLOSED] The selected mailbox was deleted.
        S2: a OK Delete completed.
        C2: b FETCH 1 FLAGS
        S2: b BAD Select a mailbox first
        C1: b NOOP
        S1: * BYE The selected mailbox was deleted
        S1: b OK NOOP completed.
        "#,
    );
    assert!(dialogue.client(1).closed);
}

#[test]
fn patterns_have_a_limit() {
    let mut dialogue = Dialogue::within("");
    let long = "a%".repeat(450);
    dialogue.run(&format!("C: a LIST \"\" {long}\nS: a OK …"));
    dialogue.run(&format!("C: a LIST {long} {long}{long}\nS: a OK …"));
    dialogue.run(&format!("C: a LIST \"\" ({long} {long} {long})\nS: a NO [LIMIT] …"));
    dialogue.run(&format!("C: a LIST \"\" ({})\nS: a NO [LIMIT] …", "x ".repeat(2_001)));
}
