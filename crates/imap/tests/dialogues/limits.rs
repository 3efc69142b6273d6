use crate::harness::{Dialogue, Setup, fresh, logged_in};

#[test]
fn long_commands_cost_only_themselves() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    let long = "x".repeat(200_000);
    for piece in format!("a LIST \"\" {long}\r\nb NOOP\r\n").as_bytes().chunks(1_000) {
        client.send(piece, &account);
    }
    dialogue.run("S: a BAD [TOOBIG] Command too long\nS: b OK NOOP completed.");
    let account = dialogue.account.clone();
    dialogue
        .client(1)
        .send(format!("c LIST \"\" {{100+}}\r\n{}{{200000+}}\r\n{long} {{3+}}\r\nabc x\r\nd NOOP\r\n", &long[..100]).as_bytes(), &account);
    dialogue.run("S: c BAD [TOOBIG] Literal too long\nS: d OK NOOP completed.");
    dialogue.run("C: e LIST {999999999}\nS: e BAD [TOOBIG] Literal too long\nC: f NOOP\nS: f OK …");
}

#[test]
fn the_literals_of_a_long_command_are_no_commands() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.run("C: a SEARCH SUBJECT {24}\nS: + OK");
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    let long = "x".repeat(200_000);
    for piece in format!("1\r\nevil CREATE pwned\r\nbc SUBJECT {long}\r\nb NOOP\r\n").as_bytes().chunks(5_000) {
        client.send(piece, &account);
    }
    dialogue.run("S: a BAD [TOOBIG] Command too long\nS: b OK NOOP completed.");
}

#[test]
fn one_message_asked_for_a_thousand_times_waits_for_its_reader() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    let items = vec!["BODY.PEEK[]"; 3_000].join(" ");
    client.send(format!("a APPEND INBOX {{60000+}}\r\n{}\r\nb NOOP\r\n", "x".repeat(60_000)).as_bytes(), &account);
    client.take();
    client.send(format!("c FETCH 1 ({items})\r\n").as_bytes(), &account);
    let said = client.take();
    assert!(said.len() > 3_000 * 60_000 && said.ends_with(b"c OK Fetch completed.\r\n"));
    assert!(client.most < 200_000, "{}", client.most);
}

#[test]
fn conditions_have_a_limit() {
    let keys = "1:* ".repeat(2_000);
    Dialogue::within("INBOX").run(&format!("C: a SEARCH {keys}ALL\nS: a BAD Too many conditions"));
}

#[test]
fn literals_of_commands_that_are_refused_anyway() {
    fresh(
        r#"
        S: * OK …
        C: a SELECT {5}
        S: a BAD Log in first
        C: b XYZZY {5+}
        C: INBOX x
        S: b BAD Unknown command
        C: c LOGIN {4+}
        C: user {4}
        S: + OK
        C: pass
        S: c OK …
        "#,
    );
}

#[test]
fn malformed_commands_are_counted() {
    let mut dialogue = Dialogue::within("");
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    for _ in 0..19 {
        client.send(b"a FOO\r\n", &account);
    }
    client.send(b"a NOOP\r\n", &account);
    for _ in 0..19 {
        client.send(b"a FOO\r\n", &account);
    }
    assert!(!client.closed);
    client.send(b"a FOO\r\n", &account);
    assert!(client.closed && client.take().ends_with(b"* BYE Too many malformed commands\r\n"));
}

#[test]
fn other_protocols_get_nowhere() {
    let mut dialogue = Dialogue::new(Setup::default());
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    client.take();
    client.send(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", &account);
    assert_eq!(client.take(), b"GET BAD Missing word\r\nHost: BAD Unknown command\r\n* BAD Invalid tag\r\n");
}

/// The deviations from the grammar that are tolerated; `parse` names the client of each.
#[test]
fn tolerated_deviations() {
    logged_in(
        r#"
        C: a NOOP  
        S: a OK NOOP completed.
        C: b LIST ""  "*"
        S: * LIST (\HasNoChildren) "." INBOX
        S: b OK List completed.
        C: c STATUS INBOX ( MESSAGES )
        S: * STATUS INBOX (MESSAGES 0)
        S: c OK Status completed.
        C: d EXAMINE INBOX
        S: * FLAGS …
        S: …
        S: * 0 EXISTS
        S: …
        S: …
        S: …
        S: …
        S: d OK …
        C: e SEARCH SUBJECT "Grüße"
        S: * SEARCH
        S: e OK Search completed.
        "#,
    );
    let mut dialogue = Dialogue::new(Setup::default());
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    client.take();
    client.send(b"a login user pass\nb create {3}\n", &account);
    client.send(b"Box\nc append Box \"1-Jan-2020 00:00:00 +0000\" {4+}\na:b\n\n", &account);
    let output = String::from_utf8(client.take()).unwrap();
    assert!(output.ends_with("+ OK\r\nb OK Create completed.\r\nc OK [APPENDUID 1002 1] Append completed.\r\n"), "{output}");
}

#[test]
fn a_tiny_output_buffer_still_works() {
    let mut dialogue = Dialogue::within("INBOX");
    dialogue.deliver(&["one", "two"]);
    dialogue.setup.limits.output_buffer = config::Size(0);
    dialogue.run("C: a FETCH 1:2 UID\nS: * 1 FETCH (UID 1)\nS: * 2 FETCH (UID 2)\nS: a OK …");
}
