//! The Received header (RFC 5321 section 4.4).

use std::fmt::Write;
use std::net::IpAddr;

use mail::{Domain, Envelope};

use crate::Tls;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What the header tells of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    /// This server.
    pub(crate) hostname: &'a Domain,
    /// The client's name in the DNS, if that was verified.
    pub(crate) client: Option<&'a Domain>,
    pub(crate) tls: Option<&'a Tls>,
    /// The time in seconds since 1970. Not taken from the id, which is pushed ahead where the clock stands still.
    pub(crate) seconds: u64,
}

/// The header of a message that came now, with LF line ends. The recipient is named only if there is no other, who would
/// learn of him. The first line is Postfix's, since programs that judge mail by its path know that form best.
pub(crate) fn received(envelope: &Envelope, hop: Hop<'_>) -> String {
    let mut text = format!("Received: from {}", envelope.helo);
    if let Some(address) = envelope.client {
        let client = hop.client.map_or("unknown", Domain::as_str);
        let _ = match address.to_canonical() {
            IpAddr::V4(address) => write!(text, " ({client} [{address}])"),
            IpAddr::V6(address) => write!(text, " ({client} [IPv6:{address}])"),
        };
    }
    let _ = write!(text, "\n\tby {} with {} id {}", hop.hostname, envelope.protocol, envelope.id);
    if let [only] = envelope.recipients.as_slice() {
        let _ = write!(text, "\n\tfor <{}>", only.address);
    }
    // RFC 8314 section 4.3.
    if let Some(tls) = hop.tls.filter(|tls| is_cipher(&tls.cipher)) {
        let _ = write!(text, "\n\ttls {}", tls.cipher);
    }
    let _ = writeln!(text, ";\n\t{}", date(hop.seconds));
    text
}

fn is_cipher(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `seconds` since 1970 as RFC 5322 section 3.3 writes them, in UTC.
pub(crate) fn date(seconds: u64) -> String {
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let weekday = DAYS[(days % 7) as usize];
    let month = MONTHS[month];
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// Year, month from 0 and day of the month of a day since 1970. Counted in years that begin with March, so that the leap
/// day comes last.
fn civil(days: u64) -> (u64, usize, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use mail::{MessageId, Parameters, Protocol, ReversePath};

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_772_532_000, "Tue, 03 Mar 2026 10:00:00 +0000"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    fn envelope(recipients: &[&str], client: &str) -> Envelope {
        Envelope {
            id: MessageId::from_number(1_772_532_000_000_000),
            reverse_path: ReversePath::Null,
            recipients: recipients.iter().map(|r| r.parse::<mail::Address>().unwrap().into()).collect(),
            parameters: Parameters::default(),
            client: Some(client.parse().unwrap()),
            helo: "client.test".to_owned(),
            account: None,
            protocol: Protocol::Esmtp { tls: true, authenticated: false, utf8: false },
        }
    }

    #[test]
    fn a_single_recipient_is_named_and_several_are_not() {
        let (hostname, client) = ("mx.example".parse().unwrap(), "out.test".parse().unwrap());
        let seconds = 1_772_532_000;
        let tls = Tls { cipher: "TLS_AES_128_GCM_SHA256".to_owned() };
        assert_eq!(
            received(&envelope(&["a@b.test"], "127.0.0.1"), Hop { hostname: &hostname, client: Some(&client), tls: Some(&tls), seconds }),
            "Received: from client.test (out.test [127.0.0.1])\n\tby mx.example with ESMTPS id 001JC3F23D200\n\tfor <a@b.test>\n\
             \ttls TLS_AES_128_GCM_SHA256;\n\tTue, 03 Mar 2026 10:00:00 +0000\n"
        );
        assert_eq!(
            received(&envelope(&["a@b.test", "c@b.test"], "2001:db8::1"), Hop { hostname: &hostname, client: None, tls: None, seconds }),
            "Received: from client.test (unknown [IPv6:2001:db8::1])\n\tby mx.example with ESMTPS id 001JC3F23D200;\n\
             \tTue, 03 Mar 2026 10:00:00 +0000\n"
        );
        let forged = Tls { cipher: "x;\n".to_owned() };
        let hop = Hop { hostname: &hostname, client: None, tls: Some(&forged), seconds };
        assert!(!received(&envelope(&[], "::ffff:192.0.2.1"), hop).contains("tls"));
    }
}
