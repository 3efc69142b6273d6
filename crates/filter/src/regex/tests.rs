use super::*;

fn framed(text: &str, ignore_case: bool) -> Vec<u8> {
    let text = if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    format!("\n{text}\n").into_bytes()
}

/// `expected`: `-` for no match, `+` for a match without `\/`, otherwise MATCH after a `=`.
fn check(expression: &str, text: &str, expected: &str) {
    let regex = Regex::new(expression.as_bytes(), true);
    let found = match regex.find(Text(&framed(text, true))) {
        None => "-".to_owned(),
        Some(Hit::Plain) => "+".to_owned(),
        Some(Hit::Part(begin, end)) => format!("={}", &text[begin..end]),
    };
    assert_eq!(found, expected, "{expression} on {text:?}");
}

#[test]
fn plain_matches() {
    check("hello", "say HELLO", "+");
    check("^b", "a\nb", "+");
    check("^b", "ab", "-");
    check("a$b", "a\nb", "+");
    check("a$^b", "a\nb", "-");
    check("a$^b", "a\n\nb", "+");
    check("[^x]b", "a\nb", "-");
    check(".b", "\nb", "-");
    check("", "", "+");
    check("(a|)(b|c)$", "xc", "+");
}

#[test]
fn edges() {
    check("^^foo^^", "foo", "+");
    check("^^foo^^", "foobar", "-");
    check("^^b", "a\nb", "-");
    check("^^^b", "b", "-");
    check("^^^b", "\nb", "+");
    check("a^^", "a\n", "-");
    check("a$^^", "a\n", "+");
    check("a$$^^", "a\n", "-");
    check("^^^^", "", "+");
    check("^^^^", "a", "-");
    check("x|a^^", "ba", "+");
}

#[test]
fn words() {
    check(r"()\<hello\>", "hello", "+");
    check(r"()\<a\> b", "a b", "-");
    check(r"()\<a\>b", "a b", "+");
}

#[test]
fn split_takes_the_shortest_left_and_the_longest_right() {
    check(r"^S: *\/.*", "S:   x", "=   x");
    check(r"^S: *\/[a-z].*", "S:   x y", "=x y");
    check(r"l\/.*", "hello", "=lo");
    check(r"^a\/(b|bc)?", "abcd", "=bc");
    check(r"()\/^b", "a\nb", "=\nb");
    check(r"one\/$.*", "one\ntwo", "=\ntwo");
    check(r"(a\/b|c)", "c", "+");
    check(r"(a\/b|c)", "ab", "=b");
    check(r"a\/zz", "a", "-");
    check(r"\/", "abc", "=");
}

#[test]
fn counting_goes_on_behind_the_shortest_match() {
    let count = |expression: &str, text: &str| {
        let (regex, framed) = (Regex::new(expression.as_bytes(), true), framed(text, true));
        let (mut at, mut count) = (0, 0);
        while at <= text.len() {
            let Some(end) = regex.next_end(Text(&framed), at) else { break };
            count += 1;
            if end <= at {
                return -1;
            }
            at = end;
        }
        count
    };
    assert_eq!(count("^.*$", "a\nb\n"), 3);
    assert_eq!(count("a+", "aaa"), 3);
    assert_eq!(count("aba", "ababab"), 1);
    assert_eq!(count("a*", "b"), -1);
    assert_eq!(count("^", "a"), -1);
    assert_eq!(count("^x$", "x\nx\nx"), 3);
}

#[test]
fn what_would_stall_a_backtracker_does_not() {
    let text = "a".repeat(20_000);
    check("^(a*)*b", &text, "-");
    check("(a+)+(a+)+(a+)+b", &text, "-");
    check(r"(H*e*l*)*\/", &text, "=");
    check("(a?|b?)(a?|b?)(a?|b?)(a?|b?)(a?|b?)(a?|b?)(a?|b?)(a?|b?)(a?|b?)(a?|b?)c", &text, "-");
}

#[test]
fn abbreviations_are_spelled_out() {
    let expand = |text: &str| {
        let mut expression = text.as_bytes().to_vec();
        let daemon = expand_macros(&mut expression, 100_000);
        (String::from_utf8(expression).unwrap(), daemon)
    };
    assert!(expand("^TO_joe@").0.starts_with("(^((Original-)?"));
    assert!(expand("^TO_joe@").0.ends_with("[^-a-zA-Z0-9_.])?)joe@"));
    assert!(expand("a|^FROM_DAEMON").1);
    assert_eq!(expand(r"\^TO_joe"), (r"\^TO_joe".to_owned(), false));
    assert_eq!(expand("^to_joe").0, "^to_joe");
}
