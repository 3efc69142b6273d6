//! The one name of a message from the connection to its mailbox.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Crockford's base 32: digits sort as numbers do, and no letter is mistaken for another.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A message's id: microseconds since 1970, unique within the host and ascending. Thirteen characters as text.
///
/// It stands in the Received header, the journal, the Maildir file name and every log line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(u64);

impl MessageId {
    /// A new id for a message that came at `micros` microseconds since 1970.
    ///
    /// Two calls never give the same id within one process, also if the clock stands still or goes back.
    #[must_use]
    pub fn new(micros: u64) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(micros.max(last + 1)));
        let last = last.unwrap_or_else(|last| last);
        Self(micros.max(last + 1))
    }

    /// The id with this number, as it was kept in a record.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The id as a number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// Microseconds since 1970 at which the id was made; exact to the few that were pushed ahead to stay unique.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; 13];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            *place = DIGITS[(rest & 31) as usize];
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not thirteen characters of the id alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message id has thirteen digits or capital letters, such as 1KJ2Y8VQ5B000")]
pub struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 13 {
            return Err(NotAnId);
        }
        let digit = |b: u8| DIGITS.iter().position(|d| *d == b).ok_or(NotAnId);
        let mut number = 0u64;
        for b in text.bytes() {
            number = number.checked_mul(32).ok_or(NotAnId)? | digit(b)? as u64;
        }
        Ok(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        for number in [0, 1, 31, 32, 1_764_003_912_345_678, u64::MAX] {
            let id = MessageId::from_number(number);
            assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        }
        assert!("ZZZZZZZZZZZZZ".parse::<MessageId>().is_err());
    }

    #[test]
    fn ids_ascend_also_when_the_clock_does_not() {
        let first = MessageId::new(1_000);
        let second = MessageId::new(1_000);
        let third = MessageId::new(5);
        assert!(first < second && second < third);
    }
}
