//! What the fuzz targets share: cutting the input into the pieces in which a network may bring it.
//!
//! Each target feeds strangers' bytes to one parser or session and checks what must hold for all of them: no panic, an end, bounded and
//! well-formed answers, the same result however the bytes are cut. `fuzz/run` runs them.

/// Takes the first octet off as a choice.
pub fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// Cuts `data` into pieces whose lengths follow from `seed`: whole, octet by octet, or mixed.
pub fn pieces(data: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    let mut state = u32::from(seed).wrapping_mul(2_654_435_761) | 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = match seed % 4 {
            0 => rest.len(),
            1 => 1,
            _ => 1 + (state >> 16) as usize % 40,
        };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(piece)
    })
}

/// Fails unless the text consists of whole lines with CR LF ends and no lone CR or LF.
pub fn assert_lines(text: &[u8]) {
    assert!(text.is_empty() || text.ends_with(b"\r\n"), "unfinished line: {}", text.escape_ascii());
    for (at, octet) in text.iter().enumerate() {
        match octet {
            b'\r' => assert_eq!(text.get(at + 1), Some(&b'\n'), "lone CR: {}", text.escape_ascii()),
            b'\n' => assert!(at > 0 && text[at - 1] == b'\r', "lone LF: {}", text.escape_ascii()),
            _ => {}
        }
    }
}
