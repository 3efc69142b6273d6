//! From the wire to content: CR LF becomes LF, stuffed dots go (RFC 5321 section 4.5.2), and only CR LF dot CR LF ends
//! the data. Works on whole slices in any split; this is the hot path of receiving.

use memchr::memchr2;

/// What makes a text unacceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// LF without CR before it.
    BareLf,
    /// CR without LF after it.
    BareCr,
}

/// How far a [`Decoder`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Octets used up.
    pub taken: usize,
    /// The end of the data was among them.
    pub ended: bool,
}

/// Where the decoder stands between two octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    Text,
    /// After a CR that has to be followed by LF.
    Cr,
    /// After a dot at the start of a line.
    Dot,
    /// After such a dot and CR.
    DotCr,
}

/// Decodes the text of DATA or BDAT.
#[derive(Clone, Debug)]
pub struct Decoder {
    place: Place,
    dots: bool,
    flaw: Option<Flaw>,
}

impl Decoder {
    /// For DATA: dots are unstuffed, and a lone dot ends the text.
    #[must_use]
    pub fn dotted() -> Self {
        Self { place: Place::LineStart, dots: true, flaw: None }
    }

    /// For BDAT: dots are text, and the end is known from elsewhere.
    #[must_use]
    pub fn plain() -> Self {
        Self { place: Place::LineStart, dots: false, flaw: None }
    }

