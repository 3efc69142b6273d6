//! Messages: their structure, and all that IMAP shows of them, stays bounded and consistent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mime::{Envelope, Facts, Links, Needle, Section, Structure, eol};

const SECTIONS: [&str; 9] = ["", "HEADER", "TEXT", "1", "1.MIME", "2", "2.HEADER", "1.1.TEXT", "HEADER.FIELDS.NOT (From Subject)"];

fuzz_target!(|raw: &[u8]| {
    let structure = Structure::parse(raw);
    let (mut short, mut long, mut envelope) = (Vec::new(), Vec::new(), Vec::new());
    structure.bodystructure(&mut short, false);
    structure.bodystructure(&mut long, true);
    structure.envelope(&mut envelope);
    // A part costs a few dozen octets beside what is quoted of it, and each octet of the message may be quoted a few times.
    assert!(long.len() <= raw.len() * 40 + 4096, "{} of {}", long.len(), raw.len());
    assert!(short.starts_with(b"(") && short.ends_with(b")") && envelope.starts_with(b"("));
    for spec in SECTIONS {
        let section = Section::parse(spec).unwrap();
        assert!(structure.section(&section).len() <= raw.len() * 2 + 4);
    }
    for path in [&[][..], &[1], &[2], &[1, 1]] {
        let mut out = Vec::new();
        if structure.binary(path, &mut out).is_ok() {
            assert_eq!(structure.binary_size(path).ok(), Some(out.len() as u64));
        }
    }
    let facts = Facts::of(raw);
    assert_eq!(Facts::decode(&facts.encode()).map(|again| again.encode()), Some(facts.encode()));
    let needle = Needle::new("text");
    let _ = (structure.matches_text(&needle), structure.matches_body(&needle), mime::matches_header(raw, "subject", &needle));
    let mut wire = Vec::new();
    eol::push_crlf(raw, &mut wire);
    assert_eq!(eol::size(raw).octets, wire.len() as u64);
    let _ = (Envelope::of(raw), Links::of(raw), mime::addresses(raw), mime::decode_words(raw), Facts::decode(raw));
});
