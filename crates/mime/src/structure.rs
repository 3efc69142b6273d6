//! The tree of a message's parts (RFC 2045, 2046), as offsets into the message.
//!
//! One pass over the lines finds headers, boundaries and sizes. Only lines that begin with `--` are compared with the
//! boundaries that are open, innermost first, so the cost is linear in the message whatever its nesting. The rules for
//! broken messages are Dovecot's: the outer boundary closes inner parts; a part without an end goes on to the end of its
//! parent; what stands before the first boundary and after the last one belongs to no part.

use std::ops::Range;

use memchr::memchr;

use crate::content::Content;
use crate::eol::{self, Size, blank_line};
use crate::limits;

/// The place of a part in [`Structure::parts`].
pub type PartId = usize;

/// How a part is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `text/*`, and what says nothing of its type.
    Text,
    /// `message/rfc822`: the one child is the message inside.
    Message,
    /// `multipart/*`. Without children if no boundary was found.
    Multipart,
    /// Anything else.
    Other,
    /// A multipart or message below [`limits::DEPTH`], not taken apart.
    TooDeep,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How it is taken apart.
    pub kind: Kind,
    /// Its MIME header with the blank line, as octets of the message.
    pub header: Range<usize>,
    /// Its body.
    pub body: Range<usize>,
    /// The header in wire form.
    pub header_size: Size,
    /// The body in wire form.
    pub body_size: Size,
    /// What the header says of the body.
    pub content: Content,
    /// The parts inside.
    pub children: Vec<PartId>,
}

/// A message taken apart. It borrows the message; keep [`crate::Facts`] instead where it must outlive it.
#[derive(Clone, Debug)]
pub struct Structure<'a> {
    /// The message.
    pub raw: &'a [u8],
    /// All parts; the first is the message itself. A part comes before its children.
    pub parts: Vec<Part>,
}

impl<'a> Structure<'a> {
    /// Takes a message apart. Every input has a structure.
    #[must_use]
    pub fn parse(raw: &'a [u8]) -> Self {
        let mut parser = Parser::new(raw);
        parser.run();
        Self { raw, parts: parser.parts }
    }

    /// The message as a part.
    #[must_use]
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// The header of a part, as it stands in the message.
    #[must_use]
    pub fn header(&self, part: &Part) -> &'a [u8] {
        &self.raw[part.header.clone()]
    }

    /// The body of a part, as it stands in the message.
    #[must_use]
    pub fn body(&self, part: &Part) -> &'a [u8] {
        &self.raw[part.body.clone()]
    }

    /// The size of the whole message in wire form (`RFC822.SIZE`).
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.root().header_size.octets + self.root().body_size.octets
    }
}

/// A place in the message, with what was counted before it.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    offset: usize,
    lines: usize,
    bare: usize,
}

impl Mark {
    fn size_to(self, end: Self) -> Size {
        let octets = (end.offset - self.offset) + (end.bare - self.bare);
        Size { octets: octets as u64, lines: (end.lines - self.lines) as u64 }
    }
}

/// A multipart whose next boundary is awaited.
struct Boundary {
    part: PartId,
    /// How many parts are open when only this multipart and those around it are.
    level: usize,
    text: Vec<u8>,
}

/// A part whose end is not known yet.
struct Open {
    part: PartId,
    start: Mark,
    /// Where the body begins; `None` while the header lasts.
    body: Option<Mark>,
}

struct Parser<'a> {
    raw: &'a [u8],
    parts: Vec<Part>,
    open: Vec<Open>,
    boundaries: Vec<Boundary>,
    /// Behind the last closing boundary. Its line end is its own, even if another boundary follows at once.
    epilogue: Mark,
}

impl<'a> Parser<'a> {
    fn new(raw: &'a [u8]) -> Self {
        let mut parser = Self { raw, parts: Vec::new(), open: Vec::new(), boundaries: Vec::new(), epilogue: Mark::default() };
        parser.open_part(None, Mark::default());
        parser
    }

    fn run(&mut self) {
        let mut here = Mark::default();
        while here.offset < self.raw.len() {
            if self.boundaries.is_empty() && !self.in_header() {
                // Nothing can end the open parts but the end of the message.
                let rest = eol::size(&self.raw[here.offset..]);
                let bare = rest.octets as usize - (self.raw.len() - here.offset);
                here = Mark { offset: self.raw.len(), lines: here.lines + rest.lines as usize, bare: here.bare + bare };
                break;
            }
            let line = &self.raw[here.offset..];
            let length = memchr(b'\n', line).map_or(line.len(), |at| at + 1);
            let line = &line[..length];
            let mut next = Mark { offset: here.offset + length, ..here };
            if line.last() == Some(&b'\n') {
                next.lines += 1;
                next.bare += usize::from(eol::is_bare(self.raw, next.offset - 1));
            }
            self.line(line, here, next);
            here = next;
        }
        self.close(0, here);
    }

