//! Mail addresses as SMTP speaks them (RFC 5321 section 4.1.2, RFC 6531).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why a text is no mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is nothing before the last `@`.
    #[error("the local part is empty")]
    EmptyLocalPart,
    /// The local part holds a control character or is over 64 octets with room for long extensions (256 here).
    #[error("the local part is malformed")]
    BadLocalPart,
    /// The domain is empty, too long, or has an empty or malformed label.
    #[error("the domain is malformed")]
    BadDomain,
}

/// A domain name or address literal (`[192.0.2.1]`), folded to lower case. At most 255 octets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// The domain as text, in lower case, without a final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an address literal such as `[192.0.2.1]` (RFC 5321 section 4.1.3).
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() || text.len() > 255 {
            return Err(AddressError::BadDomain);
        }
        let good = match text.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').is_some_and(is_address),
            None => text.split('.').all(is_label),
        };
        if good { Ok(Self(text.to_lowercase())) } else { Err(AddressError::BadDomain) }
    }
}

/// What stands between the brackets of an address literal: `192.0.2.1` or `IPv6:2001:db8::1` (RFC 5321 section 4.1.3).
fn is_address(text: &str) -> bool {
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => text[5..].parse::<Ipv6Addr>().is_ok(),
        _ => text.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Letters, digits, hyphen and underscore, or anything beyond ASCII (RFC 6531 section 3.3).
fn is_label(label: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && !c.is_whitespace() && !c.is_control());
    !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(good)
}

/// A full address: a local part without its quotes, and a domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local: String,
    domain: Domain,
}

impl Address {
    /// Joins a local part (unquoted) and a domain.
    ///
    /// # Errors
    /// [`AddressError`] if the local part is empty, over 256 octets or holds a control character.
    pub fn new(local: impl Into<String>, domain: Domain) -> Result<Self, AddressError> {
        let local = local.into();
        if local.is_empty() {
            return Err(AddressError::EmptyLocalPart);
        }
        if local.len() > 256 || local.chars().any(char::is_control) {
            return Err(AddressError::BadLocalPart);
        }
        Ok(Self { local, domain })
    }

    /// The local part, unquoted, in the case it was given.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Parses `local@domain`, the local part bare or quoted (RFC 5321 section 4.1.2).
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::BadDomain)?;
        let local = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(quoted) => unquote(quoted).ok_or(AddressError::BadLocalPart)?,
            None => local.to_owned(),
        };
        Self::new(local, domain.parse()?)
    }
}

/// Takes the backslashes out of a quoted string's content; `None` if a quote or a lone backslash stands in it.
fn unquote(quoted: &str) -> Option<String> {
    let mut plain = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => plain.push(chars.next()?),
            _ => plain.push(c),
        }
    }
    Some(plain)
}

/// Whether a local part can be written without quotes (RFC 5321 `Dot-string`, RFC 6531).
fn is_dot_string(local: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if c == '"' || c == '\\' {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({self})")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The sender of the envelope (RFC 5321 section 4.1.1.2); `Null` is `<>`, used by bounces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: nobody wants to hear of a failure.
    Null,
    /// Where reports of failure go.
    Address(Address),
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() { Ok(Self::Null) } else { text.parse().map(Self::Address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_both_forms_of_a_local_part() {
        for text in [
            "a@b.example",
            "a+b@b.example",
            "\"a b\"@b.example",
            "\"a\\\"b\"@b.example",
            "x@[192.0.2.1]",
            "x@[ipv6:2001:db8::1]",
            "é@ü.example",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("\"ab\"@B.Example.".parse::<Address>().unwrap().to_string(), "ab@b.example");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in
            ["", "a", "@b", "a@", "a@b..c", "a@-b", "a\n@b", "\"a\"b\"@c", "a@b c", "a@[1.2.3]", "a@[", "a@[]", "a@[x]", "a@[1.2.3.4"]
        {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
