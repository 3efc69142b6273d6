//! Made-up mail: seeded, with the headers and structures of real mail, so that parsers and searches have something to do.

use crate::random::Random;

/// Words of the made-up texts. Searches ask for them, so that some messages match and most do not.
pub(crate) const WORDS: [&str; 48] = [
    "harbour",
    "lantern",
    "meeting",
    "invoice",
    "garden",
    "weather",
    "photograph",
    "railway",
    "committee",
    "autumn",
    "package",
    "delivery",
    "concert",
    "budget",
    "holiday",
    "kitchen",
    "library",
    "question",
    "answer",
    "version",
    "release",
    "server",
    "mailbox",
    "password",
    "mountain",
    "bicycle",
    "schedule",
    "proposal",
    "receipt",
    "newsletter",
    "family",
    "weekend",
    "project",
    "contract",
    "insurance",
    "dentist",
    "the",
    "and",
    "for",
    "with",
    "from",
    "that",
    "this",
    "will",
    "have",
    "been",
    "about",
    "please",
];
const PEOPLE: [&str; 8] = ["Ada Moss", "Ben Holt", "Cleo Marsh", "Dan Frost", "Eva Lund", "Finn Ash", "Gita Rao", "Hugo Stern"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Octets of a line of text, and of base64.
const LINE: usize = 72;
/// Messages above this size are one long text: structure no longer matters, copying does.
const STRUCTURED: usize = 2 << 20;

/// How a made-up message is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Alternative,
    Attachment,
}

/// What one message is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sketch<'a> {
    /// Its number in the run; with the seed it decides everything else.
    pub(crate) number: u64,
    /// The seed of the run.
    pub(crate) seed: u64,
    /// About how many octets, headers included; a message has some hundred at least.
    pub(crate) size: usize,
    /// The address in `From`.
    pub(crate) from: &'a str,
    /// The address in `To`.
    pub(crate) to: &'a str,
    /// Only text/plain, as load tests of SMTP send it; otherwise one in three has parts.
    pub(crate) plain: bool,
}

/// Appends the message with CRLF line ends. No line begins with a dot.
pub(crate) fn write(sketch: &Sketch<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(sketch.size + 1024);
    let mut random = Random::new(sketch.seed ^ sketch.number.wrapping_mul(0x1_0000_01b3));
    let shape = match random.below(10) {
        _ if sketch.plain || sketch.size > STRUCTURED || sketch.size < 2048 => Shape::Plain,
        0..=1 => Shape::Attachment,
        2..=3 => Shape::Alternative,
        _ => Shape::Plain,
    };
    header(sketch, shape, &mut random, out);
    let room = sketch.size.saturating_sub(out.len() - start);
    match shape {
        Shape::Plain => text(&mut random, room, out),
        Shape::Alternative => alternative(&mut random, room, out),
        Shape::Attachment => attachment(&mut random, room, out),
    }
}

/// The message as a Maildir holds it: with LF line ends.
pub(crate) fn with_bare_line_ends(message: &[u8]) -> Vec<u8> {
    message.iter().copied().filter(|octet| *octet != b'\r').collect()
}

/// When the message claims to be written: seconds since 1970, spread over fifteen years by its number.
pub(crate) fn date(number: u64) -> u64 {
    1_200_000_000 + number.wrapping_mul(7_919_333) % 470_000_000
}