    fn in_header(&self) -> bool {
        self.open.last().is_some_and(|open| open.body.is_none())
    }

    fn line(&mut self, line: &[u8], here: Mark, next: Mark) {
        if let Some(text) = line.strip_prefix(b"--")
            && let Some((index, last)) = self.find_boundary(text)
        {
            return self.boundary(index, last, here, next);
        }
        if self.in_header() && blank_line(line).is_some() {
            self.end_header(next);
        }
    }

    /// The open boundary that a line names, and whether it is the closing one. If several fit the longest does, but
    /// an exact one wins.
    fn find_boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_suffix(b"\n").map_or(line, |cut| cut.strip_suffix(b"\r").unwrap_or(cut));
        let mut best: Option<usize> = None;
        for (index, boundary) in self.boundaries.iter().enumerate().rev() {
            let Some(rest) = text.strip_prefix(&boundary.text[..]) else { continue };
            if best.is_none_or(|best| self.boundaries[best].text.len() < boundary.text.len()) {
                best = Some(index);
            }
            if best == Some(index) && (rest.is_empty() || rest == b"--") {
                break;
            }
        }
        let index = best?;
        Some((index, text[self.boundaries[index].text.len()..].starts_with(b"--")))
    }

    fn boundary(&mut self, index: usize, last: bool, here: Mark, next: Mark) {
        if !last && self.parts.len() >= limits::PARTS {
            return;
        }
        let Boundary { part, level, .. } = self.boundaries[index];
        self.close(level, self.end_before(here));
        if last {
            self.boundaries.truncate(index);
            self.epilogue = next;
            return;
        }
        self.boundaries.truncate(index + 1);
        // A boundary that the message breaks off in opens nothing.
        if self.raw[..next.offset].ends_with(b"\n") {
            self.open_part(Some(part), next);
        }
    }

    /// Where the parts end that a boundary line at `here` closes. An inner message without a body keeps its last line
    /// end, which is its header's.
    fn end_before(&self, here: Mark) -> Mark {
        let end = self.before_line_end(here);
        match &self.open[..] {
            [.., outer, inner] if self.parts[outer.part].kind == Kind::Message => {
                let in_body = inner.body.is_some_and(|body| body.offset <= end.offset);
                if in_body || here.offset == inner.start.offset { end } else { here }
            }
            _ => end,
        }
    }

    /// The line end before a boundary belongs to the boundary (RFC 2046 section 5.1.1).
    fn before_line_end(&self, here: Mark) -> Mark {
        if here.offset == self.epilogue.offset {
            return here;
        }
        let bare = eol::is_bare(self.raw, here.offset - 1);
        Mark { offset: here.offset - if bare { 1 } else { 2 }, lines: here.lines - 1, bare: here.bare - usize::from(bare) }
    }

    fn open_part(&mut self, parent: Option<PartId>, start: Mark) {
        let part = self.parts.len();
        self.parts.push(Part {
            kind: Kind::Other,
            header: start.offset..start.offset,
            body: start.offset..start.offset,
            header_size: Size::default(),
            body_size: Size::default(),
            content: Content::default(),
            children: Vec::new(),
        });
        if let Some(parent) = parent {
            self.parts[parent].children.push(part);
        }
        self.open.push(Open { part, start, body: None });
    }

    /// Reads the header of the innermost part, which ends at `end`, and decides how its body is read.
    fn end_header(&mut self, end: Mark) {
        let level = self.open.len();
        let in_digest = level > 1 && self.parts[self.open[level - 2].part].content.is("multipart", "digest");
        let open = &mut self.open[level - 1];
        open.body = Some(end);
        let (id, start) = (open.part, open.start);
        let full = level > limits::DEPTH || self.parts.len() >= limits::PARTS;
        let part = &mut self.parts[id];
        part.header = start.offset..end.offset;
        part.header_size = start.size_to(end);
        part.content = Content::of(&self.raw[part.header.clone()]);
        if part.content.media.is_none() && in_digest {
            part.content.media = Some((b"message".to_vec(), b"rfc822".to_vec()));
        }
        part.kind = kind_of(&part.content, full);
        match part.kind {
            Kind::Multipart => {
                if let Some(text) = part.content.parameter("boundary") {
                    let text = text[..text.len().min(limits::BOUNDARY)].to_vec();
                    self.boundaries.push(Boundary { part: id, level, text });
                }
            }
            Kind::Message => self.open_part(Some(id), end),
            _ => {}
        }
    }

    /// Closes all open parts but the outer `level`; they end at `end`.
    fn close(&mut self, level: usize, end: Mark) {
        while self.open.len() > level {
            if self.in_header() {
                let start = self.open.last().map_or(end, |open| open.start);
                self.end_header(if end.offset < start.offset { start } else { end });
                continue;
            }
            let Some(Open { part, start, body: Some(body) }) = self.open.pop() else { return };
            let part = &mut self.parts[part];
            if end.offset < body.offset {
                // A blank line that was the end of the header is now the line end before a boundary.
                let end = if end.offset < start.offset { start } else { end };
                part.header = start.offset..end.offset;
                part.header_size = start.size_to(end);
                part.body = end.offset..end.offset;
            } else {
                part.body = body.offset..end.offset;
                part.body_size = body.size_to(end);
            }
        }
    }
}

