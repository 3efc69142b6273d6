//! Dates of header fields (RFC 5322 section 3.3, obsolete forms of 4.3).

use mail::search::Day;

use crate::lex::Lexer;

/// When a message says it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Seconds since 1970 in UTC.
    pub unix: i64,
    /// The zone it was written in, in minutes east of Greenwich.
    pub zone: i16,
}

const MONTHS: [&[u8]; 12] = [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// Zones by name, in hours east (RFC 5322 section 4.3). Others, military letters among them, tell nothing and count as UTC.
const ZONES: [(&[u8], i16); 8] =
    [(b"edt", -4), (b"est", -5), (b"cdt", -5), (b"cst", -6), (b"mdt", -6), (b"mst", -7), (b"pdt", -7), (b"pst", -8)];

impl Sent {
    /// Reads a `Date` field's value; `None` if it is no date.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut reader = Reader { lex: Lexer::new(crate::header::bounded(value)) };
        let mut word = reader.word()?;
        if word.first()?.is_ascii_alphabetic() {
            if reader.lex.at(b',') {
                reader.lex.bump();
            }
            word = reader.word()?;
        }
        let day = number(&word, 2)?;
        let month = reader.word()?;
        let month = 1 + MONTHS.iter().position(|name| month.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name)))? as i64;
        let year = year(&reader.word()?)?;
        let (hour, minute, second) = reader.time()?;
        let zone = reader.word().map_or(0, |zone| zone_minutes(&zone));
        if day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let local = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Self { unix: local - i64::from(zone) * 60, zone })
    }

    /// The day as written, in its own zone (`SENTON`, RFC 3501 section 6.4.4).
    #[must_use]
    pub fn day(&self) -> Day {
        day_of(self.unix + i64::from(self.zone) * 60)
    }
}

/// The day, in UTC, of a moment in seconds since 1970. Days outside the years 1 to 9999 are cut to them.
#[must_use]
pub fn day_of(unix: i64) -> Day {
    let (year, month, day) = civil_from_days(unix.div_euclid(86_400).clamp(-719_162, 2_932_896));
    Day { year: year as u16, month: month as u8, day: day as u8 }
}

struct Reader<'a> {
    lex: Lexer<'a>,
}

impl Reader<'_> {
    /// The next atom, comments before it passed over.
    fn word(&mut self) -> Option<Vec<u8>> {
        let mut word = Vec::new();
        self.lex.skip().ok()?;
        // A comment behind the word may be broken, the word is good.
        let _ = self.lex.atom(&mut word);
        (!word.is_empty()).then_some(word)
    }

    /// `hh:mm`, `hh:mm:ss`, or the same with dots.
    fn time(&mut self) -> Option<(i64, i64, i64)> {
        let hour = number(&self.word()?, 2)?;
        let separator = self.lex.peek().filter(|b| matches!(b, b':' | b'.'))?;
        self.lex.bump();
        let minute = number(&self.word()?, 2)?;
        if !self.lex.at(separator) {
            return Some((hour, minute, 0));
        }
        self.lex.bump();
        Some((hour, minute, number(&self.word()?, 2)?))
    }
}

fn number(word: &[u8], digits: usize) -> Option<i64> {
    if word.len() > digits || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Years of two and three digits are those of RFC 5322 section 4.3.
fn year(word: &[u8]) -> Option<i64> {
    let year = number(word, 4)?;
    match (word.len(), year) {
        (2, 0..50) => Some(year + 2000),
        (2 | 3, _) => Some(year + 1900),
        (4, 1..) => Some(year),
        _ => None,
    }
}

fn zone_minutes(word: &[u8]) -> i16 {
    if let [sign @ (b'+' | b'-'), digits @ ..] = word {
        let value = number(digits, 4).unwrap_or(0) as i16;
        let minutes = value / 100 * 60 + value % 100;
        return if *sign == b'-' { -minutes } else { minutes };
    }
    ZONES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map_or(0, |(_, hours)| hours * 60)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a day of the Gregorian calendar. Years are counted from March, so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

/// The other way round: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, unix: i64, zone: i16, day: (u16, u8, u8)) {
        let sent = Sent::parse(value.as_bytes());
        assert_eq!(sent, Some(Sent { unix, zone }), "{value:?}");
        assert_eq!(sent.map(|sent| sent.day()), Some(Day { year: day.0, month: day.1, day: day.2 }), "{value:?}");
    }

    #[test]
    fn reads_dates() {
        check("Tue, 03 Mar 2020 10:11:12 +0100 (CET)", 1_583_226_672, 60, (2020, 3, 3));
        check("31 Jan 2016 23:30:00 -0800", 1_454_311_800, -480, (2016, 1, 31));
        check("1 Jan 1970 00:00 GMT", 0, 0, (1970, 1, 1));
        check("Thu (x), 1\r\n Jan 70 00:00:00 EST", 18_000, -300, (1970, 1, 1));
        check("Wed 29 Feb 2000 23.59.60 Z", 951_868_800, 0, (2000, 3, 1));
        check("Fri, 1 Jan 110 0:0:0", 1_262_304_000, 0, (2010, 1, 1));
    }

    #[test]
    fn refuses_what_is_no_date() {
        for value in
            ["", "tomorrow at noon", "31 Feb 2012 00:00:00 +0000", "1 Foo 2012 00:00", "1 Jan 2012", "1 Jan 2012 25:00", "1 Jan 20122 1:1"]
        {
            assert_eq!(Sent::parse(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn days_come_back() {
        for days in (-719_162..2_932_896).step_by(997) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(day_of(i64::MAX), Day { year: 9999, month: 12, day: 31 });
        assert_eq!(day_of(i64::MIN), Day { year: 1, month: 1, day: 1 });
    }
}
