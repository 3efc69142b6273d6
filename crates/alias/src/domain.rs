//! Which texts can follow the `@`: names (RFC 1123 section 2.1, with the underscore that is met in practice) and
//! address literals (RFC 5321 section 4.1.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the text is a host name, in ASCII or in UTF-8.
pub(crate) fn is_name(text: &str) -> bool {
    if text.is_ascii() {
        return is_ascii_name(text);
    }
    let edges = text.split('.').all(|label| !label.starts_with('-') && !label.ends_with('-'));
    edges && idna::domain_to_ascii(text).is_ok_and(|ascii| is_ascii_name(&ascii))
}

fn is_ascii_name(text: &str) -> bool {
    let label = |label: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(good) && !label.starts_with('-') && !label.ends_with('-')
    };
    // A name of digits alone is a network address that lacks its brackets.
    let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.len() <= 255 && !number && text.split('.').all(label)
}

/// The network address of a literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
pub(crate) fn literal(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).to_canonical()),
        _ => four_numbers(inner).map(IpAddr::V4),
    }
}

/// Four decimal numbers; leading zeros make them octal, as resolvers have it.
fn four_numbers(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let digits = !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        // Both readings have to fit, since peers differ in which they take.
        part.parse::<u8>().ok().filter(|_| digits)?;
        *octet = if part.len() > 1 && part.starts_with('0') { u8::from_str_radix(part, 8).ok()? } else { part.parse().ok()? };
    }
    let address = Ipv4Addr::from(octets);
    (parts.next().is_none() && (octets[0] != 0 || address.is_unspecified())).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "mx.host.example", "local_host", "_a", "1a", "a.1", "a--b", "xn--a", "bücher.example", "日本"] {
            assert!(is_name(good), "{good}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in
            ["", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "127.0.0.1", "1", "a+b", "a b", "\u{2024}.example", "ä..b", "-ä", &long]
        {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn literals() {
        for (text, address) in [
            ("[127.0.0.1]", "127.0.0.1"),
            ("[127.0.0.01]", "127.0.0.1"),
            ("[0127.0.0.1]", "87.0.0.1"),
            ("[IPv6:::1]", "::1"),
            ("[ipv6:::ffff:127.0.0.1]", "127.0.0.1"),
        ] {
            assert_eq!(literal(text), address.parse().ok(), "{text}");
        }
        for bad in ["127.0.0.1", "[]", "[127.1]", "[1.2.3.256]", "[ 127.0.0.1 ]", "[::1]", "[x]", "[127.0.0.1", "[0.1.2.3]"] {
            assert_eq!(literal(bad), None, "{bad}");
        }
    }
}
