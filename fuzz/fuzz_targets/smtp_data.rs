//! The text of DATA and BDAT: the same result however it is cut, and the same as a slow reading octet by octet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::Decoder;

/// What a text came to: the lines handed on, how many octets were taken, whether the end was found, and whether there was a flaw.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    text: Vec<u8>,
    taken: usize,
    ended: bool,
    flawed: bool,
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, mut decoder: Decoder) -> Decoded {
    let mut decoded = Decoded { text: Vec::new(), taken: 0, ended: false, flawed: false };
    for piece in pieces {
        let fed = decoder.feed(piece, |text, line_end| {
            decoded.text.extend_from_slice(text);
            decoded.text.extend(line_end.then_some(b'\n'));
        });
        decoded.taken += fed.taken;
        if fed.ended {
            decoded.ended = true;
            break;
        }
        assert_eq!(fed.taken, piece.len());
    }
    decoded.flawed = decoder.flaw().is_some();
    decoded
}

/// The rules of RFC 5321 section 4.5.2 line by line, for texts whose line ends are all CR LF.
fn by_lines(data: &[u8]) -> Option<Decoded> {
    let mut decoded = Decoded { text: Vec::new(), taken: 0, ended: false, flawed: false };
    let mut rest = data;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = &rest[..at];
        if line.contains(&b'\n') || line.contains(&b'\r') {
            return None;
        }
        decoded.taken += at + 2;
        if line == b"." {
            decoded.ended = true;
            return Some(decoded);
        }
        decoded.text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        decoded.text.push(b'\n');
        rest = &rest[at + 2..];
    }
    rest.is_empty().then_some(decoded)
}

fuzz_target!(|data: &[u8]| {
    let (seed, data) = fuzz::choice(data);
    let whole = decode(std::iter::once(data), Decoder::dotted());
    let cut = decode(fuzz::pieces(data, seed), Decoder::dotted());
    assert_eq!((whole.taken, whole.ended, whole.flawed), (cut.taken, cut.ended, cut.flawed));
    if !whole.flawed {
        assert_eq!(whole.text, cut.text);
        assert!(!whole.text.contains(&b'\r'));
    }
    if let Some(expected) = by_lines(data) {
        assert_eq!(whole, expected);
    }
    let plain = decode(fuzz::pieces(data, seed), Decoder::plain());
    assert!(!plain.ended && plain.taken == data.len());
});
