//! A look at the header while the message streams by: counts Received fields, drops the client's Return-Path, and parts
//! a text without any header from the fields that are put on top of it. Everything else passes unchanged.

use memchr::memchr;

/// A longer beginning of a line without a colon is no field name.
const LONGEST_NAME: usize = 256;

/// Where the scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    /// In a line whose field name is not complete yet; what came of it is held back.
    Name,
    Keep,
    Drop,
    /// The header is over.
    Body,
}

/// What the beginning of a line is.
enum Judgement {
    Received,
    ReturnPath,
    OtherField,
    NoField,
    Undecided,
}

/// Watches the header of one message.
#[derive(Debug)]
pub(crate) struct Header {
    place: Place,
    held: Vec<u8>,
    received: u32,
    /// The client sent at least one field.
    fields: bool,
    /// The field that a continuation line would belong to is dropped.
    dropping: bool,
}

impl Header {
    pub(crate) fn new() -> Self {
        Self { place: Place::LineStart, held: Vec::new(), received: 0, fields: false, dropping: false }
    }

    /// Whether the header is over and nothing more has to be looked at.
    pub(crate) fn is_over(&self) -> bool {
        self.place == Place::Body
    }

    /// Received fields seen.
    pub(crate) fn received(&self) -> u32 {
        self.received
    }

    /// Takes the next piece of text; `ends` says that a line ends behind it. What is to be kept goes to `out`.
    pub(crate) fn push(&mut self, piece: &[u8], ends: bool, out: &mut Vec<u8>) {
        match self.place {
            Place::LineStart => self.line_start(piece, ends, out),
            Place::Name => self.name(piece, ends, out),
            Place::Keep | Place::Body => self.keep(piece, ends, out),
            Place::Drop if ends => self.place = Place::LineStart,
            Place::Drop => {}
        }
    }

    fn line_start(&mut self, piece: &[u8], ends: bool, out: &mut Vec<u8>) {
        match piece.first() {
            None if !ends => {}
            None => {
                self.place = Place::Body;
                self.keep(piece, ends, out);
            }
            Some(b' ' | b'\t') if self.dropping => self.place = if ends { Place::LineStart } else { Place::Drop },
            Some(b' ' | b'\t') if self.fields => self.keep(piece, ends, out),
            Some(_) => self.name(piece, ends, out),
        }
    }

    fn name(&mut self, piece: &[u8], ends: bool, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let joined;
        let line = if held.is_empty() {
            piece
        } else {
            joined = [&held, piece].concat();
            &joined
        };
        let judgement = judge(line, ends);
        self.fields |= matches!(judgement, Judgement::Received | Judgement::OtherField);
        self.dropping = matches!(judgement, Judgement::ReturnPath);
        match judgement {
            Judgement::Undecided => {
                self.held = line.to_vec();
                self.place = Place::Name;
            }
            Judgement::ReturnPath => self.place = if ends { Place::LineStart } else { Place::Drop },
            Judgement::Received => {
                self.received = self.received.saturating_add(1);
                self.keep(line, ends, out);
            }
            // Mailbox formats put such a line first; programs that re-send mail forget to take it out.
            Judgement::NoField if !self.fields && !line.starts_with(b"From ") && !line.starts_with(b">From ") => {
                out.push(b'\n');
                self.place = Place::Body;
                self.keep(line, ends, out);
            }
            Judgement::NoField | Judgement::OtherField => self.keep(line, ends, out),
        }
    }

    fn keep(&mut self, piece: &[u8], ends: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(piece);
        if ends {
            out.push(b'\n');
        }
        if self.place != Place::Body {
            self.place = if ends { Place::LineStart } else { Place::Keep };
        }
    }
}

/// Judges the beginning of a line, or the whole of it if `complete`.
fn judge(line: &[u8], complete: bool) -> Judgement {
    let colon = memchr(b':', &line[..line.len().min(LONGEST_NAME)]);
    let name = &line[..colon.unwrap_or(line.len())];
    let name = name.trim_ascii_end();
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return Judgement::NoField;
    }
    match colon {
        None if complete || line.len() >= LONGEST_NAME => Judgement::NoField,
        None => Judgement::Undecided,
        Some(_) if name.eq_ignore_ascii_case(b"received") => Judgement::Received,
        Some(_) if name.eq_ignore_ascii_case(b"return-path") => Judgement::ReturnPath,
        Some(_) => Judgement::OtherField,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes the text in pieces of every size; what comes out, and the number of Received fields.
    fn check(text: &str, expected: &str, received: u32) {
        for step in 1..=text.len() {
            let mut header = Header::new();
            let mut out = Vec::new();
            for line in text.split_inclusive('\n') {
                let content = line.trim_end_matches('\n');
                let pieces: Vec<_> = content.as_bytes().chunks(step).collect();
                for piece in &pieces {
                    header.push(piece, false, &mut out);
                }
                if step % 2 == 0 {
                    header.push(b"", false, &mut out);
                }
                header.push(b"", true, &mut out);
            }
            assert_eq!((String::from_utf8_lossy(&out).as_ref(), header.received()), (expected, received), "{text:?} by {step}");
            let mut whole = Header::new();
            let mut out = Vec::new();
            text.lines().for_each(|line| whole.push(line.as_bytes(), true, &mut out));
            assert_eq!((String::from_utf8_lossy(&out).as_ref(), whole.received()), (expected, received), "{text:?} by line");
        }
    }

    #[test]
    fn ordinary_headers_pass_unchanged() {
        for text in ["A: b\n\nbody\n", "X-Fold: a\n\tb\n  c\nx-CASE:nospace\nX-Empty:\n\n\n x\n", "A : b\n", "\n", "\nbody: x\n"] {
            check(text, text, 0);
        }
    }

    #[test]
    fn received_fields_are_counted_in_the_header_only() {
        let text = "Received: a\n b\nreceived : c\nReceived-SPF: x\nRECEIVED:\n\nReceived: body\n";
        check(text, text, 3);
    }

    #[test]
    fn the_clients_return_path_goes_with_its_continuations() {
        check("Return-Path: <a>\n b\n\tc\nA: b\n d\nreturn-path:<x>\n\nReturn-Path: body\n", "A: b\n d\n\nReturn-Path: body\n", 0);
        check("Return-Path: <a>\n", "", 0);
    }

    #[test]
    fn a_text_without_header_becomes_the_body() {
        check("just text\nA: b\n", "\njust text\nA: b\n", 0);
        check(" indented\n", "\n indented\n", 0);
        check(": x\n", "\n: x\n", 0);
        check("Return-Path: <a>\ntext\n", "\ntext\n", 0);
        let long = format!("{}: x\n", "n".repeat(300));
        check(&long, &format!("\n{long}"), 0);
    }

    #[test]
    fn strange_lines_within_the_header_stay() {
        for text in ["From a Mon\nReceived: x\n\nb\n", ">From a Mon\nReceived: x\n\nb\n", "A: b\nno field\nReceived: x\n\n"] {
            check(text, text, 1);
        }
    }
}
