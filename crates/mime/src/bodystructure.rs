//! BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2), with Dovecot's defaults: `text/plain; charset=us-ascii` where nothing
//! is said, `7bit`, and one empty text part in a multipart that has none, since `()` would be no legal answer.

use crate::content::Parameter;
use crate::envelope::Envelope;
use crate::structure::{Kind, Part, PartId, Structure};
use crate::wire;

/// The part that stands for the parts that a multipart lacks.
const NOTHING: &[u8] = b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0";

impl Structure<'_> {
    /// Appends the message's ENVELOPE.
    pub fn envelope(&self, out: &mut Vec<u8>) {
        Envelope::of(self.header(self.root())).write(out);
    }

    /// Appends BODYSTRUCTURE, or BODY if not `extended`. Its size is linear in the message's headers.
    pub fn bodystructure(&self, out: &mut Vec<u8>, extended: bool) {
        Writer { structure: self, extended, out }.part(0);
    }
}

struct Writer<'a, 'b> {
    structure: &'a Structure<'a>,
    extended: bool,
    out: &'b mut Vec<u8>,
}

impl Writer<'_, '_> {
    /// One part; the depth of the recursion is that of the structure, which is bounded.
    fn part(&mut self, id: PartId) {
        let part = &self.structure.parts[id];
        if part.kind == Kind::Multipart { self.multipart(part) } else { self.single(part) }
    }

    fn multipart(&mut self, part: &Part) {
        self.out.push(b'(');
        for &child in &part.children {
            self.part(child);
        }
        if part.children.is_empty() {
            self.out.extend_from_slice(NOTHING);
            self.out.extend_from_slice(if self.extended { b" NIL NIL NIL NIL)" } else { b")" });
        }
        self.out.push(b' ');
        wire::string(part.content.media.as_ref().map_or(b"", |(_, subtype)| subtype), self.out);
        if self.extended {
            self.out.push(b' ');
            self.parameters(&part.content.parameters, false);
            self.extension(part);
        }
        self.out.push(b')');
    }

    fn single(&mut self, part: &Part) {
        let (kind, subtype): (&[u8], &[u8]) = match (&part.content.media, part.kind) {
            (_, Kind::TooDeep) => (b"application", b"octet-stream"),
            (Some((kind, subtype)), _) => (kind, subtype),
            (None, _) => (b"text", b"plain"),
        };
        self.out.push(b'(');
        wire::string(kind, self.out);
        self.out.push(b' ');
        wire::string(subtype, self.out);
        self.out.push(b' ');
        self.parameters(&part.content.parameters, part.kind == Kind::Text && part.content.parameter("charset").is_none());
        let encoding = part.content.encoding.as_deref().filter(|name| !name.is_empty()).unwrap_or(b"7bit");
        for text in [part.content.id.as_deref(), part.content.description.as_deref(), Some(encoding)] {
            self.out.push(b' ');
            wire::nstring(text, self.out);
        }
        self.out.push(b' ');
        wire::number(part.body_size.octets, self.out);
        if let (Kind::Message, [child]) = (part.kind, &part.children[..]) {
            self.out.push(b' ');
            Envelope::of(self.structure.header(&self.structure.parts[*child])).write(self.out);
            self.out.push(b' ');
            self.part(*child);
        }
        if matches!(part.kind, Kind::Message | Kind::Text) {
            self.out.push(b' ');
            wire::number(part.body_size.lines, self.out);
        }
        if self.extended {
            self.out.push(b' ');
            wire::nstring(part.content.md5.as_deref(), self.out);
            self.extension(part);
        }
        self.out.push(b')');
    }

    /// Disposition, language and location.
    fn extension(&mut self, part: &Part) {
        self.out.push(b' ');
        match &part.content.disposition {
            Some((kind, parameters)) => {
                self.out.push(b'(');
                wire::string(kind, self.out);
                self.out.push(b' ');
                self.parameters(parameters, false);
                self.out.push(b')');
            }
            None => self.out.extend_from_slice(b"NIL"),
        }
        self.out.push(b' ');
        self.languages(&part.content.language);
        self.out.push(b' ');
        wire::nstring(part.content.location.as_deref(), self.out);
    }

    fn languages(&mut self, tags: &[Vec<u8>]) {
        if tags.is_empty() {
            return self.out.extend_from_slice(b"NIL");
        }
        for (at, tag) in tags.iter().enumerate() {
            self.out.push(if at == 0 { b'(' } else { b' ' });
            wire::string(tag, self.out);
        }
        self.out.push(b')');
    }

    fn parameters(&mut self, list: &[Parameter], default_charset: bool) {
        if list.is_empty() && !default_charset {
            return self.out.extend_from_slice(b"NIL");
        }
        let default = [(b"charset".to_vec(), b"us-ascii".to_vec())];
        let all = list.iter().chain(default.iter().filter(|_| default_charset));
        for (at, (name, value)) in all.enumerate() {
            self.out.push(if at == 0 { b'(' } else { b' ' });
            wire::string(name, self.out);
            self.out.push(b' ');
            wire::string(value, self.out);
        }
        self.out.push(b')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, extended: bool, expected: &str) {
        let mut out = Vec::new();
        Structure::parse(raw.as_bytes()).bodystructure(&mut out, extended);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{raw:?}");
    }

    #[test]
    fn writes_structures() {
        check("A: b\n\nx\n", false, r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1)"#);
        check(
            "Content-Type: image/png\nContent-Disposition: inline; filename=\"a\"\nContent-Language: en, de\n\n",
            true,
            r#"("image" "png" NIL NIL NIL "7bit" 0 NIL ("inline" ("filename" "a")) ("en" "de") NIL)"#,
        );
        check(
            "Content-Type: multipart/x; boundary=b\n\n",
            true,
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "x" ("boundary" "b") NIL NIL NIL)"#,
        );
        check(
            "Content-Type: message/rfc822\n\n",
            false,
            concat!(
                r#"("message" "rfc822" NIL NIL NIL "7bit" 0 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "#,
                r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) 0)"#
            ),
        );
    }
}
