use crate::harness::{Dialogue, logged_in};

#[test]
fn one_message() {
    Dialogue::within("INBOX").run(
        r#"
        C: a APPEND INBOX (\Seen $Work) " 5-Mar-2020 10:11:12 +0100" {12}
        S: + OK
        C: a: b
        C:
        C: text
        S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work)
        S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work \*)] Flags permitted.
        S: * 1 EXISTS
        S: * 1 RECENT
        S: a OK [APPENDUID 1001 1] Append completed.
        C: b FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])
        S: * 1 FETCH (FLAGS (\Recent \Seen $Work) INTERNALDATE "05-Mar-2020 09:11:12 +0000" RFC822.SIZE 12 BODY[] {12}
        S: a: b
        S:
        S: text)
        S: b OK Fetch completed.
        "#,
    );
}

#[test]
fn several_messages_without_waiting() {
    logged_in(
        r#"
        C: a APPEND {5+}
        C: INBOX (\Flagged) {5+}
        C: a:b
        C:  (\Draft) {3+}
        C: c:d {3+}
        C: e:f
        S: a OK [APPENDUID 1001 1:3] Append completed.
        "#,
    );
}

#[test]
fn refused_before_it_is_sent() {
    logged_in(
        r#"
        C: a APPEND nowhere {10}
        S: a NO [TRYCREATE] No such mailbox
        C: b APPEND INBOX (\Foo) {10}
        S: b BAD Invalid system flag
        C: c APPEND INBOX "31-Feb-2020 10:11:12 +0100" {10}
        S: c BAD Invalid date
        C: d APPEND INBOX {100000000}
        S: d NO [TOOBIG] The message is too large.
        C: e APPEND INBOX {0}
        S: e NO A message cannot be empty.
        C: f APPEND INBOX (\Recent) {10}
        S: f BAD Invalid system flag
        C: g APPEND INBOX
        S: g BAD Missing message literal
        C: h NOOP
        S: h OK NOOP completed.
        "#,
    );
}

#[test]
fn refused_after_it_was_read() {
    logged_in(
        r#"
        C: a APPEND nowhere (\Seen) {8+}
        C: b NOOP
        C:
        S: a NO [TRYCREATE] No such mailbox
        C: c APPEND INBOX (\Foo) {8+}
        C: d NOOP
        C: {8+}
        C: d NOOP
        C:
        S: c BAD Invalid system flag
        C: e APPEND INBOX "1-Jan-2020 00:00:00 +0000" {3+}
        C: x:y junk
        S: e BAD …
        C: f STATUS INBOX (MESSAGES)
        S: * STATUS INBOX (MESSAGES 0)
        S: f OK …
        "#,
    );
}

#[test]
fn a_huge_message_that_nobody_asked_for_ends_the_session() {
    let mut dialogue = Dialogue::within("");
    dialogue.run(
        r#"
        C: a APPEND INBOX {99999999999+}
        S: * BYE Literal too long
        S: a NO [TOOBIG] The message is too large.
        "#,
    );
    assert!(dialogue.client(1).closed);
}

#[test]
fn a_message_in_pieces_never_stands_in_the_output_or_input() {
    let mut dialogue = Dialogue::within("");
    let account = dialogue.account.clone();
    let text = b"Subject: big\r\n\r\n0123456789abcdef\r\n".repeat(100_000);
    let client = dialogue.client(1);
    client.send(format!("a APPEND INBOX {{{}+}}\r\n", text.len()).as_bytes(), &account);
    text.chunks(1_000).for_each(|piece| client.send(piece, &account));
    client.send(b"\r\n", &account);
    assert_eq!(client.take(), b"a OK [APPENDUID 1001 1] Append completed.\r\n");
    client.send(b"b SELECT INBOX\r\nc FETCH 1 BODY[]\r\n", &account);
    assert!(client.most < 200_000, "{}", client.most);
    let output = client.take();
    assert!(output.windows(text.len()).any(|window| window == text));
    assert!(output.ends_with(b" FLAGS (\\Recent \\Seen))\r\nc OK Fetch completed.\r\n"));
}

#[test]
fn copies_and_moves() {
    crate::harness::selected(
        r#"
        C: a CREATE Box
        S: a OK …
        C: b COPY 1,3 Box
        S: b OK [COPYUID 1002 1,3 1:2] Copy completed.
        C: c UID COPY 2 nowhere
        S: c NO [TRYCREATE] No such mailbox
        C: d UID COPY 77 Box
        S: d OK No messages copied.
        C: e COPY 4 Box
        S: e BAD Invalid message set: there are fewer messages
        C: f MOVE 2 Box
        S: * OK [COPYUID 1002 2 3] Moved UIDs.
        S: * 2 EXPUNGE
        S: f OK Move completed.
        C: g UID MOVE 3 INBOX
        S: * OK [COPYUID 1001 3 4] Moved UIDs.
        S: * 2 EXPUNGE
        S: * 2 EXISTS
        S: * 2 RECENT
        S: g OK Move completed.
        C: h STATUS Box (MESSAGES UIDNEXT)
        S: * STATUS Box (MESSAGES 3 UIDNEXT 4)
        S: h OK …
        "#,
    );
}
