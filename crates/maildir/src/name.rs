//! File names of messages: `<unique>,S=<size>,W=<virtual size>:2,<letters>`.
//!
//! What stands before the first colon is the *base*: it names the message for good. The letters after `:2,` are its
//! flags and change by renaming: capital letters are system flags, `a` to `z` are keywords by the mailbox's
//! `dovecot-keywords`. Letters that mean nothing to us are kept.

use std::fmt::Write;

use mail::{Flag, Flags, MessageId};

/// How many keywords a mailbox can have: the letters `a` to `z`.
pub const KEYWORDS: usize = 26;

/// System flags and their letters, in the order of the letters.
const LETTERS: [(u8, Flag); 5] =
    [(b'D', Flag::Draft), (b'F', Flag::Flagged), (b'R', Flag::Answered), (b'S', Flag::Seen), (b'T', Flag::Deleted)];

/// The part of a name that never changes: everything before the first colon.
#[must_use]
pub fn base(name: &[u8]) -> &[u8] {
    name.iter().position(|b| *b == b':').map_or(name, |at| &name[..at])
}

/// What the letters of a name say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The system flags.
    pub flags: Flags,
    /// Keyword letters: bit 0 is `a`.
    pub keywords: u32,
    /// Letters without a meaning here, such as `P`, ascending.
    pub others: Vec<u8>,
}

/// Reads the letters of a name. A name without `:2,` has none.
#[must_use]
pub fn info(name: &[u8]) -> Info {
    let mut info = Info::default();
    let letters = name[base(name).len()..].strip_prefix(b":2,").unwrap_or_default();
    for letter in letters.iter().take_while(|b| **b != b',') {
        if letter.is_ascii_lowercase() {
            info.keywords |= 1 << (letter - b'a');
        } else if let Some((_, flag)) = LETTERS.iter().find(|(l, _)| l == letter) {
            info.flags = info.flags.with(*flag, true);
        } else if letter.is_ascii_graphic() && *letter != b'/' && !info.others.contains(letter) {
            info.others.push(*letter);
        }
    }
    info.others.sort_unstable();
    info
}

/// Writes `:2,` and the letters, ascending as Maildir asks for.
#[must_use]
pub fn suffix(flags: Flags, keywords: u32, others: &[u8]) -> String {
    let system = LETTERS.iter().filter(|(_, flag)| flags.has(*flag)).map(|(letter, _)| *letter);
    let named = (0..KEYWORDS as u8).filter(|n| keywords & (1 << n) != 0).map(|n| b'a' + n);
    let mut letters: Vec<u8> = system.chain(named).chain(others.iter().copied()).collect();
    letters.sort_unstable();
    let mut text = String::from(":2,");
    text.extend(letters.into_iter().map(char::from));
    text
}

/// The number after `,S=` or `,W=` in a base.
fn field(base: &[u8], letter: u8) -> Option<u64> {
    let start = base.windows(3).position(|w| w == [b',', letter, b'='])? + 3;
    let rest = &base[start..];
    let digits = &rest[..rest.iter().position(|b| *b == b',').unwrap_or(rest.len())];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The size on disk that the name claims.
#[must_use]
pub fn size(base: &[u8]) -> Option<u64> {
    field(base, b'S')
}

/// The size with line ends of two octets that the name claims.
#[must_use]
pub fn virtual_size(base: &[u8]) -> Option<u64> {
    field(base, b'W')
}

/// When the file came into its folder, in seconds since 1970, as the first number of a Maildir name says.
#[must_use]
pub fn seconds(base: &[u8]) -> Option<i64> {
    let digits = &base[..base.iter().position(|b| !b.is_ascii_digit())?];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first part of a name of ours, `<seconds>.<id>_<n>.<host>`: the same for the same message however often it is delivered.
#[must_use]
pub fn unique(seconds: u64, id: MessageId, n: u32, host: &str) -> String {
    let mut text = format!("{seconds}.{id}_{n}.");
    for c in host.chars() {
        // As maildir(5) has it, for hosts whose name holds what would end the base or the file name.
        match c {
            '/' => text.push_str("\\057"),
            ':' => text.push_str("\\072"),
            ',' => text.push_str("\\054"),
            c if c.is_control() || c.is_whitespace() => text.push('_'),
            c => text.push(c),
        }
    }
    text
}

/// The base of a name of ours: the unique part with the sizes.
#[must_use]
pub fn with_sizes(unique: &str, size: u64, virtual_size: u64) -> String {
    let mut text = String::with_capacity(unique.len() + 24);
    // Writing to a String cannot fail.
    let _ = write!(text, "{unique},S={size},W={virtual_size}");
    text
}

/// Whether a name in `new` or `cur` can be a message: not hidden, and fit for a line of the UID list.
#[must_use]
pub fn is_message(name: &[u8]) -> bool {
    !name.is_empty() && name[0] != b'.' && name[0] != b':' && !name.contains(&b'\n') && name.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_flags_agree_in_both_directions() {
        let check = |name: &str, flags: &[Flag], keywords: u32, others: &[u8], back: &str| {
            let expected = Info { flags: flags.iter().copied().collect(), keywords, others: others.to_vec() };
            assert_eq!(info(name.as_bytes()), expected, "{name}");
            assert_eq!(suffix(expected.flags, keywords, others), back, "{name}");
        };
        check("1.x.h", &[], 0, b"", ":2,");
        check("1.x.h:2,", &[], 0, b"", ":2,");
        check("1.x.h,S=5,W=6:2,FS", &[Flag::Flagged, Flag::Seen], 0, b"", ":2,FS");
        check("1.x.h:2,TSRFDaz", &Flag::ALL, 1 | 1 << 25, b"", ":2,DFRSTaz");
        check("1.x.h:2,PSXP", &[Flag::Seen], 0, b"PX", ":2,PSX");
        check("1.x.h:1,S", &[], 0, b"", ":2,");
        check("1.x.h:2,S,gone", &[Flag::Seen], 0, b"", ":2,S");
    }

    #[test]
    fn sizes_are_read_where_they_stand_whole() {
        let check = |name: &str, s, w| assert_eq!((size(name.as_bytes()), virtual_size(name.as_bytes())), (s, w), "{name}");
        check("1.x.h,S=28,W=32", Some(28), Some(32));
        check("1.x.h,W=32,S=28", Some(28), Some(32));
        check("1.x.h,S=28x", None, None);
        check("1.x.h,S=", None, None);
        check("1.x.h,S=-1,W=99999999999999999999999", None, None);
    }

    #[test]
    fn a_name_of_ours_tells_its_parts() {
        let name = with_sizes(&unique(1_764_003_912, MessageId::from_number(1), 2, "a/b:c,d"), 3, 4);
        assert_eq!(name, "1764003912.0000000000001_2.a\\057b\\072c\\054d,S=3,W=4");
        assert_eq!(seconds(name.as_bytes()), Some(1_764_003_912));
        assert_eq!(seconds(b"abc"), None);
        assert_eq!(base(b"x:2,S"), b"x");
    }
}
