//! Parameters of MAIL and RCPT (RFC 5321 section 4.1.1.11) and the encodings in their values.

use mail::{Notify, Returned};

use super::CommandError;

/// More parameters than this in one command are refused.
const MOST: usize = 16;

/// One `NAME=value` or `NAME`.
pub(super) struct Parameter<'a> {
    pub(super) name: String,
    pub(super) value: Option<&'a str>,
}

/// Splits the parameters of a command. Names are folded to capitals; none may come twice.
pub(super) fn split(text: &str) -> Result<Vec<Parameter<'_>>, CommandError> {
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let name = name.to_ascii_uppercase();
        let known = parameters.iter().any(|p| p.name == name);
        if known || parameters.len() == MOST || !is_name(&name) || value.is_some_and(|v| v.contains('=')) {
            return Err(CommandError::BadParameter("list"));
        }
        parameters.push(Parameter { name, value });
    }
    Ok(parameters)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// `SIZE` (RFC 1870 section 4): at most 20 digits. What does not fit into 64 bits is too big in any case.
pub(super) fn size(value: &str) -> Option<u64> {
    let good = !value.is_empty() && value.len() <= 20 && value.bytes().all(|b| b.is_ascii_digit());
    good.then(|| value.parse().unwrap_or(u64::MAX))
}

/// `BODY` (RFC 6152 section 3): whether octets over 127 are announced.
pub(super) fn body(value: &str) -> Option<bool> {
    let is = |name| value.eq_ignore_ascii_case(name);
    if is("8BITMIME") { Some(true) } else { is("7BIT").then_some(false) }
}

/// `RET` (RFC 3461 section 4.3).
pub(super) fn returned(value: &str) -> Option<Returned> {
    let is = |name| value.eq_ignore_ascii_case(name);
    if is("FULL") { Some(Returned::Full) } else { is("HDRS").then_some(Returned::Header) }
}

/// `ENVID` (RFC 3461 section 4.4), decoded.
pub(super) fn envelope_id(value: &str) -> Option<String> {
    xtext(value).filter(|id| !id.is_empty() && id.len() <= 100 && id.is_ascii())
}

/// `NOTIFY` (RFC 3461 section 4.1).
pub(super) fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify { success: false, failure: false, delay: false };
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(notify);
    }
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

/// `ORCPT` (RFC 3461 section 4.2), decoded: `rfc822;address`.
pub(super) fn original(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    let address = xtext(address)?;
    (value.len() <= 500 && is_name(kind) && !address.is_empty()).then(|| format!("{kind};{address}"))
}

/// Decodes xtext (RFC 3461 section 4). What does not decode to printable text is refused: it goes into reports.
pub(super) fn xtext(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'+' {
            octets.push(octet);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |d: u8| matches!(d, b'0'..=b'9' | b'A'..=b'F').then(|| char::from(d).to_digit(16)).flatten();
        octets.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
        rest = after;
    }
    String::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_decodes_and_hides_no_control_characters() {
        for (value, expected) in [("abc", Some("abc")), ("a+2Bb+3D", Some("a+b=")), ("+20", Some(" ")), ("", Some(""))] {
            assert_eq!(xtext(value).as_deref(), expected, "{value:?}");
        }
        for value in ["a+0D+0AX: y", "+", "+2", "+2b", "+G0", "+FF", "a\tb"] {
            assert_eq!(xtext(value), None, "{value:?}");
        }
    }

    #[test]
    fn values_are_what_the_extensions_say() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("99999999999999999999"), Some(u64::MAX));
        for value in ["", "-1", "+1", "abc", "1 ", "999999999999999999999"] {
            assert_eq!(size(value), None, "{value:?}");
        }
        assert_eq!(notify("success,Failure"), Some(Notify { success: true, failure: true, delay: false }));
        assert_eq!(notify("never"), Some(Notify { success: false, failure: false, delay: false }));
        for value in ["", "NEVER,SUCCESS", "BOGUS", "SUCCESS,", ","] {
            assert_eq!(notify(value), None, "{value:?}");
        }
        assert_eq!(original("rfc822;joe+2Bx@example.org").as_deref(), Some("rfc822;joe+x@example.org"));
        for value in ["", "rfc822", "rfc822;", ";a", "a b;c"] {
            assert_eq!(original(value), None, "{value:?}");
        }
    }
}
