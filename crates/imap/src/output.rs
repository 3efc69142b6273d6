//! The output buffer, and how the words of IMAP are written into it: numbers, strings, names, sets, dates.
//!
//! Everything is formatted straight into one vector. The driver takes it as it is; a command that has more to say than
//! the buffer should hold stops and goes on when it was sent.

use std::sync::LazyLock;

use mail::{Flags, Keyword, UidSet};

use crate::date;
use crate::name;

/// Answers on their way to the client.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// So many of them were sent.
    sent: usize,
}

/// Two digits at a time, so that a number costs half the divisions.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Every set of system flags in parentheses, and the same with `\Recent`.
static SYSTEM_FLAGS: LazyLock<[FlagList; 64]> = LazyLock::new(|| std::array::from_fn(FlagList::new));

/// In [`SYSTEM_FLAGS`], where the sets with `\Recent` begin.
const RECENT: usize = 32;

/// A list of flags at the front of more octets than any has, since copying a fixed number takes a few instructions.
struct FlagList {
    octets: [u8; 64],
    length: usize,
}

impl FlagList {
    fn new(index: usize) -> Self {
        let recent = if index >= RECENT { Some("\\Recent") } else { None };
        let names: Vec<_> = recent.into_iter().chain(Flags::from_bits(index as u8 & 31).iter().map(|flag| flag.name())).collect();
        let text = format!("({})", names.join(" "));
        let mut octets = [0; 64];
        octets[..text.len()].copy_from_slice(text.as_bytes());
        Self { octets, length: text.len() }
    }
}

