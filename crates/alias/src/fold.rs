//! What counts as the same spelling: case folding, and one form for an internationalised domain.

use std::borrow::Cow;

/// Folds case as Unicode's full case folding does (`Ä` = `ä`, `ß` = `ss`), without normalising.
///
/// The standard library has no folding. Lower, upper and lower again per character gives the same classes; the one
/// exception is the dotless i, which is a letter of its own.
pub(crate) fn fold_into(out: &mut String, text: &str) {
    out.reserve(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            'ı' => out.push(c),
            _ => out.extend(c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)),
        }
    }
}

/// [`fold_into`], without a copy if nothing changes.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::new();
    fold_into(&mut folded, text);
    Cow::Owned(folded)
}

/// Whether two texts are the same when case is left out.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a == b || fold(a) == fold(b)
}

/// The one form of a domain that look-ups use: folded, and as A-labels if it has letters beyond ASCII (RFC 5890).
pub(crate) fn domain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return fold(text);
    }
    let folded = fold(text);
    idna::domain_to_ascii(&folded).map_or(folded, Cow::Owned)
}

/// Appends the key under which an address in quoted form is looked up: folded, its domain as A-labels.
pub(crate) fn key_into(out: &mut String, quoted: &str) {
    match quoted.rfind('@') {
        Some(at) if !quoted[at..].is_ascii() => {
            fold_into(out, &quoted[..=at]);
            out.push_str(&domain(&quoted[at + 1..]));
        }
        _ => fold_into(out, quoted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_case_folding() {
        for (a, b) in [
            ("JÖRG", "jörg"),
            ("straße", "STRASSE"),
            ("ẞ", "ss"),
            ("σ", "ς"),
            ("ŉ", "ʼn"),
            ("ﬁ", "FI"),
            ("ᾼ", "αι"),
            ("\u{212a}", "k"),
            ("ſ", "s"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [("ı", "i"), ("İ", "i"), ("o", "ö"), ("e\u{301}", "é")] {
            assert!(!same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_domain_has_one_form() {
        assert_eq!(domain("BÜCHER.example"), "xn--bcher-kva.example");
        assert_eq!(domain("bu\u{308}cher.example"), "xn--bcher-kva.example");
        assert_eq!(domain("Plain.Example"), "plain.example");
        let mut key = String::new();
        key_into(&mut key, "Jö@BÜCHER.example");
        assert_eq!(key, "jö@xn--bcher-kva.example");
    }
}
