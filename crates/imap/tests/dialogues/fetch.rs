use crate::harness::{Dialogue, selected};

#[test]
fn flags_uids_sizes_dates() {
    selected(
        r#"
        C: a FETCH 1:* (UID FLAGS)
        S: * 1 FETCH (UID 1 FLAGS (\Recent))
        S: * 2 FETCH (UID 2 FLAGS (\Recent))
        S: * 3 FETCH (UID 3 FLAGS (\Recent))
        S: a OK Fetch completed.
        C: b UID FETCH 2,9 RFC822.SIZE
        S: * 2 FETCH (UID 2 RFC822.SIZE 50)
        S: b OK Fetch completed.
        C: c FETCH 3 FAST
        S: * 3 FETCH (FLAGS (\Recent) INTERNALDATE "14-Nov-2023 22:13:20 +0000" RFC822.SIZE 54)
        S: c OK Fetch completed.
        C: d FETCH 3 (SAVEDATE)
        S: * 3 FETCH (SAVEDATE "14-Nov-2023 22:13:20 +0000")
        S: d OK Fetch completed.
        C: e UID FETCH 100:* FLAGS
        S: * 3 FETCH (UID 3 FLAGS (\Recent))
        S: e OK Fetch completed.
        C: f FETCH 4 FLAGS
        S: f BAD Invalid message set: there are fewer messages
        C: g FETCH 1 (FLAGS
        S: g BAD …
        C: h FETCH 1 ENVELOPES
        S: h BAD Unknown FETCH item
        C: i UID FETCH 77 FLAGS
        S: i OK Fetch completed.
        "#,
    );
}

#[test]
fn sections() {
    selected(
        r#"
        C: a FETCH 1 BODY.PEEK[]
        S: * 1 FETCH (BODY[] {50}
        S: From: a@example.org
        S: Subject: one
        S:
        S: body of one
        S: )
        S: a OK Fetch completed.
        C: b FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[TEXT]<2.5> UID)
        S: * 1 FETCH (BODY[HEADER.FIELDS (Subject)] {16}
        S: Subject: one
        S:
        S:  BODY[TEXT]<2> {5}
        S: dy of UID 1)
        S: b OK Fetch completed.
        C: c FETCH 1 (BODY.PEEK[7] BODY.PEEK[1.MIME] BODY.PEEK[]<1000.5>)
        S: * 1 FETCH (BODY[7] {0}
        S:  BODY[1.MIME] {37}
        S: From: a@example.org
        S: Subject: one
        S:
        S:  BODY[]<1000> {0}
        S: )
        S: c OK Fetch completed.
        C: d FETCH 1 (ENVELOPE BODY)
        S: * 1 FETCH (ENVELOPE (NIL "one" ((NIL NIL "a" "example.org")) ((NIL NIL "a" "example.org")) ((NIL NIL "a" "example.org")) NIL NIL NIL NIL NIL) BODY ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 13 1))
        S: d OK Fetch completed.
        "#,
    );
}

#[test]
fn reading_sets_seen_and_says_so() {
    selected(
        r#"
        C: a FETCH 1:2 BODY[TEXT]
        S: * 1 FETCH (BODY[TEXT] {13}
        S: body of one
        S:  FLAGS (\Recent \Seen))
        S: * 2 FETCH (BODY[TEXT] {13}
        S: body of two
        S:  FLAGS (\Recent \Seen))
        S: a OK Fetch completed.
        C: b FETCH 1 RFC822.TEXT
        S: * 1 FETCH (RFC822.TEXT {13}
        S: body of one
        S: )
        S: b OK Fetch completed.
        C: c FETCH 3 (RFC822.HEADER FLAGS)
        S: * 3 FETCH (RFC822.HEADER {39}
        S: From: a@example.org
        S: Subject: three
        S:
        S:  FLAGS (\Recent))
        S: c OK Fetch completed.
        C: d NOOP
        S: d OK NOOP completed.
        "#,
    );
}

#[test]
fn decoded_parts() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    account.deliver("INBOX", b"Content-Transfer-Encoding: base64\n\naGVsbG8=\n");
    account.deliver("INBOX", b"Content-Transfer-Encoding: x-odd\n\nhello\n");
    account.deliver("INBOX", b"Content-Transfer-Encoding: base64\n\n!!!!\n");
    dialogue.run(
        r#"
        C: a FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1] BINARY.PEEK[1]<1.3>)
        S: * 1 FETCH (BINARY[1] {5}
        S: hello BINARY.SIZE[1] 5 BINARY[1]<1> {3}
        S: ell)
        S: a OK Fetch completed.
        C: b FETCH 2 BINARY.PEEK[1]
        S: b NO [UNKNOWN-CTE] Unknown transfer encoding.
        C: c FETCH 1:3 (UID BINARY.SIZE[1])
        S: * 1 FETCH (UID 1 BINARY.SIZE[1] 5)
        S: * 2 FETCH (UID 2)
        S: * 3 FETCH (UID 3)
        S: c NO [PARSE] The part cannot be decoded.
        "#,
    );
}

