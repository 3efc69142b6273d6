//! Properties that hold for every message, however broken: nothing panics, answers are well-formed IMAP, and the sizes that
//! are counted are those of the octets that are shown.

use mime::thread::{Algorithm, Message, thread};
use mime::{Facts, Kind, Links, Needle, Section, Structure, eol, matches_header};
use proptest::prelude::*;

/// Pieces of which broken messages are made.
const PIECES: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    "=",
    "\"",
    "\\",
    "(",
    ")",
    "<",
    ">",
    "@",
    ",",
    "[",
    "]",
    ".",
    "--",
    "--b",
    "--b--",
    "--bb\n",
    "é",
    "\n\n",
    "From: ",
    "To: a@b",
    "Subject: ",
    "=?utf-8?Q?=C3=BC?=",
    "=?x?B?",
    "?=",
    "Date: 1 Jan 2020 00:00 +0000",
    "Message-ID: <a@b>",
    "References: <c@d>",
    "Content-Type: multipart/mixed; boundary=b\n\n",
    "Content-Type: multipart/digest; boundary=bb\n\n",
    "Content-Type: message/rfc822\n\n",
    "Content-Type: text/plain; charset=",
    "iso-8859-1",
    "utf-16",
    "name*0*=utf-8''%c3",
    "; name*1*=%bc",
    "Content-Transfer-Encoding: ",
    "base64\n",
    "text/html\n\n<p>",
    "<!--",
    "&amp;",
    "<blockquote>",
    "utf-7\n\n+AGE",
    "quoted-printable\n",
    "Content-Disposition: attachment; filename=",
    "Content-Language: en, de\n",
    "Content-ID: ",
    "=3D",
    "=\n",
    "QUJD",
    "word",
];

fn message() -> impl Strategy<Value = Vec<u8>> {
    let made = proptest::collection::vec(proptest::sample::select(PIECES), 0..80).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![8 => made, 1 => proptest::collection::vec(any::<u8>(), 0..400)]
}

/// Reads one value in IMAP syntax; `None` if it is none. Depth is bounded by the message's.
fn value(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b'(' => {
            let mut rest = &text[1..];
            while !rest.starts_with(b")") {
                rest = value(rest.strip_prefix(b" ").unwrap_or(rest))?;
            }
            Some(&rest[1..])
        }
        b'"' => {
            let mut rest = &text[1..];
            loop {
                rest = match rest {
                    [b'"', after @ ..] => return Some(after),
                    [b'\\', b'"' | b'\\', after @ ..] | [0x20..=0x7e, after @ ..] => after,
                    _ => return None,
                };
            }
        }
        b'{' => {
            let end = text.iter().position(|&b| b == b'}')?;
            let length: usize = std::str::from_utf8(&text[1..end]).ok()?.parse().ok()?;
            let (content, rest) = text[end + 1..].strip_prefix(b"\r\n")?.split_at_checked(length)?;
            (!content.contains(&0)).then_some(rest)
        }
        b'N' => text.strip_prefix(b"NIL"),
        b'0'..=b'9' => Some(&text[text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len())..]),
        _ => None,
    }
}

