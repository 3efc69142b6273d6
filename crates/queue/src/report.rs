//! Telling a sender what became of his message (RFC 3464, RFC 3461 section 6, RFC 6533).
//!
//! [`compose`] only writes the message. Who calls it sends the result from the null sender to the reverse path.

use std::fmt::Write;

use mail::{Enhanced, Envelope, MessageId, Recipient, Returned, ReversePath};

/// What became of one recipient's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was given up.
    Failed,
    /// It was not delivered so far; it is tried on.
    Delayed,
    /// It was delivered.
    Delivered,
}

/// One recipient to be told of.
#[derive(Clone, Debug)]
pub struct Fate<'a> {
    /// Who.
    pub recipient: &'a Recipient,
    /// What.
    pub action: Action,
    /// The enhanced status code, such as `5.1.1`.
    pub status: Enhanced,
    /// The other server's reply, or the cause in words; one line.
    pub diagnostic: &'a str,
    /// The other server's name, if there was one; the diagnostic is then its reply.
    pub remote: Option<&'a str>,
}

/// Who reports, and when.
#[derive(Clone, Copy, Debug)]
pub struct Reporter<'a> {
    /// The name of this machine.
    pub host: &'a str,
    /// The id of the report.
    pub id: MessageId,
    /// Microseconds since 1970.
    pub now: u64,
}

/// The longest diagnostic that is passed on, in characters.
const LONGEST_DIAGNOSTIC: usize = 500;

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Failed => "could not be delivered",
            Self::Delayed => "has not been delivered yet; this server goes on trying",
            Self::Delivered => "was delivered",
        }
    }

    /// Whether the sender wants to hear of it (RFC 3461 section 4.1).
    fn is_wanted(self, recipient: &Recipient) -> bool {
        match self {
            Self::Failed => recipient.notify.failure,
            Self::Delayed => recipient.notify.delay,
            Self::Delivered => recipient.notify.success,
        }
    }
}

/// Writes a report on a message, with line feeds as line ends. `content` is the message; its header comes with the report, or
/// all of it if the sender asked for that and a recipient failed. `None` if there is nobody who wants to hear of it.
#[must_use]
pub fn compose(reporter: Reporter<'_>, envelope: &Envelope, fates: &[Fate<'_>], content: &[u8]) -> Option<Vec<u8>> {
    let ReversePath::Address(sender) = &envelope.reverse_path else { return None };
    let fates: Vec<_> = fates.iter().filter(|fate| fate.action.is_wanted(fate.recipient)).collect();
    let worst =
        [Action::Failed, Action::Delayed, Action::Delivered].into_iter().find(|action| fates.iter().any(|f| f.action == *action))?;
    let full = worst == Action::Failed && envelope.parameters.returned == Some(Returned::Full);
    let original = if full { content } else { header(content) };
    let status = status(reporter, envelope, &fates);
    let global = !status.is_ascii() || !sender.to_string().is_ascii();
    let boundary = boundary(reporter.id, original);
    let mut text = String::new();
    let subject = match worst {
        Action::Failed => "Your message could not be delivered",
        Action::Delayed => "Your message is delayed",
        Action::Delivered => "Your message was delivered",
    };
    let Reporter { host, id, now } = reporter;
    let _ = write!(
        text,
        "From: Mail Delivery System <MAILER-DAEMON@{host}>\nTo: {sender}\nSubject: {subject}\nDate: {}\nMessage-ID: <{id}@{host}>\n\
         Auto-Submitted: auto-replied\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type={};\n\tboundary=\"{boundary}\"\n\n\
         --{boundary}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n",
        date(now),
        if global { "global-delivery-status" } else { "delivery-status" },
    );
    let _ = write!(text, "This is the mail server at {host}.\n\n");
    for fate in &fates {
        let (recipient, sentence) = (&fate.recipient.address, fate.action.sentence());
        let _ = write!(text, "Your message to {recipient} {sentence}:\n    {}\n\n", line(fate.diagnostic));
    }
    let kind = if global { "message/global-delivery-status" } else { "message/delivery-status" };
    let _ = write!(text, "--{boundary}\nContent-Type: {kind}\n{}\n{status}\n", if status.is_ascii() { "" } else { EIGHT_BIT });
    let kind = match (full, global) {
        (true, false) => "message/rfc822",
        (true, true) => "message/global",
        (false, false) => "text/rfc822-headers",
        (false, true) => "message/global-headers",
    };
    let encoding = if original.is_ascii() { "" } else { EIGHT_BIT };
    let _ = write!(text, "--{boundary}\nContent-Type: {kind}\n{encoding}\n");
    let mut octets = text.into_bytes();
    octets.extend_from_slice(original);
    octets.extend_from_slice(format!("\n--{boundary}--\n").as_bytes());
    Some(octets)
}

