//! Dates and times of IMAP: INTERNALDATE both ways, and the days of SEARCH (RFC 3501 section 9).

use mail::search::Day;

use crate::parse::{Cursor, Parse, Syntax};

const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Days from 1970-01-01 to a day of the Gregorian calendar.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year is taken to begin in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The day that is so many days from 1970-01-01: year, month, day.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Whether there is such a day.
fn exists(year: i64, month: i64, day: i64) -> bool {
    (1..=12).contains(&month) && day >= 1 && civil(days(year, month, day)) == (year, month, day)
}

/// Writes seconds since 1970 as a date and time in quotes, in UTC. Years are held to four digits.
pub(crate) fn write(seconds: i64, out: &mut Vec<u8>) {
    let seconds = seconds.clamp(days(0, 1, 1) * 86_400, days(9999, 12, 31) * 86_400 + 86_399);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let time = seconds.rem_euclid(86_400);
    let mut text = *b"\"00-Jan-0000 00:00:00 +0000\"";
    let mut two = |at: usize, value: i64| {
        text[at] = b'0' + (value / 10 % 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    };
    two(1, day);
    two(8, year / 100);
    two(10, year % 100);
    two(13, time / 3600);
    two(16, time / 60 % 60);
    two(19, time % 60);
    text[4..7].copy_from_slice(MONTHS[(month - 1) as usize]);
    out.extend_from_slice(&text);
}

const WRONG: Syntax = Syntax("Invalid date");

/// Exactly `digits` digits.
fn fixed(cursor: &mut Cursor<'_>, digits: usize) -> Parse<i64> {
    let text = cursor.rest().get(..digits).filter(|text| text.iter().all(u8::is_ascii_digit)).ok_or(WRONG)?;
    cursor.skip(digits);
    Ok(text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// `month "-" year` behind a day and its dash.
fn month_and_year(cursor: &mut Cursor<'_>) -> Parse<(i64, i64)> {
    let name = cursor.rest().get(..3).ok_or(WRONG)?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name)).ok_or(WRONG)?;
    cursor.skip(3);
    cursor.expect(b'-')?;
    Ok((month as i64 + 1, fixed(cursor, 4)?))
}

/// The day of a month with one or two digits.
fn day_number(cursor: &mut Cursor<'_>) -> Parse<i64> {
    let two = cursor.rest().get(1).is_some_and(u8::is_ascii_digit);
    fixed(cursor, if two { 2 } else { 1 })
}

/// `date` of SEARCH: `1-Feb-1994`, with or without quotes.
pub(crate) fn day(cursor: &mut Cursor<'_>) -> Parse<Day> {
    let quoted = cursor.take(b'"');
    let day = day_number(cursor)?;
    cursor.expect(b'-')?;
    let (month, year) = month_and_year(cursor)?;
    if quoted {
        cursor.expect(b'"')?;
    }
    if year == 0 || !exists(year, month, day) {
        return Err(WRONG);
    }
    Ok(Day { year: year as u16, month: month as u8, day: day as u8 })
}

/// `date-time` of APPEND, as seconds since 1970. A day of one digit may stand without the blank before it.
pub(crate) fn date_time(cursor: &mut Cursor<'_>) -> Parse<i64> {
    cursor.expect(b'"')?;
    cursor.take(b' ');
    let day = day_number(cursor)?;
    cursor.expect(b'-')?;
    let (month, year) = month_and_year(cursor)?;
    cursor.expect(b' ')?;
    let hour = fixed(cursor, 2)?;
    cursor.expect(b':')?;
    let minute = fixed(cursor, 2)?;
    cursor.expect(b':')?;
    let second = fixed(cursor, 2)?;
    cursor.expect(b' ')?;
    let east = if cursor.take(b'-') { -1 } else { cursor.expect(b'+').map(|()| 1)? };
    let (zone_hours, zone_minutes) = (fixed(cursor, 2)?, fixed(cursor, 2)?);
    cursor.expect(b'"')?;
    // A leap second counts as the next minute's first.
    let good = exists(year, month, day) && hour < 24 && minute < 60 && second <= 60 && zone_hours < 24 && zone_minutes < 60;
    if !good {
        return Err(WRONG);
    }
    let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Ok(local - east * (zone_hours * 3600 + zone_minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(date_time(&mut Cursor::new(text.as_bytes())).ok(), expected, "{text}");
    }

    #[test]
    fn reads_dates_of_append() {
        check("\"17-Jul-1996 02:44:25 -0700\"", Some(837_596_665));
        check("\" 1-Jan-1970 00:00:00 +0000\"", Some(0));
        check("\"1-Jan-1970 00:00:01 +0000\"", Some(1));
        check("\"29-Feb-2012 12:00:00 +0530\"", Some(1_330_497_000));
        for wrong in
            ["\"31-Feb-2012 12:00:00 +0000\"", "\"1-Foo-2012 12:00:00 +0000\"", "\"01-Jan-2012 24:00:00 +0000\"", "\"01-Jan-2012\"", ""]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for seconds in [0, -1, 951_782_400, 1_330_497_000, 4_102_444_799, 253_402_300_799] {
            let mut out = Vec::new();
            write(seconds, &mut out);
            assert_eq!(date_time(&mut Cursor::new(&out)).ok(), Some(seconds), "{}", String::from_utf8_lossy(&out));
        }
        let mut out = Vec::new();
        write(i64::MAX, &mut out);
        assert_eq!(out, b"\"31-Dec-9999 23:59:59 +0000\"");
    }

    #[test]
    fn reads_days_of_search() {
        let day = |text: &str| super::day(&mut Cursor::new(text.as_bytes())).ok().map(|d| (d.year, d.month, d.day));
        assert_eq!(day("1-Feb-1994"), Some((1994, 2, 1)));
        assert_eq!(day("\"29-feb-2012\""), Some((2012, 2, 29)));
        assert_eq!(day("31-Feb-2012"), None);
        assert_eq!(day("yesterday"), None);
    }
}
