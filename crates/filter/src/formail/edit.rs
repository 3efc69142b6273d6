//! Makes one message of another.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::fields::{FROM, Field, Lines, end_line, name_length};
use super::sender::{Trust, address};
use super::split::Place;
use super::{Edited, Options, seen};
use crate::eval::calendar;

/// The originator when none can be found.
const UNKNOWN: &[u8] = b"foo@bar";
/// The longest subject in a summary, and the column of the size.
const LONGEST_SUBJECT: usize = 78;
const SIZE_COLUMN: usize = 72;

impl Options {
    /// Edits a message. `now` (seconds since 1970) is the time for a `From ` line that has to be made.
    ///
    /// # Errors
    /// Those of the cache of ids.
    pub fn edit(&self, message: &[u8], now: u64) -> io::Result<Edited> {
        let start = message.iter().take_while(|octet| **octet == b'\n').count();
        let mut lines = Lines::new(&message[start..]);
        let mut fields = lines.header();
        if self.join {
            fields.iter_mut().for_each(Field::join);
        }
        if self.tidy {
            fields.retain_mut(Field::tidy);
        }
        // What will be gone or have another name tells no sender.
        let gone = || self.replace.iter().chain(self.rename.iter().map(|(old, _)| old)).filter(|text| key(text) != FROM);
        let replaced = |field: &Field| !self.reply && gone().any(|text| field.is(key(text)));
        let naming: Vec<Field> = fields.iter().filter(|field| !replaced(field)).cloned().collect();
        let sender = address(&naming, self.trusted());
        let mut edited = Edited { no_address: self.reply && sender.is_none(), ..Edited::default() };
        if let Some((longest, path)) = &self.cache {
            let key = if self.reply { sender.clone() } else { message_id(&fields) };
            edited.duplicate = seen::seen(path, *longest, key.as_deref())?;
            if self.split.is_none() {
                return Ok(edited);
            }
        }
        let digest = self.split.as_ref().is_some_and(|split| split.digest);
        let length = if self.berkeley || digest || self.reply || self.extracts() { 0 } else { content_length(&fields) };
        let bare = !fields.first().is_some_and(|field| field.text.starts_with(FROM));
        let mut header = if self.reply { self.reply_header(fields, sender) } else { self.with_from_line(fields, sender, now) };
        let missing: Vec<Field> = self
            .add_missing
            .iter()
            .filter(|text| name_length(text).is_some() && !header.iter().any(|field| field.is(key(text))))
            .map(|text| made(text, now))
            .collect();
        self.change(&mut header);
        header.extend(missing);
        let added = [&self.add, &self.rename_old, &self.replace];
        header.extend(added.into_iter().flatten().filter(|text| key(text).len() < text.len()).map(|text| made(text, now)));
        self.write(&header, &mut lines, (length, bare), &mut edited.text);
        Ok(edited)
    }

    fn extracts(&self) -> bool {
        !self.extract.is_empty() || !self.extract_whole.is_empty()
    }

    fn trusted(&self) -> Trust {
        let resent = self.add_missing.iter().any(|text| text.eq_ignore_ascii_case(b"Resent-"));
        match (self.trust && self.reply, resent) {
            (true, true) => Trust::Resent,
            (true, false) => Trust::Writer,
            (false, _) => Trust::Envelope,
        }
    }

    /// The header of a reply: of the old fields only X-Loop and those named with `-i` remain.
    fn reply_header(&self, fields: Vec<Field>, sender: Option<Vec<u8>>) -> Vec<Field> {
        let value =
            |name: &[u8]| fields.iter().rev().find(|field| field.name().eq_ignore_ascii_case(name)).map(|field| spaced(field.value()));
        let (subject, references, id) = (value(b"Subject:"), value(b"References:"), value(b"Message-ID:"));
        let mut new = vec![field(b"To:", &[b" ", sender.as_deref().unwrap_or(UNKNOWN), b"\n"].concat())];
        if let Some(subject) = subject.filter(|subject| subject != b" \n") {
            new.push(field(b"Subject:", &[b" Re:".as_slice(), &subject].concat()));
        }
        let thread = match (references, &id) {
            (Some(mut references), Some(id)) => {
                references.pop();
                Some([references, id.clone()].concat())
            }
            (Some(references), None) => Some(references),
            (None, id) => id.clone(),
        };
        new.extend(thread.map(|thread| field(b"References:", &thread)));
        new.extend(id.map(|id| field(b"In-Reply-To:", &id)));
        let kept = |field: &Field| field.is(b"X-Loop:") || self.rename_old.iter().any(|text| !has_value(text) && field.is(key(text)));
        let mut header: Vec<Field> = fields.into_iter().filter(kept).collect();
        header.extend(new);
        header
    }

