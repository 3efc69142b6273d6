//! Octets at random, in any pieces: the session must not panic, must not stall, and must answer in the form of IMAP.

use proptest::prelude::*;

use crate::harness::{Client, Dialogue, Setup};

/// Pieces of commands, good and bad.
const WORDS: &[&str] = &[
    "a ",
    "b1 ",
    "* ",
    "\r\n",
    "\n",
    " ",
    "  ",
    "(",
    ")",
    "\"",
    "\\",
    "{3}\r\n",
    "{3+}\r\n",
    "~{3+}\r\n",
    "{0+}\r\n",
    "{99999999999+}\r\n",
    "abc",
    "INBOX",
    "Box",
    "1:*",
    "1",
    "2,4:3",
    "*",
    "$",
    "UID ",
    "LOGIN user pass\r\n",
    "SELECT INBOX\r\n",
    "EXAMINE Box\r\n",
    "FETCH ",
    "1:* (FLAGS UID)\r\n",
    "BODY[]",
    "BODY.PEEK[HEADER.FIELDS (From)]<0.5>",
    "BODYSTRUCTURE",
    "ENVELOPE\r\n",
    "BINARY[1]\r\n",
    "STORE 1 ",
    "+FLAGS (\\Seen x)\r\n",
    "SEARCH ",
    "RETURN (MIN SAVE) ",
    "OR SEEN NOT ",
    "BODY x\r\n",
    "CHARSET UTF-8 ",
    "APPEND INBOX ",
    "(\\Seen) ",
    "\" 1-Jan-2020 00:00:00 +0000\" ",
    "COPY 1 Box\r\n",
    "MOVE 1:2 Box\r\n",
    "EXPUNGE\r\n",
    "CREATE Box\r\n",
    "DELETE Box\r\n",
    "RENAME Box Other\r\n",
    "LIST ",
    "\"\" *\r\n",
    "LSUB \"\" %\r\n",
    "STATUS INBOX (MESSAGES)\r\n",
    "IDLE\r\n",
    "DONE\r\n",
    "ENABLE QRESYNC\r\n",
    "(CHANGEDSINCE 1 VANISHED)\r\n",
    "(QRESYNC (1001 1))\r\n",
    "AUTHENTICATE PLAIN\r\n",
    "AHVzZXIAcGFzcw==\r\n",
    "CLOSE\r\n",
    "NOOP\r\n",
    "LOGOUT\r\n",
    "\u{e9}",
    "\0",
    "&AOk-",
];

fn input() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => proptest::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// Whether output is a sequence of complete responses.
fn well_formed(mut output: &[u8]) -> Result<(), String> {
    while !output.is_empty() {
        let mut line = 0;
        loop {
            let end = output[line..].windows(2).position(|two| two == b"\r\n").ok_or("no line end")? + line;
            let text = String::from_utf8_lossy(&output[line..end]).into_owned();
            line = end + 2;
            let Some(size) = text.strip_suffix('}').and_then(|t| t.rsplit_once('{')).and_then(|(_, n)| n.parse::<usize>().ok()) else {
                break;
            };
            line += size;
            if line > output.len() {
                return Err(format!("literal beyond the end: {text}"));
            }
        }
        let first = output[..line].split(|b| *b == b' ').next().unwrap_or_default();
        if first != b"*" && first != b"+" && !first.iter().all(u8::is_ascii_graphic) {
            return Err(format!("neither tagged nor untagged: {}", String::from_utf8_lossy(&output[..line])));
        }
        output = &output[line..];
    }
    Ok(())
}

fn check(input: &[u8], pieces: usize, start: &str) -> Result<Vec<u8>, TestCaseError> {
    let mut dialogue = if start.is_empty() { Dialogue::new(Setup::default()) } else { Dialogue::within(start) };
    dialogue.deliver(&["one", "two"]);
    let account = dialogue.account.clone();
    let client: &mut Client = dialogue.client(1);
    input.chunks(pieces.max(1)).for_each(|piece| client.send(piece, &account));
    let output = client.take();
    well_formed(&output).map_err(|error| TestCaseError::fail(format!("{error} in {}", String::from_utf8_lossy(&output))))?;
    Ok(output)
}

