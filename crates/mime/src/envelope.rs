//! ENVELOPE (RFC 3501 section 7.4.2): the fields of a header that a list of messages shows.
//!
//! Strings are raw: encoded words stay as they are. Address fields that occur twice are joined, so that nobody can hide
//! an author in a second `From`; of the other fields the last one counts. Both are Dovecot's rules.

use crate::address::{Address, addresses};
use crate::header::{self, Field};
use crate::{limits, wire};

/// What ENVELOPE says of one header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `Date`, as written, comment and all.
    pub date: Option<Vec<u8>>,
    /// `Subject`.
    pub subject: Option<Vec<u8>>,
    /// `From`.
    pub from: Vec<Address>,
    /// `Sender`; empty if there is none, although ENVELOPE then repeats `From`.
    pub sender: Vec<Address>,
    /// `Reply-To`; as for `Sender`.
    pub reply_to: Vec<Address>,
    /// `To`.
    pub to: Vec<Address>,
    /// `Cc`.
    pub cc: Vec<Address>,
    /// `Bcc`.
    pub bcc: Vec<Address>,
    /// `In-Reply-To`.
    pub in_reply_to: Option<Vec<u8>>,
    /// `Message-ID`.
    pub message_id: Option<Vec<u8>>,
}

impl Envelope {
    /// Reads a header.
    #[must_use]
    pub fn of(header: &[u8]) -> Self {
        let mut envelope = Self::default();
        for field in header::fields(header) {
            envelope.take(&field);
        }
        envelope
    }

    fn take(&mut self, field: &Field<'_>) {
        match field.name.to_ascii_lowercase().as_slice() {
            b"date" => self.date = Some(field.joined().into_owned()),
            b"subject" => self.subject = Some(field.text().into_owned()),
            b"in-reply-to" => self.in_reply_to = Some(field.joined().into_owned()),
            b"message-id" => self.message_id = Some(field.joined().into_owned()),
            b"from" => add(&mut self.from, field),
            b"sender" => add(&mut self.sender, field),
            b"reply-to" => add(&mut self.reply_to, field),
            b"to" => add(&mut self.to, field),
            b"cc" => add(&mut self.cc, field),
            b"bcc" => add(&mut self.bcc, field),
            _ => {}
        }
    }

    /// Appends the parenthesized list of ten.
    pub fn write(&self, out: &mut Vec<u8>) {
        let or_from = |list: &'_ Vec<Address>| if list.is_empty() { self.from.clone() } else { list.clone() };
        out.push(b'(');
        wire::nstring(self.date.as_deref(), out);
        out.push(b' ');
        match &self.subject {
            Some(subject) => wire::for_people(subject, out),
            None => out.extend_from_slice(b"NIL"),
        }
        let (sender, reply_to) = (or_from(&self.sender), or_from(&self.reply_to));
        for list in [&self.from, &sender, &reply_to, &self.to, &self.cc, &self.bcc] {
            out.push(b' ');
            write_addresses(list, out);
        }
        for text in [&self.in_reply_to, &self.message_id] {
            out.push(b' ');
            wire::nstring(text.as_deref(), out);
        }
        out.push(b')');
    }
}

fn add(list: &mut Vec<Address>, field: &Field<'_>) {
    if list.len() < limits::ADDRESSES {
        list.extend(addresses(field.value));
    }
}

fn write_addresses(list: &[Address], out: &mut Vec<u8>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        match &address.name {
            Some(name) => wire::for_people(name, out),
            None => out.extend_from_slice(b"NIL"),
        }
        for part in [&address.route, &address.mailbox, &address.host] {
            out.push(b' ');
            wire::nstring(part.as_deref(), out);
        }
        out.push(b')');
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: &str) {
        let mut out = Vec::new();
        Envelope::of(header.as_bytes()).write(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{header:?}");
    }

    #[test]
    fn writes_the_list_of_ten() {
        check("", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        check(
            "From: A <a@b>\nSubject: x\n\t y\nSender:\nMessage-ID: <1@2>\nIn-Reply-To:\n",
            "(NIL \"x y\" ((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) NIL NIL NIL \"\" \"<1@2>\")",
        );
        check("to: a@b\nTo: c@d\nDate: 1\nDate: 2", "(\"2\" NIL NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL NIL)");
    }
}
