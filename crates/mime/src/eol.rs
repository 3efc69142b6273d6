//! Line ends. A Maildir file may have LF, CRLF or both; IMAP shows every line end as CRLF and counts it as two octets.
//!
//! "Wire" is the message as IMAP shows it, "raw" the file's own bytes. Nothing here makes a whole wire copy unless it is
//! asked for one: sizes are counted, and a window of octets is cut out line by line.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// How a NUL is shown where IMAP forbids it (RFC 3501 section 4.3); the size stays the same. Dovecot's choice.
const NUL_SHOWN: u8 = 0x80;

/// A line longer than this is handled in pieces, so that a window into it costs no look at the whole line.
const PIECE: usize = 1 << 16;

/// So many octets are copied where most lines are shorter.
const WIDE: usize = 80;

/// From so many octets on it is worth to look at a stretch of lines at once.
const STRETCH: usize = 256;

/// The size of a stretch of message in its wire form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Octets, each line end counted as two.
    pub octets: u64,
    /// Line ends.
    pub lines: u64,
}

/// Counts the octets and lines of `raw` in wire form.
#[must_use]
pub fn size(raw: &[u8]) -> Size {
    let (lines, bare) = if memchr(b'\r', raw).is_none() {
        let lines = memchr_iter(b'\n', raw).count();
        (lines, lines)
    } else {
        memchr_iter(b'\n', raw).fold((0, 0), |(lines, bare), at| (lines + 1, bare + usize::from(is_bare(raw, at))))
    };
    Size { octets: (raw.len() + bare) as u64, lines: lines as u64 }
}

/// Whether the LF at `at` lacks its CR.
pub(crate) fn is_bare(raw: &[u8], at: usize) -> bool {
    at == 0 || raw[at - 1] != b'\r'
}

/// Appends `raw` with CRLF line ends, everything else as it is.
pub fn push_crlf(raw: &[u8], out: &mut Vec<u8>) {
    push_stretch(raw, 0..raw.len(), out);
}

/// Appends a stretch of `raw` with CRLF line ends. It may begin and end anywhere in a line.
fn push_stretch(raw: &[u8], stretch: Range<usize>, out: &mut Vec<u8>) {
    out.reserve(stretch.len() + stretch.len() / 32 + WIDE);
    let mut done = stretch.start;
    for at in memchr_iter(b'\n', &raw[stretch.clone()]).map(|at| stretch.start + at) {
        if is_bare(raw, at) {
            push_line(raw, done..at, out);
            out.extend_from_slice(b"\r\n");
            done = at + 1;
        }
    }
    out.extend_from_slice(&raw[done..stretch.end]);
}

/// Appends a part of `raw` that is likely short: copying a fixed number of octets, with some that do not belong to it, is
/// faster than copying as many as there are.
#[inline]
fn push_line(raw: &[u8], line: Range<usize>, out: &mut Vec<u8>) {
    match raw[line.start..].first_chunk::<WIDE>() {
        Some(wide) if line.len() <= WIDE => {
            let end = out.len() + line.len();
            out.extend_from_slice(wide);
            out.truncate(end);
        }
        _ => out.extend_from_slice(&raw[line]),
    }
}

/// Appends `raw` in wire form: CRLF line ends, and NUL shown as 0x80.
pub fn push_wire(raw: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    push_crlf(raw, out);
    hide_nul(&mut out[start..]);
}

/// Replaces each NUL.
fn hide_nul(mut text: &mut [u8]) {
    while let Some(at) = memchr(0, text) {
        text[at] = NUL_SHOWN;
        text = &mut text[at + 1..];
    }
}

/// Octets `offset` to `offset + count` of a wire form, as in `BODY[]<offset.count>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First octet wanted.
    pub offset: u64,
    /// How many at most.
    pub count: u64,
}

/// A known pair of places in raw and wire form, at the start of a line or piece. Kept between two windows into the same
/// bytes, it spares the second the way to the first's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    raw: usize,
    wire: u64,
}