    /// The first flaw seen. Nothing is handed on after it, but the end of the data is still found.
    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Decodes `input` up to the end of the data. `sink` gets the pieces of text in turn, with `true` where a line ends
    /// behind the piece.
    pub fn feed(&mut self, input: &[u8], mut sink: impl FnMut(&[u8], bool)) -> Fed {
        let mut rest = input;
        while let Some(&first) = rest.first() {
            let used = match (self.place, first) {
                (Place::LineStart, b'.') if self.dots => self.go(Place::Dot),
                (Place::LineStart | Place::Text, _) => self.text(rest, &mut sink),
                (Place::Dot, b'\r') => self.go(Place::DotCr),
                (Place::DotCr, b'\n') => return Fed { taken: input.len() - rest.len() + 1, ended: true },
                (Place::Cr, b'\n') => {
                    self.hand_on(b"", true, &mut sink);
                    self.go(Place::LineStart)
                }
                (Place::Dot, _) => self.again(None),
                (Place::Cr | Place::DotCr, _) => self.again(Some(Flaw::BareCr)),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        Fed { taken: input.len(), ended: false }
    }

    /// The end of the last chunk of BDAT: an unfinished line is ended, as every stored text ends in a line end.
    pub fn finish(&mut self, mut sink: impl FnMut(&[u8], bool)) {
        match self.place {
            Place::LineStart => {}
            Place::Cr | Place::DotCr => self.flaw = self.flaw.or(Some(Flaw::BareCr)),
            Place::Text | Place::Dot => self.hand_on(b"", true, &mut sink),
        }
        self.place = Place::LineStart;
    }

    /// Uses one octet up.
    fn go(&mut self, place: Place) -> usize {
        self.place = place;
        1
    }

    /// Looks at the same octet again, as text.
    fn again(&mut self, flaw: Option<Flaw>) -> usize {
        self.flaw = self.flaw.or(flaw);
        self.place = Place::Text;
        0
    }

    /// Text up to the next line end or the end of the slice. After a lone LF the line goes on: a dot behind it is text.
    fn text(&mut self, rest: &[u8], sink: &mut impl FnMut(&[u8], bool)) -> usize {
        self.place = Place::Text;
        let Some(at) = memchr2(b'\r', b'\n', rest) else {
            self.hand_on(rest, false, sink);
            return rest.len();
        };
        let flaw = match (rest[at], rest.get(at + 1)) {
            (b'\r', Some(b'\n')) => {
                self.hand_on(&rest[..at], true, sink);
                self.place = Place::LineStart;
                return at + 2;
            }
            (b'\r', None) => {
                self.hand_on(&rest[..at], false, sink);
                self.place = Place::Cr;
                return at + 1;
            }
            (b'\r', _) => Flaw::BareCr,
            _ => Flaw::BareLf,
        };
        self.flaw = self.flaw.or(Some(flaw));
        at + 1
    }

    fn hand_on(&self, piece: &[u8], line_ends: bool, sink: &mut impl FnMut(&[u8], bool)) {
        if self.flaw.is_none() {
            sink(piece, line_ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes `input` in pieces of `step` octets: the text, what stopped it, and how much was left over.
    fn decode(mut decoder: Decoder, input: &[u8], step: usize) -> (Vec<u8>, Option<Flaw>, Option<usize>) {
        let mut text = Vec::new();
        let mut end = None;
        let mut taken = 0;
        for piece in input.chunks(step.max(1)) {
            let fed = decoder.feed(piece, |line, ends| {
                text.extend_from_slice(line);
                text.extend_from_slice(if ends { b"\n" } else { b"" });
            });
            taken += fed.taken;
            if fed.ended {
                end = Some(input.len() - taken);
                break;
            }
        }
        if decoder.flaw().is_some() {
            text.clear();
        }
        (text, decoder.flaw(), end)
    }

    fn check(input: &[u8], expected: &[u8]) {
        for step in 1..=input.len() {
            assert_eq!(decode(Decoder::dotted(), input, step), (expected.to_vec(), None, Some(0)), "{input:?} by {step}");
        }
    }

    fn refused(input: &[u8], flaw: Flaw, ended: bool) {
        for step in 1..=input.len() {
            let (_, found, end) = decode(Decoder::dotted(), input, step);
            assert_eq!((found, end.is_some()), (Some(flaw), ended), "{input:?} by {step}");
        }
    }

    #[test]
    fn dots_are_unstuffed_and_nothing_else_changes() {
        check(b".\r\n", b"");
        check(b"a\r\n.\r\n", b"a\n");
        check(b"..\r\n...x\r\n.y\r\n. \r\nmid.dot.\r\n\r\n.\r\n", b".\n..x\ny\n \nmid.dot.\n\n");
        check(b"\r\n\r\n.\r\n", b"\n\n");
        check(b"\0\x01\xff\r\n.\r\n", b"\0\x01\xff\n");
        check(b".\0.\r\n.\r\n", b"\0.\n");
    }

    #[test]
    fn only_cr_lf_dot_cr_lf_ends_the_data() {
        for almost in [&b"a\n.\nb"[..], b"a\n.\r\nb", b"a\r\n.\nb", b"a\n\n.\n\nb", b"\n.\n"] {
            refused(almost, Flaw::BareLf, false);
            refused(&[almost, b"\r\n.\r\n"].concat(), Flaw::BareLf, true);
        }
        for almost in [&b"a\r\n.\rb"[..], b"a\r.\r\nb", b"a\r.\nb", b"a\r\r\nb", b"a\r\n.\r\r\nb"] {
            refused(&[almost, b"\r\n.\r\n"].concat(), Flaw::BareCr, true);
        }
        for text in [&b"a\r\n\0.\r\nb"[..], b"a\r\n .\r\nb", b"a\r\n.\x1a\r\nb"] {
            assert_eq!(decode(Decoder::dotted(), text, 1).2, None);
        }
        refused(b"\n\r.\r\nb\r\n.\r\n", Flaw::BareLf, true);
        assert_eq!(decode(Decoder::dotted(), b"a\r\r\n.\r\nNOOP\r\n", 3).2, Some(6));
    }

    #[test]
    fn chunks_know_no_dots_and_end_their_last_line() {
        let mut text = Vec::new();
        let mut sink = |line: &[u8], ends: bool| {
            text.extend_from_slice(line);
            text.extend_from_slice(if ends { b"\n" } else { b"" });
        };
        let mut decoder = Decoder::plain();
        for piece in [&b".\r\n..\r"[..], b"\n.\r\nlast"] {
            assert!(!decoder.feed(piece, &mut sink).ended);
        }
        decoder.finish(&mut sink);
        assert_eq!((text.as_slice(), decoder.flaw()), (&b".\n..\n.\nlast\n"[..], None));
        let mut decoder = Decoder::plain();
        decoder.feed(b"a\r", |_, _| {});
        decoder.finish(|_, _| {});
        assert_eq!(decoder.flaw(), Some(Flaw::BareCr));
    }

    proptest! {
        #[test]
        fn stuffing_is_undone_in_any_split(lines in prop::collection::vec("[.a]{0,4}", 0..20), step in 1usize..40) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let wire: String = lines.iter().map(|line| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" })).collect();
            let got = decode(Decoder::dotted(), (wire + ".\r\nQUIT\r\n").as_bytes(), step);
            prop_assert_eq!(got, (text.into_bytes(), None, Some(6)));
        }

        #[test]
        fn any_octets_in_any_split_mean_the_same(input in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..60), step in 1usize..20) {
            prop_assert_eq!(decode(Decoder::dotted(), &input, step), decode(Decoder::dotted(), &input, 1000));
            let sequence = input.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 5);
            let first = input.starts_with(b".\r\n").then_some(3);
            let end = first.or(sequence).map(|at| input.len() - at);
            prop_assert_eq!(decode(Decoder::dotted(), &input, step).2, end);
        }
    }
}
