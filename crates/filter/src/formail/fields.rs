//! Header fields as formail(1) sees them.

/// A header field with its continuation lines; the first may be a `From ` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The text, ended by a newline.
    pub(super) text: Vec<u8>,
    /// The length of the name with its colon.
    pub(super) name: usize,
}

/// What a `From ` line's name is.
pub(super) const FROM: &[u8] = b"From ";

impl Field {
    pub(super) fn name(&self) -> &[u8] {
        &self.text[..self.name]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.text[self.name..]
    }

    /// Joins continued lines.
    pub(super) fn join(&mut self) {
        if self.text.starts_with(FROM) {
            return;
        }
        let last = self.text.len() - 1;
        for octet in &mut self.text[..last] {
            if *octet == b'\n' {
                *octet = b' ';
            }
        }
    }

    /// Puts a blank behind the colon; false if the field has no value worth keeping.
    pub(super) fn tidy(&mut self) -> bool {
        if self.text.starts_with(FROM) {
            return true;
        }
        if !matches!(self.value().first(), Some(b' ' | b'\t')) {
            self.text.insert(self.name, b' ');
        }
        self.value().len() > 2
    }

    /// Whether the field is meant by a name with its colon, or the beginning of one. `From:` does not mean the `From ` line.
    pub(super) fn is(&self, wanted: &[u8]) -> bool {
        self.text.get(..wanted.len()).is_some_and(|own| wanted.len() <= self.name && own.eq_ignore_ascii_case(wanted))
    }

    /// Takes away blanks between the name and its colon.
    fn close_up(&mut self) {
        let colon = self.name - 1;
        if self.text.get(colon) == Some(&b':') {
            let blanks = self.text[..colon].iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
            self.text.drain(colon - blanks..colon);
            self.name -= blanks;
        }
    }
}

/// Whether this is a `From ` line; one with a colon behind the blank is a From field.
pub(super) fn is_from(line: &[u8]) -> bool {
    line.strip_prefix(FROM).is_some_and(|rest| rest.iter().find(|octet| !matches!(octet, b' ' | b'\t')) != Some(&b':'))
}

/// The length of a field's name with its colon, if the line begins with one.
pub(super) fn name_length(line: &[u8]) -> Option<usize> {
    if is_from(line) {
        return Some(FROM.len());
    }
    let end = line.iter().position(|octet| octet.is_ascii_control() || matches!(octet, b' ' | b':'))?;
    let blanks = line[end..].iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    (end > 0 && line.get(end + blanks) == Some(&b':')).then_some(end + blanks + 1)
}

/// The lines of a text, each with its newline; one is put behind the last if it has none.
pub(super) struct Lines<'a> {
    text: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        if self.text.is_empty() {
            return None;
        }
        Some(&self.text[..memchr::memchr(b'\n', self.text).map_or(self.text.len(), |newline| newline + 1)])
    }

    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.peek()?;
        self.text = &self.text[line.len()..];
        Some(line)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.text
    }

    /// Passes over so many octets.
    pub(super) fn skip(&mut self, length: usize) {
        self.text = self.text.get(length..).unwrap_or_default();
    }

    /// Reads the fields of a header; a `From ` line counts as the first alone.
    pub(super) fn header(&mut self) -> Vec<Field> {
        let mut fields = Vec::new();
        while let Some(field) = self.field(fields.is_empty()) {
            fields.push(field);
        }
        fields
    }

    /// Reads a field, or, if it is the first, a `From ` line.
    pub(super) fn field(&mut self, first: bool) -> Option<Field> {
        let line = self.peek()?;
        let is_from = is_from(line);
        let name = name_length(line).filter(|_| !is_from || first)?;
        let mut text = self.next()?.to_vec();
        let continues = |line: &[u8]| if is_from { line.starts_with(b">") } else { line.starts_with(b" ") || line.starts_with(b"\t") };
        while let Some(more) = self.peek().filter(|line| continues(line)) {
            text.extend_from_slice(more);
            self.next();
        }
        end_line(&mut text);
        let mut field = Field { text, name };
        field.close_up();
        Some(field)
    }
}

/// Makes sure that a text ends with a newline.
pub(super) fn end_line(text: &mut Vec<u8>) {
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
}
