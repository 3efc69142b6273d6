//! Logical lines of Postfix's tables: a line that begins with white space continues the one before, also across comments
//! and blank lines between them.

/// White space as the C library has it, the vertical tab included.
pub(crate) fn is_space(b: u8) -> bool {
    b.is_ascii_whitespace() || b == 0x0b
}

/// A text without white space at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_space))
}

/// Calls `each` with every logical line: the number of its first line from 1, and its octets without line ends.
///
/// A first line that begins with white space is handed on as it is.
pub(crate) fn each(file: &[u8], mut each: impl FnMut(u32, &[u8])) {
    let mut gathered: Vec<u8> = Vec::new();
    let mut first = 0;
    for (number, line) in (1u32..).zip(file.split(|b| *b == b'\n')) {
        let Some(start) = line.iter().position(|b| !is_space(*b)) else { continue };
        if line[start] == b'#' {
            continue;
        }
        if start == 0 && !gathered.is_empty() {
            each(first, &gathered);
            gathered.clear();
        }
        if gathered.is_empty() {
            first = number;
        }
        gathered.extend_from_slice(line);
    }
    if !gathered.is_empty() {
        each(first, &gathered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(u32, &str)]) {
        let mut found = Vec::new();
        each(text.as_bytes(), |n, l| found.push((n, String::from_utf8(l.to_vec()).unwrap())));
        let expected: Vec<_> = expected.iter().map(|(n, l)| (*n, (*l).to_owned())).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn lines_go_on_across_comments_and_blank_lines() {
        check("a x\n b\n# c\n\n\tc\nd y", &[(1, "a x b\tc"), (6, "d y")]);
        check("\n# c\n   # d\na x\r\n", &[(4, "a x\r")]);
        check("  a x\nb y\n", &[(1, "  a x"), (2, "b y")]);
        check("", &[]);
        check("a\\\nb", &[(1, "a\\"), (2, "b")]);
    }
}
