//! Message flags and mailbox attributes (RFC 3501 section 2.3.2, RFC 6154).

use std::fmt;
use std::str::FromStr;

/// One of the system flags that is stored. `\Recent` belongs to a session, not to a message, and is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flag {
    /// `\Answered`, Maildir `R`.
    Answered = 1,
    /// `\Flagged`, Maildir `F`.
    Flagged = 2,
    /// `\Deleted`, Maildir `T`.
    Deleted = 4,
    /// `\Seen`, Maildir `S`.
    Seen = 8,
    /// `\Draft`, Maildir `D`.
    Draft = 16,
}

impl Flag {
    /// All five, in the order in which Dovecot lists them.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Flagged, Self::Deleted, Self::Seen, Self::Draft];

    /// The flag's name with its backslash.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Seen => "\\Seen",
            Self::Draft => "\\Draft",
        }
    }
}

/// A set of [`Flag`]s in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// The set with these bits; others are dropped.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & 31)
    }

    /// The set as bits, see [`Flag`].
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether `flag` is in the set.
    #[must_use]
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag as u8 != 0
    }

    /// The set with `flag` in it, or without it.
    #[must_use]
    pub fn with(self, flag: Flag, on: bool) -> Self {
        if on { Self(self.0 | flag as u8) } else { Self(self.0 & !(flag as u8)) }
    }

    /// The flags of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags of this set that `other` lacks.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flags of the set, in the order of [`Flag::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.has(*flag))
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::NONE, |set, flag| set.with(flag, true))
    }
}

/// A keyword: a flag that users and programs name themselves, such as `$Forwarded`. Case is kept and does not count.
#[derive(Clone, Debug)]
pub struct Keyword(String);

impl Keyword {
    /// The longest keyword that is taken, in octets.
    pub const LONGEST: usize = 100;

    /// The keyword as it was first written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

/// The text cannot be a keyword: empty, too long, or not an IMAP atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a keyword is an atom of at most {} octets", Keyword::LONGEST)]
pub struct NotAKeyword;

impl FromStr for Keyword {
    type Err = NotAKeyword;

    fn from_str(text: &str) -> Result<Self, NotAKeyword> {
        let atom = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b);
        let good = !text.is_empty() && text.len() <= Self::LONGEST && text.bytes().all(atom);
        if good { Ok(Self(text.to_owned())) } else { Err(NotAKeyword) }
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a mailbox is for (RFC 6154).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// The attribute's name with its backslash.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// The attribute of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::All, Self::Archive, Self::Drafts, Self::Flagged, Self::Junk, Self::Sent, Self::Trash];
        all.into_iter().find(|u| u.name().eq_ignore_ascii_case(name))
    }
}