fn header(sketch: &Sketch<'_>, shape: Shape, random: &mut Random, out: &mut Vec<u8>) {
    let Sketch { number, from, to, seed, .. } = sketch;
    let author = random.pick(&PEOPLE).unwrap_or(&"Nobody");
    let stamp = rfc5322(date(*number));
    let subject = [0; 4].map(|_| *random.pick(&WORDS).unwrap_or(&"words")).join(" ");
    let lines = format!(
        "Received: from client.example (client.example [192.0.2.{host}])\r\n\tby relay.example (Relay) with ESMTP id {seed:x}{number:08x}\r\n\
         \tfor <{to}>; {stamp}\r\nMessage-ID: <{seed:x}.{number}@load.example>\r\nDate: {stamp}\r\nFrom: {author} <{from}>\r\nTo: <{to}>\r\n\
         Subject: {subject} {number}\r\nMIME-Version: 1.0\r\nUser-Agent: load\r\n",
        host = number % 250 + 1,
    );
    out.extend_from_slice(lines.as_bytes());
    let content: &[u8] = match shape {
        Shape::Plain => b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n",
        Shape::Alternative => b"Content-Type: multipart/alternative; boundary=\"=_load\"\r\n",
        Shape::Attachment => b"Content-Type: multipart/mixed; boundary=\"=_load\"\r\n",
    };
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

fn alternative(random: &mut Random, room: usize, out: &mut Vec<u8>) {
    let room = room.saturating_sub(230);
    out.extend_from_slice(b"--=_load\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
    text(random, room / 3, out);
    out.extend_from_slice(b"\r\n--=_load\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>\r\n");
    text(random, room - room / 3, out);
    out.extend_from_slice(b"</p></body></html>\r\n--=_load--\r\n");
}

fn attachment(random: &mut Random, room: usize, out: &mut Vec<u8>) {
    let room = room.saturating_sub(330);
    out.extend_from_slice(b"--=_load\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
    text(random, room / 4, out);
    out.extend_from_slice(
        b"\r\n--=_load\r\nContent-Type: application/pdf; name=\"paper.pdf\"\r\nContent-Disposition: attachment; filename=\"paper.pdf\"\r\n\
          Content-Transfer-Encoding: base64\r\n\r\n",
    );
    base64(random, room - room / 4, out);
    out.extend_from_slice(b"--=_load--\r\n");
}

/// Lines of words, at least `room` octets.
fn text(random: &mut Random, room: usize, out: &mut Vec<u8>) {
    let end = out.len() + room;
    let mut line = 0;
    while out.len() + 2 < end {
        let word = random.pick(&WORDS).unwrap_or(&"words");
        if line + word.len() >= LINE {
            out.extend_from_slice(b"\r\n");
            line = 0;
        }
        out.extend_from_slice(word.as_bytes());
        out.push(b' ');
        line += word.len() + 1;
    }
    out.extend_from_slice(b"\r\n");
}

/// Lines that look like base64 and decode to noise.
fn base64(random: &mut Random, room: usize, out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for _ in 0..room / (LINE + 2) + 1 {
        for _ in 0..LINE / 8 {
            let bits = random.next();
            out.extend((0..8).map(|index| ALPHABET[usize::from((bits >> (index * 6)) as u8 & 63)]));
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// A date as RFC 5322 writes it, in UTC.
fn rfc5322(seconds: u64) -> String {
    let days = seconds / 86_400;
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day} {} {year} {hour:02}:{minute:02}:{second:02} +0000", MONTHS[month])
}

/// Year, month (from 0) and day of a day since 1970, by counting: it is called once for a message, with days of this century.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while month < 11 && days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64, size: usize, plain: bool) -> Vec<u8> {
        let mut out = Vec::new();
        write(&Sketch { number, seed: 1, size, from: "a@load.example", to: "b@load.example", plain }, &mut out);
        out
    }

    #[test]
    fn sizes_are_near() {
        for size in [4096, 65_536, 1 << 20, 10 << 20] {
            for number in 0..20 {
                let length = message(number, size, false).len();
                assert!(length.abs_diff(size) < 200, "{number}: {length} of {size}");
            }
        }
        assert!(message(1, 10, true).len() < 1000);
    }

    #[test]
    fn well_formed() {
        for number in 0..50 {
            let message = message(number, 8000, false);
            assert!(message.ends_with(b"\r\n"));
            let text = String::from_utf8(message).unwrap();
            assert!(text.split("\r\n").all(|line| line.len() < 200 && !line.contains(['\r', '\n']) && !line.starts_with('.')));
            assert_eq!(text.contains("multipart"), text.contains("--=_load--"));
        }
    }

    #[test]
    fn same_number_same_message() {
        assert_eq!(message(3, 5000, false), message(3, 5000, false));
        assert_ne!(message(3, 5000, false), message(4, 5000, false));
    }

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 +0000"),
            (1_609_459_199, "Thu, 31 Dec 2020 23:59:59 +0000"),
        ] {
            assert_eq!(rfc5322(seconds), expected);
        }
    }
}
