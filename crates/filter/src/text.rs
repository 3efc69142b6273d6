//! Readings of numbers and truth values as procmail has them.

/// The whole number at the beginning of `text`, blanks and a sign allowed, with what follows it. `None` if there is none.
pub(crate) fn integer(text: &[u8]) -> Option<(i64, &[u8])> {
    let rest = text.trim_ascii_start();
    let (negative, digits) = match rest.first() {
        Some(b'-') => (true, &rest[1..]),
        Some(b'+') => (false, &rest[1..]),
        _ => (false, rest),
    };
    let count = digits.iter().take_while(|octet| octet.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let value = digits[..count].iter().fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some((if negative { -value } else { value }, &digits[count..]))
}

/// The octal number at the beginning of `text`; 0 if there is none.
pub(crate) fn octal(text: &[u8]) -> u32 {
    let digits = text.trim_ascii_start().iter().take_while(|octet| (b'0'..=b'7').contains(octet));
    digits.fold(0u32, |value, digit| value.wrapping_mul(8).wrapping_add(u32::from(digit - b'0')))
}

/// A number or a truth value: `a...` is 2, `on`, `y...`, `t...`, `e...` are 1, `off`, `n...`, `f...`, `d...` are 0;
/// anything else leaves `old` in force.
pub(crate) fn setting(old: i64, text: &[u8]) -> i64 {
    if let Some((value, _)) = integer(text) {
        return value;
    }
    let word = text.trim_ascii_start().to_ascii_lowercase();
    match word.first() {
        Some(b'a') => 2,
        Some(b'y' | b't' | b'e') => 1,
        Some(b'n' | b'f' | b'd') => 0,
        Some(b'o') if word.starts_with(b"on") => 1,
        Some(b'o') if word.starts_with(b"off") => 0,
        _ => old,
    }
}

/// The decimal number at the beginning of `text`, as strtod(3) reads it but for infinities, with its length.
pub(crate) fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let blanks = text.len() - text.trim_ascii_start().len();
    let rest = &text[blanks..];
    let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
    if let Some((value, length)) = hexadecimal(&rest[sign..]) {
        return Some((if rest[0] == b'-' { -value } else { value }, blanks + sign + length));
    }
    let whole = digits(&rest[sign..]);
    let mut end = sign + whole;
    let mut any = whole > 0;
    if rest.get(end) == Some(&b'.') {
        let fraction = digits(&rest[end + 1..]);
        any |= fraction > 0;
        end += 1 + fraction;
    }
    if !any {
        return None;
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(rest.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(rest.get(end + 1 + signed..).unwrap_or_default());
        end += if exponent > 0 { 1 + signed + exponent } else { 0 };
    }
    let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((number, blanks + end))
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"))?;
    let count = digits.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    let digit = |octet: &u8| char::from(*octet).to_digit(16).map_or(0.0, f64::from);
    (count > 0).then(|| (digits[..count].iter().fold(0.0, |value, octet| value * 16.0 + digit(octet)), 2 + count))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|octet| octet.is_ascii_digit()).count()
}

/// The text without blanks and tabs in front.
pub(crate) fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    &text[blanks..]
}

/// Whether the octet may be part of a variable's name.
pub(crate) fn is_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

/// Whether one of `any` is in `text`: the test that decides between a shell and direct execution.
pub(crate) fn holds_any(text: &[u8], any: &[u8]) -> bool {
    text.iter().any(|octet| any.contains(octet))
}

/// The text up to its first zero octet: what a C program sees of it.
pub(crate) fn until_nul(text: &[u8]) -> &[u8] {
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_like_the_c_library_does() {
        assert_eq!(integer(b" -12k"), Some((-12, &b"k"[..])));
        assert_eq!(integer(b"x"), None);
        assert_eq!(octal(b"022"), 18);
        assert_eq!(octal(b"9"), 0);
        let check = |text: &str, expected: Option<(f64, usize)>| assert_eq!(decimal(text.as_bytes()), expected, "{text}");
        check("1^0", Some((1.0, 1)));
        check("-.5^1", Some((-0.5, 3)));
        check("5.^0", Some((5.0, 2)));
        check("1e3^0", Some((1000.0, 3)));
        check("1e^0", Some((1.0, 1)));
        check("0x10", Some((16.0, 4)));
        check("-", None);
        check(".", None);
    }

    #[test]
    fn truth_values() {
        for (text, expected) in [("yes", 1), ("off", 0), ("all", 2), (" On", 1), ("maybe", 7), ("none", 0), ("3", 3), ("", 7)] {
            assert_eq!(setting(7, text.as_bytes()), expected, "{text}");
        }
    }
}
