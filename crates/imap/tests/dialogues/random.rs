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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_octets_in_any_pieces(input in input(), pieces in 1_usize..40, start in prop_oneof![Just(""), Just("INBOX")]) {
        let whole = check(&input, input.len(), start)?;
        let split = check(&input, pieces, start)?;
        prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&split));
    }
}
