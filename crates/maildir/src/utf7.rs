//! Modified UTF-7 (RFC 3501 section 5.1.3): how IMAP and Maildir++ write mailbox names in ASCII.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Encodes a name.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut out, &mut units);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
    flush(&mut out, &mut units);
    out
}

/// Writes the gathered UTF-16 units as one shifted run.
fn flush(out: &mut String, units: &mut Vec<u16>) {
    if units.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut held) = (0u32, 0);
    for unit in units.drain(..) {
        bits = bits << 16 | u32::from(unit);
        held += 16;
        while held >= 6 {
            held -= 6;
            out.push(char::from(DIGITS[(bits >> held & 63) as usize]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(char::from(DIGITS[(bits << (6 - held) & 63) as usize]));
    }
    out.push('-');
}

/// Decodes a name; `None` unless it is exactly what [`encode`] makes of the result, so that no mailbox has two names.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        out.push_str(plain);
        let (run, after) = shifted.split_once('-')?;
        if run.is_empty() {
            out.push('&')
        } else {
            out.push_str(&decode_run(run)?)
        }
        rest = after;
    }
    out.push_str(rest);
    (encode(&out) == text).then_some(out)
}

fn decode_run(run: &str) -> Option<String> {
    let mut units = Vec::with_capacity(run.len() * 3 / 8);
    let (mut bits, mut held) = (0u32, 0);
    for b in run.bytes() {
        let digit = DIGITS.iter().position(|d| *d == b)?;
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push((bits >> held) as u16);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_encoded_as_the_rfc_has_them() {
        let check = |plain: &str, coded: &str| {
            assert_eq!(encode(plain), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain));
        };
        check("INBOX", "INBOX");
        check("Entwürfe", "Entw&APw-rfe");
        check("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        check("a&b", "a&-b");
        check("☺!", "&Jjo-!");
        check("😀", "&2D3eAA-");
    }

    #[test]
    fn what_encode_would_not_write_is_refused() {
        for bad in ["&", "&A", "a&AAA", "&AGE-", "&Jjo", "&Jjo-&Jjo-", "ü", "&2D0-", "&U,BTFw!-"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC{0,20}") {
            prop_assert_eq!(decode(&encode(&name)), Some(name));
        }

        #[test]
        fn no_text_is_decoded_to_what_encodes_otherwise(text in "[&A-Za-z0-9+,-]{0,20}") {
            if let Some(name) = decode(&text) {
                prop_assert_eq!(encode(&name), text);
            }
        }
    }
}