/// Appends a window of `raw`'s wire form, and tells where the next one can begin. `from` is a cursor that an earlier
/// call gave for the same bytes, or the default.
pub fn push_window(raw: &[u8], from: Cursor, window: Window, out: &mut Vec<u8>) -> Cursor {
    let start = out.len();
    let end = window.offset.saturating_add(window.count);
    let usable = from.wire <= window.offset && from.raw <= raw.len();
    let mut here = if usable { from } else { Cursor::default() };
    while here.raw < raw.len() {
        // An octet is at most two in wire form: half of what is wanted fits for certain.
        let sure = end.saturating_sub(here.wire).div_euclid(2).min((raw.len() - here.raw).min(PIECE) as u64) as usize;
        if here.wire >= window.offset && sure >= STRETCH {
            let before = out.len();
            push_stretch(raw, here.raw..here.raw + sure, out);
            here = Cursor { raw: here.raw + sure, wire: here.wire + (out.len() - before) as u64 };
            continue;
        }
        let piece = &raw[here.raw..raw.len().min(here.raw + PIECE)];
        let lf = memchr(b'\n', piece);
        let piece = &piece[..lf.map_or(piece.len(), |at| at + 1)];
        let bare = lf.is_some_and(|at| is_bare(raw, here.raw + at));
        let next = Cursor { raw: here.raw + piece.len(), wire: here.wire + piece.len() as u64 + u64::from(bare) };
        if next.wire > window.offset {
            let low = window.offset.saturating_sub(here.wire);
            let high = end.min(next.wire) - here.wire;
            push_piece(piece, bare, low as usize, high as usize, out);
        }
        if next.wire > end {
            break;
        }
        here = next;
    }
    hide_nul(&mut out[start..]);
    here
}

/// Appends octets `low..high` of one piece, whose final LF gets a CR if it is bare.
fn push_piece(piece: &[u8], bare: bool, low: usize, high: usize, out: &mut Vec<u8>) {
    if low >= high {
        return;
    }
    if !bare {
        out.extend_from_slice(&piece[low..high]);
        return;
    }
    let text = piece.len() - 1;
    out.extend_from_slice(&piece[low.min(text)..high.min(text)]);
    if low <= text && high > text {
        out.push(b'\r');
    }
    if high > text + 1 {
        out.push(b'\n');
    }
}

/// The end of the header that `raw` begins with: behind its blank line, or at the end of `raw` if there is none.
#[must_use]
pub fn header_end(raw: &[u8]) -> usize {
    let mut line = 0;
    loop {
        if let Some(length) = blank_line(&raw[line..]) {
            return line + length;
        }
        match memchr(b'\n', &raw[line..]) {
            Some(at) => line += at + 1,
            None => return raw.len(),
        }
    }
}

/// The length of the blank line that `text` begins with, if it does.
pub(crate) fn blank_line(text: &[u8]) -> Option<usize> {
    match text {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_wire(raw, &mut out);
        out
    }

    #[test]
    fn shows_every_line_end_as_crlf() {
        for (raw, expected) in [
            (&b"a\nb\r\nc"[..], &b"a\r\nb\r\nc"[..]),
            (b"\n\n", b"\r\n\r\n"),
            (b"\r\r\n\r", b"\r\r\n\r"),
            (b"", b""),
            (b"nul\0\n", b"nul\x80\r\n"),
        ] {
            assert_eq!(wire(raw), expected);
            assert_eq!(size(raw), Size { octets: expected.len() as u64, lines: memchr_iter(b'\n', raw).count() as u64 });
        }
    }

    #[test]
    fn finds_the_end_of_the_header() {
        for (raw, end) in [("a: b\n\nc", 6), ("a: b\r\n\r\nc", 8), ("a: b\n", 5), ("\nx", 1), ("", 0), ("a\r\n \r\n\nb", 7)] {
            assert_eq!(header_end(raw.as_bytes()), end, "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn a_window_is_a_piece_of_the_whole(raw in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x'), Just(0)], 0..60),
                                            times in prop_oneof![Just(1_usize), Just(40)],
                                            cuts in proptest::collection::vec((0_u64..70, 0_u64..30), 1..6)) {
            let raw = raw.repeat(times);
            let cuts = cuts.into_iter().map(|(offset, count)| (offset * times as u64, count * times as u64));
            let whole = wire(&raw);
            prop_assert_eq!(whole.len() as u64, size(&raw).octets);
            let mut cursor = Cursor::default();
            for (offset, count) in cuts {
                let mut out = Vec::new();
                cursor = push_window(&raw, cursor, Window { offset, count }, &mut out);
                let low = whole.len().min(offset as usize);
                let high = whole.len().min((offset + count) as usize);
                prop_assert_eq!(&out[..], &whole[low..high]);
            }
        }
    }
}