fn wire(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    eol::push_wire(raw, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn answers_are_well_formed(raw in message()) {
        let facts = Facts::of(&raw);
        for answer in [&facts.envelope, &facts.body, &facts.bodystructure] {
            prop_assert_eq!(value(answer), Some(&b""[..]), "{}", String::from_utf8_lossy(answer));
        }
        prop_assert!(facts.bodystructure.len() < 1000 + 400 * raw.len());
        prop_assert_eq!(Facts::decode(&facts.encode()), Some(facts));
    }

    #[test]
    fn sizes_are_those_of_what_is_shown(raw in message()) {
        let structure = Structure::parse(&raw);
        prop_assert_eq!(structure.octets(), wire(&raw).len() as u64);
        for part in &structure.parts {
            for (size, text) in [(part.header_size, structure.header(part)), (part.body_size, structure.body(part))] {
                prop_assert_eq!(size, eol::size(text));
                prop_assert_eq!(size.octets, wire(text).len() as u64);
            }
            prop_assert!(part.children.len() <= 1 || part.kind == Kind::Multipart);
        }
    }

    /// A body without CR means the same with CRLF and with LF line ends.
    #[test]
    fn line_ends_make_no_difference(raw in message()) {
        let lf: Vec<u8> = raw.into_iter().filter(|&b| b != b'\r').collect();
        let crlf = wire(&lf.iter().map(|&b| if b == 0 { b'0' } else { b }).collect::<Vec<_>>());
        let lf: Vec<u8> = lf.into_iter().map(|b| if b == 0 { b'0' } else { b }).collect();
        let (one, other) = (Facts::of(&lf), Facts::of(&crlf));
        prop_assert_eq!(String::from_utf8_lossy(&one.bodystructure), String::from_utf8_lossy(&other.bodystructure));
        prop_assert_eq!(String::from_utf8_lossy(&one.envelope), String::from_utf8_lossy(&other.envelope));
        prop_assert_eq!(one.size, other.size);
        prop_assert_eq!((one.keys, one.links), (other.keys, other.links));
    }

    #[test]
    fn nothing_panics(raw in message(), path in proptest::collection::vec(0_u32..4, 0..4), text in ".{0,6}", name in "[a-zA-Z-]{0,8}") {
        let structure = Structure::parse(&raw);
        let needle = Needle::new(&text);
        let _ = (structure.matches_body(&needle), structure.matches_text(&needle), matches_header(&raw, &name, &needle), Links::of(&raw));
        let mut out = Vec::new();
        let done = structure.binary(&path, &mut out);
        prop_assert_eq!(structure.binary_size(&path), done.map(|()| out.len() as u64));
        for tail in ["", "HEADER", "TEXT", "MIME", "HEADER.FIELDS (From Subject)", "HEADER.FIELDS.NOT (From)"] {
            let spec: Vec<String> = path.iter().map(u32::to_string).chain((!tail.is_empty()).then(|| tail.to_owned())).collect();
            if let Some(section) = Section::parse(&spec.join(".")) {
                prop_assert!(structure.section(&section).len() <= raw.len() + 2);
            }
        }
        prop_assert!(structure.preview().chars().count() <= 200);
        for part in &structure.parts {
            prop_assert!(structure.text(part, 1000).len() <= 3 * raw.len() + 8);
        }
    }
}

/// Messages of a small mailbox as `(id, references, subject, is_reply, date)`; ids and subjects repeat.
fn mailbox() -> impl Strategy<Value = Vec<(u8, Vec<u8>, u8, bool, i64)>> {
    proptest::collection::vec((0_u8..12, proptest::collection::vec(0_u8..14, 0..4), 0_u8..4, any::<bool>(), 0_i64..6), 0..16)
}

proptest! {
    #[test]
    fn threads_hold_every_message_once(messages in mailbox()) {
        let id = |id: &u8| format!("{id}@x").into_bytes();
        let all: Vec<_> = messages
            .iter()
            .map(|(own, references, subject, ..)| {
                let links = Links { message_id: (*own > 0).then(|| id(own)), references: references.iter().map(id).collect() };
                (links, vec![b's'; usize::from(*subject)])
            })
            .collect();
        let input: Vec<_> = all
            .iter()
            .zip(&messages)
            .zip(1..)
            .map(|(((links, subject), (_, _, _, is_reply, date)), number)| Message { number, links, subject, is_reply: *is_reply, date: *date })
            .collect();
        for algorithm in [Algorithm::References, Algorithm::Refs, Algorithm::OrderedSubject] {
            let mut out = Vec::new();
            thread(algorithm, &input).write(&mut out);
            let text = String::from_utf8(out).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let mut numbers: Vec<u32> = text.split(['(', ')', ' ']).filter_map(|word| word.parse().ok()).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (1..=input.len() as u32).collect::<Vec<_>>(), "{:?} {}", algorithm, text);
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                rest = value(rest).ok_or_else(|| TestCaseError::fail(text.clone()))?;
            }
            prop_assert!(!text.contains("()") && !text.contains("( ") && !text.contains(" )") && !text.contains("  "), "{}", text);
        }
    }
}