const EIGHT_BIT: &str = "Content-Transfer-Encoding: 8bit\n";

/// The part for programs (RFC 3464 section 2.1).
fn status(reporter: Reporter<'_>, envelope: &Envelope, fates: &[&Fate<'_>]) -> String {
    let mut text = String::new();
    if let Some(id) = &envelope.parameters.envelope_id {
        let _ = writeln!(text, "Original-Envelope-Id: {}", line(id));
    }
    let _ = writeln!(text, "Reporting-MTA: dns; {}", reporter.host);
    if !envelope.helo.is_empty() {
        let _ = writeln!(text, "Received-From-MTA: dns; {}", line(&envelope.helo));
    }
    let _ = writeln!(text, "Arrival-Date: {}", date(envelope.id.micros()));
    for fate in fates {
        let address = fate.recipient.address.to_string();
        let kind = if address.is_ascii() { "rfc822" } else { "utf-8" };
        text.push('\n');
        if let Some(original) = &fate.recipient.original {
            let _ = writeln!(text, "Original-Recipient: {}", line(original));
        }
        let _ = writeln!(text, "Final-Recipient: {kind}; {address}\nAction: {}\nStatus: {}", fate.action.word(), fate.status);
        match fate.remote {
            Some(remote) => {
                let _ = writeln!(text, "Remote-MTA: dns; {}\nDiagnostic-Code: smtp; {}", line(remote), line(fate.diagnostic));
            }
            None => {
                let _ = writeln!(text, "Diagnostic-Code: x-pillarbox; {}", line(fate.diagnostic));
            }
        }
    }
    text
}

/// A foreign text as a part of a line.
fn line(text: &str) -> String {
    text.chars().take(LONGEST_DIAGNOSTIC).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The header of a message, with the last line's end.
fn header(content: &[u8]) -> &[u8] {
    let end = content.windows(2).position(|two| two == b"\n\n").map(|at| at + 1);
    let crlf = content.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 2);
    let end = end.into_iter().chain(crlf).min().unwrap_or(content.len());
    &content[..end]
}

/// A boundary that the content does not hold.
fn boundary(id: MessageId, content: &[u8]) -> String {
    let mut boundary = format!("=_{id}");
    while content.windows(boundary.len()).any(|part| part == boundary.as_bytes()) {
        boundary.push('_');
    }
    boundary
}

