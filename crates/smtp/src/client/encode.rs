//! From content to the wire: LF becomes CR LF, dots are stuffed, and nothing goes out that some server could take for the
//! end of the data: no lone CR or LF, and no NUL, since there are servers that drop it and look at what is left.

use memchr::memchr3;

/// Encodes one message in any split.
#[derive(Clone, Debug)]
pub struct Encoder {
    line_start: bool,
    /// The last octet was a CR, about which the next one decides.
    after_cr: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { line_start: true, after_cr: false }
    }
}

impl Encoder {
    /// Adds the next piece of content to `out`. A lone CR becomes a space, a NUL is left out.
    pub fn feed(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let mut rest = content;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first != b'\n' {
                self.text(b" ", out);
            }
            let special = memchr3(b'\n', b'\r', 0, rest);
            let at = special.unwrap_or(rest.len());
            self.text(&rest[..at], out);
            match rest.get(at) {
                Some(b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    self.line_start = true;
                }
                Some(b'\r') => self.after_cr = true,
                _ => {}
            }
            rest = rest.get(at + 1..).unwrap_or_default();
        }
    }

    /// Adds the end of the data.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.after_cr) {
            self.text(b" ", out);
        }
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let Some(&first) = text.first() else { return };
        if std::mem::take(&mut self.line_start) && first == b'.' {
            out.push(b'.');
        }
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Decoder;

    fn encode(content: &[u8], step: usize) -> Vec<u8> {
        let mut encoder = Encoder::default();
        let mut out = Vec::new();
        for piece in content.chunks(step.max(1)) {
            encoder.feed(piece, &mut out);
        }
        encoder.finish(&mut out);
        out
    }

    fn check(content: &[u8], expected: &[u8]) {
        for step in 1..=content.len().max(1) {
            assert_eq!(encode(content, step), expected, "{content:?} by {step}");
        }
    }

    #[test]
    fn dots_are_stuffed_and_lines_ended() {
        check(b"", b".\r\n");
        check(b"a\n.\n..b\n\nc.\n", b"a\r\n..\r\n...b\r\n\r\nc.\r\n.\r\n");
        check(b".no end", b"..no end\r\n.\r\n");
    }

    #[test]
    fn nothing_goes_out_that_looks_like_an_end() {
        check(b"a\r\nb\n", b"a\r\nb\r\n.\r\n");
        check(b"a\rb\r", b"a b \r\n.\r\n");
        check(b"a\n\0.\0\nb\n", b"a\r\n..\r\nb\r\n.\r\n");
        check(b"a\n\r.\n", b"a\r\n .\r\n.\r\n");
        check(b"a\r\r\n.\n", b"a \r\n..\r\n.\r\n");
        check(b"a\r\0\nb\n", b"a \r\nb\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn decoding_gives_the_content_back(content in "[.a\n]{0,60}", step in 1usize..20) {
            let wire = encode(content.as_bytes(), step);
            let mut text = Vec::new();
            let mut decoder = Decoder::dotted();
            let fed = decoder.feed(&wire, |piece, ends| {
                text.extend_from_slice(piece);
                text.extend_from_slice(if ends { b"\n" } else { b"" });
            });
            prop_assert!(fed.ended && fed.taken == wire.len());
            let ended = content.is_empty() || content.ends_with('\n');
            prop_assert_eq!(text, (content + if ended { "" } else { "\n" }).into_bytes());
        }

        #[test]
        fn whatever_the_content_the_wire_is_clean(content in prop::collection::vec(prop::sample::select(b"\r\n\0.a".to_vec()), 0..60), step in 1usize..20) {
            let wire = encode(&content, step);
            prop_assert_eq!(&wire, &encode(&content, 1000));
            let mut decoder = Decoder::dotted();
            let fed = decoder.feed(&wire, |_, _| {});
            prop_assert!(fed.ended && fed.taken == wire.len() && decoder.flaw().is_none() && !wire.contains(&0));
        }
    }
}
