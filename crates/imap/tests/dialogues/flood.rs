//! More than the output should hold.

use crate::harness::Dialogue;

#[test]
fn a_large_mailbox_is_told_piece_by_piece() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    for _ in 0..5_000 {
        account.deliver("INBOX", b"Subject: x\n\n");
    }
    let client = dialogue.client(1);
    client.send(b"a FETCH 1:* (FLAGS UID INTERNALDATE)\r\nb STORE 1:* +FLAGS (\\Deleted)\r\nc EXPUNGE\r\n", &account);
    let output = String::from_utf8(client.take()).unwrap();
    assert_eq!(output.matches(" FETCH (").count(), 10_000);
    assert_eq!(output.matches(" EXPUNGE\r\n").count(), 5_000);
    assert!(output.ends_with("c OK Expunge completed.\r\n"));
    assert!(client.most < 100_000, "{}", client.most);
}

#[test]
fn many_commands_at_once_are_answered_in_order() {
    let mut dialogue = Dialogue::within("INBOX");
    let account = dialogue.account.clone();
    let client = dialogue.client(1);
    let commands: String = (0..20_000).map(|n| format!("t{n} NOOP\r\n")).collect();
    client.send(commands.as_bytes(), &account);
    let expected: String = (0..20_000).map(|n| format!("t{n} OK NOOP completed.\r\n")).collect();
    assert!(client.take() == expected.as_bytes());
    assert!(client.most < 100_000, "{}", client.most);
}