    /// The header with a `From ` line in front.
    fn with_from_line(&self, mut fields: Vec<Field>, sender: Option<Vec<u8>>, now: u64) -> Vec<Field> {
        let renewed = self.replace.iter().any(|text| text == FROM) && self.add_missing.iter().any(|text| text == FROM);
        // One that would be removed or renamed is not made.
        let means_from = |text: &Vec<u8>| FROM.get(..key(text).len()).is_some_and(|start| start.eq_ignore_ascii_case(key(text)));
        let renamed = self.rename.iter().map(|(old, _)| old);
        if !renewed && self.rename_old.iter().chain(&self.replace).chain(renamed).any(means_from) {
            return fields;
        }
        if renewed {
            fields.retain(|field| !field.text.starts_with(FROM));
        } else if self.force || fields.first().is_some_and(|field| field.text.starts_with(FROM)) {
            return fields;
        }
        let dated = self.add_missing.iter().any(|text| key(text).eq_ignore_ascii_case(b"Date:"));
        let date = fields.iter().find(|field| dated && field.is(b"Date:")).map(|field| field.value().to_vec());
        let date = date.unwrap_or_else(|| format!("  {}\n", calendar(now)).into_bytes());
        let text = [FROM, sender.as_deref().unwrap_or(UNKNOWN), &date].concat();
        fields.insert(0, Field { text, name: FROM.len() });
        fields
    }

    /// Removes and renames fields.
    fn change(&self, header: &mut Vec<Field>) {
        let named = |field: &Field, texts: &[Vec<u8>]| texts.iter().any(|text| field.is(key(text)));
        // A `From ` line that was made anew stays.
        let renewed = self.add_missing.iter().any(|text| text == FROM);
        header.retain(|field| !named(field, &self.replace) || (renewed && field.text.starts_with(FROM)));
        for wanted in &self.first {
            let mut found = false;
            header.retain(|field| !field.is(key(wanted)) || !std::mem::replace(&mut found, true));
        }
        for wanted in &self.last {
            let mut left = header.iter().filter(|field| field.is(key(wanted))).count();
            header.retain(|field| {
                left -= usize::from(field.is(key(wanted)));
                !field.is(key(wanted)) || left == 0
            });
        }
        for field in header {
            if let Some((old, new)) = self.rename.iter().find(|(old, _)| field.is(key(old))) {
                let whole = key(old).ends_with(b":") || name_length(new).is_some();
                let end = if whole { field.name } else { key(old).len() };
                field.text.splice(..end, key(new).iter().copied());
                field.name = name_length(&field.text).unwrap_or(0);
            } else if self.rename_old.iter().any(|text| field.is(key(text)) && (!self.reply || has_value(text))) {
                field.text.splice(..0, *b"Old-");
                field.name = name_length(&field.text).unwrap_or(0);
            }
        }
    }

    /// Writes header and body, or what is asked for of them.
    fn write(&self, header: &[Field], lines: &mut Lines<'_>, (length, bare): (usize, bool), out: &mut Vec<u8>) {
        if self.extracts() {
            header.iter().for_each(|field| self.write_extract(field, out));
        } else {
            header.iter().for_each(|field| out.extend_from_slice(&field.text));
        }
        let keeps_body = self.keep_body || !(self.reply || self.extracts());
        if !self.extracts() || keeps_body {
            out.push(b'\n');
        }
        let divided = lines.peek() == Some(b"\n");
        if divided {
            lines.next();
        }
        if keeps_body {
            self.write_body(lines, length, (divided, bare), out);
        }
        if let Some(folder) = &self.summary {
            *out = summary(header, folder, out.len());
        }
    }

    fn write_extract(&self, field: &Field, out: &mut Vec<u8>) {
        if self.extract.iter().any(|wanted| field.is(key(wanted))) {
            let value = field.value();
            let value = if self.tidy { value.trim_ascii() } else { &value[..value.len() - 1] };
            out.extend_from_slice(value);
            out.push(b'\n');
        } else if self.extract_whole.iter().any(|wanted| field.is(key(wanted))) {
            out.extend_from_slice(&field.text);
        }
    }