fn kind_of(content: &Content, full: bool) -> Kind {
    let Some((kind, _)) = &content.media else { return Kind::Text };
    let container = if kind.eq_ignore_ascii_case(b"multipart") {
        Kind::Multipart
    } else if content.is("message", "rfc822") {
        Kind::Message
    } else if kind.eq_ignore_ascii_case(b"text") {
        return Kind::Text;
    } else {
        return Kind::Other;
    };
    if full { Kind::TooDeep } else { container }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kind header|body` of each part, children in brackets.
    fn show(structure: &Structure<'_>, id: PartId, out: &mut String) {
        let part = &structure.parts[id];
        let kind = match part.kind {
            Kind::Text => 'T',
            Kind::Message => 'M',
            Kind::Multipart => 'P',
            Kind::Other => 'O',
            Kind::TooDeep => 'D',
        };
        *out += &format!("{kind}{:?}", String::from_utf8_lossy(structure.body(part)));
        if !part.children.is_empty() {
            *out += "[";
            for &child in &part.children {
                show(structure, child, out);
            }
            *out += "]";
        }
    }

    fn check(body: &str, expected: &str) {
        let raw = format!("Content-Type: multipart/mixed; boundary=b\n\n{body}");
        for raw in [raw.clone(), raw.replace('\n', "\r\n")] {
            let structure = Structure::parse(raw.as_bytes());
            let mut seen = String::new();
            for &child in &structure.root().children {
                show(&structure, child, &mut seen);
            }
            assert_eq!(seen.replace("\\r", ""), expected, "{raw:?}");
        }
    }

    #[test]
    fn takes_messages_apart() {
        check("pre\n--b\n\none\n--b\nContent-Type: image/png\n\ntwo\n\n--b--\npost\n--b\n", r#"T"one"O"two\n""#);
        check("--b\n--b\n\n--b\nContent-Type: text/html\n\n--b--", r#"T""T""T"""#);
        check("--b\nA: b\n--b\n\nx", r#"T""T"x""#);
        check("", "");
        check("--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\nx\n--bb--\n--b\n\ny", r#"P"--bb\n\nx\n--bb--\n"[T"x"]T"y""#);
        check("--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--b--\n--c--", r#"P"--c\n\nx"[T"x"]"#);
        check("--b\nContent-Type: message/rfc822\n\nA: b\n\nx\n--b--", r#"M"A: b\n\nx"[T"x"]"#);
        check("--b\nContent-Type: message/rfc822\n--b--", r#"M""[T""]"#);
        check("--b junk\n\nx\n --b\n-- b\n", r#"T"x\n --b\n-- b\n""#);
    }

    #[test]
    fn counts_the_wire_form() {
        let raw = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\na\nb\r\nc\n--b--\n";
        let structure = Structure::parse(raw);
        let part = &structure.parts[1];
        assert_eq!((part.header_size, part.body_size), (Size { octets: 2, lines: 1 }, Size { octets: 7, lines: 2 }));
        assert_eq!(structure.octets(), eol::size(raw).octets);
    }

    #[test]
    fn nesting_and_number_of_parts_are_bounded() {
        let mut deep = String::new();
        for level in 0..300 {
            deep += &format!("Content-Type: multipart/mixed; boundary=b{level:03}\n\n--b{level:03}\n");
        }
        let structure = Structure::parse(deep.as_bytes());
        assert_eq!(structure.parts.len(), limits::DEPTH + 1);
        assert_eq!(structure.parts.last().map(|part| part.kind), Some(Kind::TooDeep));
        let wide = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\n".repeat(20_000));
        assert_eq!(Structure::parse(wide.as_bytes()).parts.len(), limits::PARTS);
    }
}
