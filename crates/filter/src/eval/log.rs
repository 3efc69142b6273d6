//! The log, in procmail's words.

use std::time::{SystemTime, UNIX_EPOCH};

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

/// Date and time as ctime(3) writes them, in UTC: `Tue Mar  5 10:11:12 2019`.
#[must_use]
pub fn calendar(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = seconds / 86_400;
    // Days are counted from the first of March 0000, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let weekday = DAYS[usize::try_from(days % 7).unwrap_or(0)];
    let month = MONTHS[usize::try_from(month).unwrap_or(0)];
    format!("{weekday} {month} {day:>2} {hour:02}:{minute:02}:{second:02} {year}")
}

#[cfg(test)]
mod tests {
    use super::calendar;

    #[test]
    fn dates_are_written_as_ctime_does() {
        for (seconds, expected) in [
            (0, "Thu Jan  1 00:00:00 1970"),
            (951_782_400, "Tue Feb 29 00:00:00 2000"),
            (1_551_780_672, "Tue Mar  5 10:11:12 2019"),
            (4_102_444_799, "Thu Dec 31 23:59:59 2099"),
        ] {
            assert_eq!(calendar(seconds), expected);
        }
    }
}