/// A time as RFC 5322 section 3.3 writes it, in UTC.
fn date(micros: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = micros / 1_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // Whole cycles of 400 years first, so that no clock makes this loop long.
    let (mut year, mut day) = (1970 + days / 146_097 * 400, days % 146_097);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (weekday, name) = (DAYS[(days % 7) as usize], MONTHS[month]);
    format!("{weekday}, {} {name} {year:04} {:02}:{:02}:{:02} +0000", day + 1, rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::envelope;

    fn report(envelope: &Envelope, action: Action, content: &[u8]) -> Option<String> {
        let status = if action == Action::Failed { Enhanced(5, 1, 1) } else { Enhanced(4, 4, 1) };
        let fates = envelope.recipients.iter().map(|recipient| Fate {
            recipient,
            action,
            status,
            diagnostic: "550 5.1.1 no such\r\nuser",
            remote: Some("mx.b.example"),
        });
        let fates: Vec<_> = fates.collect();
        let reporter = Reporter { host: "mx.example", id: MessageId::from_number(9), now: 1_764_000_000_000_000 };
        compose(reporter, envelope, &fates, content).map(|octets| String::from_utf8(octets).unwrap())
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 +0000"),
            (1_764_000_000, "Mon, 24 Nov 2025 16:00:00 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
            (4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000"),
            (13_574_563_200, "Tue, 29 Feb 2400 00:00:00 +0000"),
        ] {
            assert_eq!(date(seconds * 1_000_000), expected);
        }
        assert!(!date(u64::MAX).is_empty());
    }

    #[test]
    fn a_failure_is_told_to_people_and_to_programs() {
        let mut envelope = envelope(1, &["joe@b.example"]);
        envelope.recipients[0].original = Some("rfc822;info@b.example".into());
        let text = report(&envelope, Action::Failed, b"Subject: x\nTo: joe\n\nthe body\n").unwrap();
        for part in [
            "To: a@client.test\n",
            "Content-Type: multipart/report; report-type=delivery-status;\n",
            "Auto-Submitted: auto-replied\n",
            "Your message to joe@b.example could not be delivered:\n    550 5.1.1 no such  user\n",
            "Content-Type: message/delivery-status\n\nOriginal-Envelope-Id: x\nReporting-MTA: dns; mx.example\nReceived-From-MTA: dns; client.test\n",
            "\n\nOriginal-Recipient: rfc822;info@b.example\nFinal-Recipient: rfc822; joe@b.example\nAction: failed\nStatus: 5.1.1\n\
             Remote-MTA: dns; mx.b.example\nDiagnostic-Code: smtp; 550 5.1.1 no such  user\n",
            "Content-Type: text/rfc822-headers\n\nSubject: x\nTo: joe\n\n--=_0000000000009--\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn the_whole_message_comes_back_to_who_asked_for_it() {
        let mut envelope = envelope(1, &["joe@b.example"]);
        envelope.parameters.returned = Some(Returned::Full);
        let text = report(&envelope, Action::Failed, b"Subject: x\n\n--=_0000000000009\nbody \xc3\xa9\n").unwrap();
        assert!(text.contains("Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: x\n\n--=_0000000000009\nbody"));
        assert!(text.ends_with("\n--=_0000000000009_--\n"));
        let text = report(&envelope, Action::Delayed, b"Subject: x\n\nbody\n");
        assert!(text.unwrap().contains("Content-Type: text/rfc822-headers\n"));
    }

    #[test]
    fn who_does_not_want_to_hear_is_not_told() {
        let mut envelope = envelope(1, &["joe@b.example", "ann@b.example"]);
        assert!(report(&envelope, Action::Delivered, b"").is_none());
        envelope.recipients[0].notify.failure = false;
        let text = report(&envelope, Action::Failed, b"").unwrap();
        assert!(!text.contains("joe@") && text.contains("ann@"));
        envelope.reverse_path = ReversePath::Null;
        assert!(report(&envelope, Action::Failed, b"").is_none());
    }

    #[test]
    fn addresses_in_utf8_make_a_report_in_utf8() {
        let text = report(&envelope(1, &["jos\u{e9}@b.example"]), Action::Failed, b"Subject: x\n\n").unwrap();
        assert!(text.contains("report-type=global-delivery-status;"));
        assert!(text.contains("Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n"));
        assert!(text.contains("Final-Recipient: utf-8; jos\u{e9}@b.example\n"));
        assert!(text.contains("Content-Type: message/global-headers\n"));
    }
}