/// Whole commands, all of them well-formed.
const COMMANDS: &[&str] = &[
    "NOOP",
    "CHECK",
    "FETCH 1:* (FLAGS UID)",
    "FETCH * BODY[]",
    "UID FETCH 1:* (FLAGS MODSEQ)",
    "UID FETCH 1:* FLAGS (CHANGEDSINCE 3)",
    "FETCH 2 (ENVELOPE BODYSTRUCTURE BODY.PEEK[TEXT]<1.3>)",
    "STORE 1 +FLAGS (\\Deleted)",
    "STORE 1:* -FLAGS.SILENT (\\Seen x)",
    "UID STORE 2:4 FLAGS (\\Flagged y)",
    "STORE 1 (UNCHANGEDSINCE 4) +FLAGS (\\Draft)",
    "SEARCH UNSEEN",
    "UID SEARCH RETURN (SAVE COUNT) NOT DELETED",
    "SEARCH RETURN (ALL MIN) $",
    "SORT (REVERSE SUBJECT) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "EXPUNGE",
    "UID EXPUNGE 1:3",
    "COPY 1 INBOX",
    "UID COPY 1:* Box",
    "MOVE 1 Box",
    "UID MOVE 2:3 INBOX",
    "APPEND INBOX (\\Seen) {5+}\r\na: b\n",
    "APPEND Box {4+}\r\na:b\n {3+}\r\nc:d",
    "STATUS INBOX (MESSAGES UNSEEN HIGHESTMODSEQ)",
    "CREATE Box",
    "LIST \"\" *",
    "ENABLE QRESYNC",
    "ENABLE CONDSTORE",
    "IDLE\r\nDONE",
    "SELECT INBOX",
    "EXAMINE INBOX",
];

/// What a client knows of its mailbox by counting.
#[derive(Debug, Default)]
struct Count {
    messages: usize,
}

impl Count {
    /// Takes the responses to one command in and says what is wrong with them.
    fn take(&mut self, tag: &str, command: &str, output: &str) -> Result<(), String> {
        let keeps = ["FETCH", "STORE", "SEARCH", "SORT", "THREAD"].iter().any(|verb| command.starts_with(verb));
        for line in output.lines().filter(|line| line.starts_with("* ")) {
            let words: Vec<_> = line.split(' ').collect();
            let number = words[1].parse::<usize>();
            match (number, words.get(2).copied()) {
                (Ok(n), Some("EXISTS")) if n >= self.messages || command.ends_with("INBOX") => self.messages = n,
                (Ok(n), Some("EXPUNGE")) if (1..=self.messages).contains(&n) && !keeps => self.messages -= 1,
                (Ok(n), Some("FETCH")) if (1..=self.messages).contains(&n) => {}
                (Ok(_), Some("RECENT")) | (Err(_), _) => {}
                _ => return Err(format!("{line} with {} messages after {command}", self.messages)),
            }
            if words[1] == "VANISHED" && words[2] != "(EARLIER)" {
                let size = |range: &str| {
                    range.split_once(':').map_or(1, |(a, b)| b.parse::<usize>().unwrap_or(0) + 1 - a.parse::<usize>().unwrap_or(0))
                };
                let gone: usize = words[2].split(',').map(size).sum();
                self.messages = self.messages.checked_sub(gone).filter(|_| !keeps).ok_or(format!("{line} after {command}"))?;
            }
        }
        let tagged: Vec<_> = output.lines().filter(|line| line.starts_with(tag)).collect();
        match tagged[..] {
            [only] if output.trim_end().ends_with(only) && !only.contains(" BAD ") || only.contains("fewer messages") => Ok(()),
            _ => Err(format!("{tagged:?} after {command}")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), ..ProptestConfig::default() })]

    #[test]
    fn any_octets_in_any_pieces(input in input(), pieces in 1_usize..40, start in prop_oneof![Just(""), Just("INBOX")]) {
        let whole = check(&input, input.len(), start)?;
        let split = check(&input, pieces, start)?;
        prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&split));
    }

    #[test]
    fn two_sessions_never_lose_count(script in proptest::collection::vec((1_u32..3, 0..COMMANDS.len()), 1..60)) {
        let mut dialogue = Dialogue::within("INBOX");
        dialogue.deliver(&["one", "two", "three", "four", "five"]);
        let account = dialogue.account.clone();
        let mut counts = [Count { messages: 5 }, Count { messages: 5 }];
        for client in [1, 2] {
            dialogue.client(client);
        }
        for (at, (number, command)) in script.into_iter().enumerate() {
            let (tag, command) = (format!("t{at} "), COMMANDS[command]);
            let client = dialogue.client(number);
            client.send(format!("{tag}{command}\r\n").as_bytes(), &account);
            let output = String::from_utf8_lossy(&client.take()).into_owned();
            prop_assert!(well_formed(output.as_bytes()).is_ok());
            counts[number as usize - 1].take(&tag, command, &output).map_err(|error| TestCaseError::fail(format!("{error}\n{output}")))?;
        }
        for number in [1, 2] {
            let client = dialogue.client(number);
            client.send(b"end NOOP\r\n", &account);
            let output = String::from_utf8_lossy(&client.take()).into_owned();
            let count = &mut counts[number as usize - 1];
            count.take("end ", "NOOP", &output).map_err(TestCaseError::fail)?;
            let there = account.lock().by_name("INBOX").map(|(_, mailbox)| mailbox.messages.len());
            prop_assert_eq!(Ok(count.messages), there);
        }
    }
}