#[test]
fn a_message_that_is_gone_does_not_harm_the_others() {
    selected(
        r#"
        C1: a NOOP
        S1: a OK …
        C2: a STORE 2 +FLAGS.SILENT (\Deleted)
        S2: a OK …
        C2: b EXPUNGE
        S2: * 2 EXPUNGE
        S2: b OK Expunge completed.
        C1: b FETCH 1:3 (UID BODY.PEEK[TEXT]<0.4>)
        S1: * 1 FETCH (UID 1 BODY[TEXT]<0> {4}
        S1: body)
        S1: * 3 FETCH (UID 3 BODY[TEXT]<0> {4}
        S1: body)
        S1: * 2 FETCH (UID 2 FLAGS (\Recent \Deleted))
        S1: b OK [EXPUNGEISSUED] Some messages were expunged already.
        C1: c FETCH 3 UID
        S1: * 3 FETCH (UID 3)
        S1: c OK …
        C1: d UID FETCH 3 UID
        S1: * 3 FETCH (UID 3)
        S1: * 2 EXPUNGE
        S1: d OK …
        "#,
    );
}

/// A large message in its wire form, and the same with LF line ends.
fn large() -> (Vec<u8>, Vec<u8>) {
    let lines: String = (0..40_000).map(|n| format!("line {n} of a message that is larger than what is read at once\r\n")).collect();
    let wire = format!("Subject: large\r\n\r\n{lines}\r\r\nend").into_bytes();
    let mut raw = wire.clone();
    let mut last = 0;
    raw.retain(|b| {
        let keep = *b != b'\r' || last == b'\r';
        last = *b;
        keep
    });
    // Two CRs before a LF: the first stays, the second belongs to the line end.
    let raw = String::from_utf8_lossy(&raw).replace("\n\r\nend", "\n\r\r\nend").into_bytes();
    (wire, raw)
}

#[test]
fn large_messages_stream_in_their_wire_form() {
    let (wire, raw) = large();
    for message in [&wire, &raw] {
        let mut dialogue = Dialogue::within("INBOX");
        let account = dialogue.account.clone();
        account.deliver("INBOX", message);
        let client = dialogue.client(1);
        client.send(b"a FETCH 1 (BODY.PEEK[] BODY.PEEK[1])\r\n", &account);
        let body = wire.len() - 18;
        let mut expected = format!("* 1 FETCH (BODY[] {{{}}}\r\n", wire.len()).into_bytes();
        expected.extend_from_slice(&wire);
        expected.extend_from_slice(format!(" BODY[1] {{{body}}}\r\n").as_bytes());
        expected.extend_from_slice(&wire[18..]);
        expected.extend_from_slice(b")\r\na OK Fetch completed.\r\n");
        assert!(client.take() == expected);
        assert!(client.most < 300_000, "{}", client.most);
    }
}

#[test]
fn windows_of_large_messages_fit_together() {
    let (wire, raw) = large();
    for message in [&wire, &raw] {
        let mut dialogue = Dialogue::within("INBOX");
        let account = dialogue.account.clone();
        account.deliver("INBOX", message);
        let client = dialogue.client(1);
        let (mut got, mut offset) = (Vec::new(), 0);
        for step in [100_000, 1, 70_001, 300_000, 33].into_iter().cycle() {
            client.send(format!("a FETCH 1 BODY.PEEK[]<{offset}.{step}>\r\n").as_bytes(), &account);
            let size = step.min(wire.len() - offset);
            let output = client.take();
            let head = format!("* 1 FETCH (BODY[]<{offset}> {{{size}}}\r\n").into_bytes();
            assert!(output.starts_with(&head));
            got.extend_from_slice(&output[head.len()..head.len() + size]);
            offset += size;
            if size < step {
                break;
            }
        }
        assert!(got == wire);
        client.send(b"b FETCH 1 BODY.PEEK[]<5.7>\r\n", &account);
        assert_eq!(client.take(), b"* 1 FETCH (BODY[]<5> {7}\r\nct: lar)\r\nb OK Fetch completed.\r\n");
    }
}

#[test]
fn facts_are_kept_and_used() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.deliver(&["one"]);
    dialogue.run(
        r#"
        C: a FETCH 1 (UID BODYSTRUCTURE)
        S: * 1 FETCH (UID 1 BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 13 1 NIL NIL NIL NIL))
        S: a OK …
        "#,
    );
    // From here on only the facts can know the structure.
    let mut state = dialogue.account.lock();
    let (_, mailbox) = state.by_name("INBOX").unwrap();
    mailbox.messages.get_mut(&1).unwrap().raw = b"changed".as_slice().into();
    drop(state);
    dialogue.run(
        r#"
        C: b FETCH 1 BODYSTRUCTURE
        S: * 1 FETCH (BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 13 1 NIL NIL NIL NIL))
        S: b OK …
        "#,
    );
}

#[test]
fn what_a_message_says_is_not_taken_for_the_answer() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.account.deliver("INBOX", b"\n* 1 FETCH (");
    dialogue.run("C: a FETCH 1 BODY.PEEK[TEXT]\nS: * 1 FETCH (BODY[TEXT] {11}\nS: * 1 FETCH ()\nS: a OK …");
}

#[test]
fn nothing_is_said_within_a_message() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    account.deliver("INBOX", &b"0123456789\n".repeat(100_000));
    let client = dialogue.client(1);
    client.shut_down(b"a FETCH 1 BODY.PEEK[]\r\n", &account);
    let output = client.take();
    assert!(client.closed && output.starts_with(b"* 1 FETCH (BODY[] {1200000}\r\n") && !output.windows(3).any(|three| three == b"BYE"));
    let client = dialogue.client(2);
    client.shut_down(b"a FETCH 1 (UID)\r\n", &account);
    assert!(client.closed && client.take().ends_with(b"a OK Fetch completed.\r\n* BYE Server is shutting down\r\n"));
}