impl Output {
    /// What waits to be sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// The vector itself, for the writers of `mime`.
    pub(crate) fn vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The first `count` octets were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.sent = self.bytes.len().min(self.sent + count);
    }

    /// Forgets what was sent. To be called before anything is written: the vector then holds what is to be sent and no more.
    pub(crate) fn forget_sent(&mut self) {
        self.bytes.drain(..std::mem::take(&mut self.sent));
    }

    /// Gives a large buffer back while nothing is to be said: most sessions are idle.
    pub(crate) fn rest(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > 4096 {
            self.bytes = Vec::new();
        }
    }

    /// These octets as they are.
    #[inline]
    pub(crate) fn raw(&mut self, octets: &[u8]) {
        self.bytes.extend_from_slice(octets);
    }

    /// This text as it is.
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// One octet.
    #[inline]
    pub(crate) fn byte(&mut self, octet: u8) {
        self.bytes.push(octet);
    }

    /// The first `length` of these octets.
    #[inline]
    fn front<const N: usize>(&mut self, octets: &[u8; N], length: usize) {
        let end = self.bytes.len() + length;
        self.bytes.extend_from_slice(octets);
        self.bytes.truncate(end);
    }

    /// The end of a line.
    pub(crate) fn end(&mut self) {
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A number in decimal.
    pub(crate) fn number(&mut self, number: impl Into<u64>) {
        let mut rest: u64 = number.into();
        let length = rest.checked_ilog10().map_or(1, |log| log as usize + 1);
        let start = self.bytes.len();
        // Written where they are to stay: reading single octets back as words would wait for each of them.
        self.bytes.extend_from_slice(&[0; 20]);
        self.bytes.truncate(start + length);
        let digits = &mut self.bytes[start..];
        let mut at = length;
        while rest >= 100 {
            let pair = (rest % 100) as usize * 2;
            rest /= 100;
            at -= 2;
            digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        }
        if rest >= 10 {
            let pair = rest as usize * 2;
            digits[..2].copy_from_slice(&PAIRS[pair..pair + 2]);
        } else {
            digits[0] = b'0' + rest as u8;
        }
    }

    /// A string: quoted if it may be, otherwise a literal (RFC 3501 section 4.3).
    pub(crate) fn string(&mut self, octets: &[u8]) {
        let plain = |b: &u8| (0x20..0x7f).contains(b) && *b != b'"' && *b != b'\\';
        if octets.len() <= 1024 && octets.iter().all(plain) {
            self.byte(b'"');
            self.raw(octets);
            self.byte(b'"');
        } else {
            self.literal_head(octets.len() as u64);
            self.raw(octets);
        }
    }

    /// The announcement of a literal.
    pub(crate) fn literal_head(&mut self, size: u64) {
        self.byte(b'{');
        self.number(size);
        self.raw(b"}\r\n");
    }

    /// A mailbox name as an astring, in modified UTF-7 (RFC 3501 section 5.1.3).
    pub(crate) fn mailbox(&mut self, mailbox: &str) {
        let encoded = name::encode(mailbox);
        let atom = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b);
        if !encoded.is_empty() && encoded.bytes().all(atom) && !encoded.eq_ignore_ascii_case("NIL") {
            self.text(&encoded);
        } else {
            self.string(encoded.as_bytes());
        }
    }

    /// A set of numbers: `1:3,7`.
    pub(crate) fn set(&mut self, set: &UidSet) {
        for (at, (first, last)) in set.ranges().iter().enumerate() {
            if at > 0 {
                self.byte(b',');
            }
            self.number(*first);
            if first != last {
                self.byte(b':');
                self.number(*last);
            }
        }
    }

    /// A date and time in quotes, in UTC: `"17-Jul-1996 02:44:25 +0000"`.
    pub(crate) fn date_time(&mut self, seconds: i64) {
        date::write(seconds, &mut self.bytes);
    }

    /// Flags and keywords in parentheses. `keywords` names the bits.
    pub(crate) fn flags(&mut self, recent: bool, flags: Flags, bits: u64, keywords: &[Keyword]) {
        let list = &SYSTEM_FLAGS[usize::from(flags.bits() & 31) + if recent { RECENT } else { 0 }];
        self.front(&list.octets, list.length);
        if bits != 0 {
            self.add_keywords(list.length > 2, bits, keywords);
        }
    }

    /// Puts keywords into the list of flags that was just written; `more` if it has some.
    fn add_keywords(&mut self, mut more: bool, bits: u64, keywords: &[Keyword]) {
        self.bytes.pop();
        let mut rest = bits;
        while rest != 0 {
            let bit = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if let Some(keyword) = keywords.get(bit) {
                if std::mem::replace(&mut more, true) {
                    self.byte(b' ');
                }
                self.text(keyword.as_str());
            }
        }
        self.byte(b')');
    }

    /// Text for people: printable ASCII on one line, whatever it was.
    pub(crate) fn remark(&mut self, text: &str) {
        let printable = |b: u8| if (0x20..0x7f).contains(&b) { b } else { b'?' };
        self.bytes.extend(text.bytes().take(500).map(printable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Output), expected: &str) {
        let mut out = Output::default();
        write(&mut out);
        assert_eq!(String::from_utf8_lossy(out.bytes()), expected);
    }

    #[test]
    fn numbers_in_decimal() {
        for number in [0, 7, 10, 99, 100, 101, 999, 1_000, 123_456_789, u64::from(u32::MAX), u64::MAX] {
            check(|out| out.number(number), &number.to_string());
        }
    }

    #[test]
    fn strings_are_quoted_or_literals() {
        check(|out| out.string(b"plain text"), "\"plain text\"");
        check(|out| out.string(b""), "\"\"");
        check(|out| out.string(b"say \"hi\""), "{8}\r\nsay \"hi\"");
        check(|out| out.string(b"a\r\nb"), "{4}\r\na\r\nb");
    }

    #[test]
    fn mailbox_names_are_atoms_where_they_may_be() {
        check(|out| out.mailbox("INBOX"), "INBOX");
        check(|out| out.mailbox("Sent Items"), "\"Sent Items\"");
        check(|out| out.mailbox("Entwürfe"), "Entw&APw-rfe");
        check(|out| out.mailbox("nil"), "\"nil\"");
        check(|out| out.mailbox(""), "\"\"");
    }

    #[test]
    fn flags_have_no_blank_too_many() {
        let keywords = ["$Forwarded".parse().unwrap(), "work".parse().unwrap()];
        let seen = Flags::NONE.with(mail::Flag::Seen, true);
        check(|out| out.flags(false, Flags::NONE, 0, &keywords), "()");
        check(|out| out.flags(true, seen, 0b10, &keywords), "(\\Recent \\Seen work)");
        check(|out| out.flags(false, Flags::NONE, 0b111, &keywords), "($Forwarded work)");
    }
}