    /// The body; it ends with an empty line. What Content-Length covers is not quoted, nor what could have begun a message (behind an
    /// empty line, as the one that divides header and body) but has too few fields. In a digest, neither is a line that ends the
    /// header of a message without a `From ` line (`bare`).
    fn write_body(&self, lines: &mut Lines<'_>, length: usize, (divided, bare): (bool, bool), out: &mut Vec<u8>) {
        let covered = lines.rest().len().saturating_sub(length);
        let mut empty = true;
        let babyl = self.split.as_ref().is_some_and(|split| split.babyl);
        let splits = self.split.as_ref().filter(|split| !split.babyl);
        let (mut settled, mut short_until) = (!divided, usize::MAX);
        let mut ends_header = bare && !divided;
        while !lines.rest().is_empty() {
            let left = lines.rest().len();
            let possible = splits.filter(|split| !settled && (empty || split.anywhere) && left <= covered);
            if let Some(Place::Short(length)) = possible.map(|split| split.place(lines.rest())) {
                short_until = left - length;
            }
            let short = short_until != usize::MAX && left > short_until;
            let plain = short || (ends_header && splits.is_some_and(|split| split.digest));
            // The line behind a short header is settled as well.
            (settled, ends_header) = (short, false);
            let Some(line) = lines.next() else { break };
            let escaped = !self.keep_from_lines && !babyl;
            if escaped && !plain && line.starts_with(FROM) && lines.rest().len() + line.len() <= covered {
                out.extend_from_slice(&self.quote);
            }
            empty = line == b"\n";
            if escaped && self.reply && !empty {
                out.extend_from_slice(&self.quote);
            }
            out.extend_from_slice(line);
        }
        if !empty {
            end_line(out);
            if !babyl {
                out.push(b'\n');
            }
        }
    }
}

/// A summary as in procmail's log.
fn summary(header: &[Field], folder: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut subject = false;
    for field in header {
        if field.text.starts_with(FROM) {
            out.extend_from_slice(&field.text);
        } else if field.is(b"Subject:") && !std::mem::replace(&mut subject, true) {
            let mut field = field.clone();
            field.join();
            let line = &field.text[..field.text.len() - 1];
            out.push(b' ');
            out.extend(line.iter().take(LONGEST_SUBJECT).map(|octet| if *octet == b'\t' { b' ' } else { *octet }));
            out.push(b'\n');
        }
    }
    out.extend_from_slice(b"  Folder: ");
    out.extend_from_slice(folder);
    let mut column = (folder.len() + 10) / 8 * 8;
    loop {
        out.push(b'\t');
        column += 8;
        if column >= SIZE_COLUMN {
            break;
        }
    }
    out.extend_from_slice(format!("{size:>7}\n").as_bytes());
    out
}

/// The part of an option's value that names fields: up to the colon, or all of it.
fn key(text: &[u8]) -> &[u8] {
    name_length(text).map_or(text, |length| &text[..length])
}

fn has_value(text: &[u8]) -> bool {
    name_length(text).is_some_and(|length| text.len() > length)
        || [&b"message-id:"[..], b"resent-message-id:"].iter().any(|name| text.eq_ignore_ascii_case(name))
}

/// The field of an option's value; a Message-ID without a value is made up.
fn made(text: &[u8], now: u64) -> Field {
    let name = key(text).len();
    let mut line = text.to_vec();
    if name == text.len() && has_value(text) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let host = rustix::system::uname();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let host = host.nodename().to_string_lossy().into_owned();
        line.extend_from_slice(format!(" <{now:x}.{:x}.{count:x}@{host}>", std::process::id()).as_bytes());
    }
    end_line(&mut line);
    Field { text: line, name }
}

fn field(name: &[u8], value: &[u8]) -> Field {
    Field { text: [name, value].concat(), name: name.len() }
}

/// The value with a blank in front.
fn spaced(value: &[u8]) -> Vec<u8> {
    if matches!(value.first(), Some(b' ' | b'\t')) { value.to_vec() } else { [b" ", value].concat() }
}

fn message_id(fields: &[Field]) -> Option<Vec<u8>> {
    let field = fields.iter().rfind(|field| field.is(b"Message-ID:"))?;
    let value = field.value().strip_suffix(b"\n").unwrap_or(field.value());
    let id = value.iter().position(|octet| *octet != b' ').map(|start| value[start..].to_vec());
    id.filter(|id| !id.is_empty())
}

pub(super) fn content_length(fields: &[Field]) -> usize {
    let field = fields.iter().find(|field| field.is(b"Content-Length:"));
    let first = field.and_then(|field| field.value().split(|octet| octet.is_ascii_whitespace()).find(|word| !word.is_empty()));
    first.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok()).unwrap_or(0)
}
