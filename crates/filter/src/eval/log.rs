//! The log, in procmail's words.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Evaluator;

impl Evaluator<'_> {
    /// Writes to the log as it is.
    pub(crate) fn log(&mut self, text: &[u8]) {
        self.host.log(text);
    }

    /// A line of procmail's own; with VERBOSE, a time stamp goes before it when the time has changed.
    pub(crate) fn notice(&mut self, text: &str) {
        self.notice_octets(text.as_bytes());
    }

    fn notice_octets(&mut self, text: &[u8]) {
        let mut line = Vec::with_capacity(text.len() + 64);
        if self.state.settings.verbose {
            let now = seconds(self.host.now());
            if self.stamp != Some(now) {
                self.stamp = Some(now);
                line.extend_from_slice(format!("procmail: [{}] {}\n", self.host.process(), calendar(now)).as_bytes());
            }
        }
        line.extend_from_slice(b"procmail: ");
        line.extend_from_slice(text);
        self.host.log(&line);
    }

    /// A line of procmail's own that ends with a text in quotes.
    pub(crate) fn notice_quoted(&mut self, text: &str, quoted: &[u8]) {
        let quoted = crate::text::until_nul(quoted);
        self.notice_octets(&[text.as_bytes(), b" \"", quoted, b"\"\n"].concat());
    }

    /// The same, with VERBOSE alone.
    pub(crate) fn yell(&mut self, text: &str, quoted: &[u8]) {
        if self.state.settings.verbose {
            self.notice_quoted(text, quoted);
        }
    }

    /// Says what was passed over, if anything.
    pub(crate) fn skipped(&mut self, text: &[u8]) {
        if !text.is_empty() {
            self.notice_quoted("Skipped", text);
        }
    }
}

/// Whole seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Date and time as ctime(3) writes them, in the machine's time zone or that of `TZ`: `Tue Mar  5 10:11:12 2019`.
#[must_use]
pub fn calendar(seconds: u64) -> String {
    in_zone(seconds, TimeZone::system())
}

fn in_zone(seconds: u64, zone: TimeZone) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    // A time beyond the year 9999 is a clock's mistake: the last one that can be written.
    time.unwrap_or(Timestamp::MAX).to_zoned(zone).strftime("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_ctime_does() {
        for (seconds, expected) in [
            (0, "Thu Jan  1 00:00:00 1970"),
            (951_782_400, "Tue Feb 29 00:00:00 2000"),
            (1_551_780_672, "Tue Mar  5 10:11:12 2019"),
            (4_102_444_799, "Thu Dec 31 23:59:59 2099"),
        ] {
            assert_eq!(in_zone(seconds, TimeZone::UTC), expected);
        }
        assert!(in_zone(u64::MAX, TimeZone::UTC).ends_with(" 9999"));
        let summer = TimeZone::posix("NZST-12NZDT,M9.5.0,M4.1.0/3").unwrap();
        assert_eq!(in_zone(1_551_780_672, summer), "Tue Mar  5 23:11:12 2019");
    }
}
