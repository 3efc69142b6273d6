//! UTF-7 (RFC 2152). The web has given it up, and `encoding_rs` with it, but old Outlook wrote it.

/// Decodes text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Utf7 {
    /// Within `+...-`: bits that are gathered, and how many.
    shifted: Option<(u32, u32)>,
    /// Whether something stood between `+` and `-`; nothing means a plus sign.
    filled: bool,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Utf7 {
    /// Appends the text of a piece.
    pub(crate) fn feed(&mut self, piece: &[u8], out: &mut String) {
        for &b in piece {
            match (self.shifted, value(b)) {
                (None, _) if b == b'+' => (self.shifted, self.filled) = (Some((0, 0)), false),
                (None, _) => out.push(if b.is_ascii() { char::from(b) } else { '\u{fffd}' }),
                (Some((bits, count)), Some(value)) => self.bits(bits << 6 | value, count + 6, out),
                (Some(_), None) => {
                    self.shifted = None;
                    self.high = None;
                    match b {
                        b'-' if self.filled => {}
                        b'-' => out.push('+'),
                        _ => out.push(if b.is_ascii() { char::from(b) } else { '\u{fffd}' }),
                    }
                }
            }
        }
    }

    fn bits(&mut self, bits: u32, count: u32, out: &mut String) {
        self.filled = true;
        if count < 16 {
            self.shifted = Some((bits, count));
            return;
        }
        self.unit((bits >> (count - 16)) as u16, out);
        self.shifted = Some((bits & ((1 << (count - 16)) - 1), count - 16));
    }

    fn unit(&mut self, unit: u16, out: &mut String) {
        let units = self.high.take().into_iter().chain([unit]);
        if (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return;
        }
        out.extend(char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')));
    }
}

/// The value of an octet of the base64 alphabet.
fn value(b: u8) -> Option<u32> {
    let value = match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        for (text, expected) in
            [("Gr+APwA3w-e +-", "Grüße +"), ("Hi Mom +Jjo-!", "Hi Mom ☺!"), ("+2D3eAA-", "😀"), ("+AGE.b", "a.b"), ("+", "")]
        {
            let mut out = String::new();
            let mut decoder = Utf7::default();
            for piece in text.as_bytes().chunks(2) {
                decoder.feed(piece, &mut out);
            }
            assert_eq!(out, expected, "{text:?}");
        }
    }
}
