//! The network may cut what the client sends anywhere: the session does the same.

use proptest::prelude::*;

use super::*;

/// Groups of commands, as a client that waits where it has to would send them.
const GROUPS: [&str; 7] = [
    "EHLO client.test\r\n",
    "MAIL FROM:<s@client.test>\r\nRCPT TO:<nobody@local.test>\r\nRCPT TO:<joe@local.test>\r\nDATA\r\n",
    "Received: a\r\nReturn-Path: <x>\r\n y\r\nSubject: \0\r\n\r\n..\r\n..x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<joe@local.test>\r\nBDAT 7\r\na\r\n.\r\n\rBDAT 4 LAST\r\n\nb\r\nBDAT 2\r\n\r\n",
    "MAIL FROM:<>\r\nRCPT TO:<joe@local.test>\r\nXYZZY\r\n\r\nDATA\r\n",
    "first\n.\r\nMAIL FROM:<x>\r\n.\r\nNOOP\r\nMAIL FROM:<>\r\nRCPT TO:<ann@local.test>\r\nDATA\r\n",
    "no header\r\n\r\n.\r\nRSET\r\n",
    "NOOP x\ny\r\nQUIT\r\n",
];

/// What the server says, what it keeps, and what it notes.
fn outcome(cuts: &[usize]) -> (String, Vec<Vec<u8>>, Vec<String>) {
    let mut lab = Lab::new(settings(Role::Relay, |_| ()), false);
    lab.pass(200);
    let mut cuts = cuts.iter().cycle();
    for group in GROUPS {
        let mut rest = group.as_bytes();
        while !rest.is_empty() {
            let cut = cuts.next().copied().unwrap_or(rest.len()).clamp(1, rest.len());
            let (now, later) = rest.split_at(cut);
            lab.send(now);
            rest = later;
        }
    }
    let said = lab.said();
    let ids: Vec<_> = lab.messages.iter().map(|(envelope, _)| envelope.id.to_string()).collect();
    let hide = |text: String| ids.iter().fold(text, |text, id| text.replace(id, "ID"));
    let messages = lab.messages.iter().map(|(_, content)| hide(String::from_utf8(content.clone()).unwrap()).into_bytes());
    (hide(said), messages.collect(), lab.log)
}

#[test]
fn whole_groups_do_what_they_should() {
    let (said, messages, log) = outcome(&[]);
    let codes: Vec<_> = said.lines().map(|line| &line[..4]).filter(|code| !code.ends_with('-')).collect();
    let codes = codes.join("");
    assert_eq!(codes, "220 250 250 550 250 354 250 250 250 250 250 503 250 250 500 500 354 550 250 250 250 354 250 250 500 ");
    assert_eq!(messages.len(), 3);
    assert!(messages[0].ends_with(b"+0000\nReceived: a\nSubject: \0\n\n.\n.x\n"));
    assert!(messages[1].ends_with(b"+0000\n\na\n.\n\nb\n"));
    assert!(messages[2].ends_with(b"+0000\n\nno header\n\n"));
    assert_eq!(log, ["dropped: 550 5.6.0 Lone LF in the message: lines have to end in CR LF", "a lone LF in a command line"]);
}

proptest! {
    #[test]
    fn cuts_change_nothing(cuts in prop::collection::vec(1usize..30, 1..40)) {
        prop_assert_eq!(outcome(&cuts), outcome(&[]));
    }

    #[test]
    fn no_client_is_too_strange(input in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..60), cut in 1usize..50) {
        let mut lab = Lab::greeted(|limits| limits.max_message_size = config::Size(300));
        for piece in input.concat().as_bytes().chunks(cut) {
            lab.send(piece);
        }
        lab.session.hang_up();
        lab.run();
        prop_assert!(lab.open.is_none());
        prop_assert_eq!(lab.log.iter().filter(|entry| !entry.starts_with("dropped") && *entry != "starttls").count(), 1);
        for line in String::from_utf8(lab.written).unwrap().split_terminator("\r\n") {
            prop_assert!(line.len() <= 510 && line.is_ascii() && line[..3].parse::<u16>().is_ok(), "{}", line);
        }
    }
}

/// What strange clients are made of.
const WORDS: [&str; 26] = [
    "EHLO x\r\n",
    "HELO x\r\n",
    "MAIL FROM:<>\r\n",
    "MAIL FROM:<a@b.test> SIZE=9\r\n",
    "RCPT TO:<joe@local.test>\r\n",
    "RCPT TO:<ann@local.test>\r\n",
    "RCPT TO:<x@local.test>\r\n",
    "DATA\r\n",
    "BDAT 3\r\n",
    "BDAT 5 LAST\r\n",
    "BDAT 400\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    "STARTTLS\r\n",
    "AUTH PLAIN\r\n",
    "\r\n",
    ".\r\n",
    "\r\n.\r\n",
    ".",
    "\r",
    "\n",
    "text",
    "Subject: x\r\n",
    "\0",
    "\u{fc}",
];
