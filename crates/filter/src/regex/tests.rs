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
    check("a*^^", "b", "+");
    check(r"()\/^^", "b", "=");
    check("a$^^()", "a\n", "-");
    check("a$(^^|b)", "a\n", "+");
    check("a$(^^)", "a\n", "+");
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
    assert_eq!(count("b^^", "ab"), 1);
    assert_eq!(count("()^^", "ab"), -1);
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

mod properties {
    use proptest::prelude::*;

    use super::super::reference::{Reference, disagreement};
    use super::super::syntax::parse;
    use super::*;

    fn expression() -> impl Strategy<Value = String> {
        let leaf =
            prop::sample::select(vec!["a", "b", "c", ".", "^", "$", "[ab]", "[^a]", r"\<", r"\>", "^^", "", "(", ")", "*", "[", r"\."]);
        let inner = leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |part| {
            prop_oneof![
                prop::collection::vec(part.clone(), 1..4).prop_map(|parts| parts.concat()),
                prop::collection::vec(part.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
                (part, prop::sample::select(vec!["*", "+", "?"])).prop_map(|(part, times)| format!("({part}){times}")),
            ]
        });
        prop::collection::vec(inner, 1..4).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_engine_agrees_with_the_slow_matcher(expression in expression(), text in "[abc \n]{0,14}") {
            prop_assume!(!expression.is_empty());
            let framed = framed(&text, true);
            let regex = Regex::new(expression.as_bytes(), true);
            let parsed = parse(expression.as_bytes(), true).unwrap();
            let expected = !Reference { text: &framed }.matches(&parsed.node).is_empty();
            prop_assert_eq!(regex.find(Text(&framed)).is_some(), expected, "{} on {:?}", expression, text);
        }

        #[test]
        fn nothing_disagrees(expression in "[ab(|)*+?.\\\\/<>^$\\[\\]]{0,24}", text in "[ab \n]{0,14}") {
            prop_assert_eq!(disagreement(expression.as_bytes(), text.as_bytes(), false), None);
        }

        #[test]
        fn any_octets_are_read_and_searched(expression in prop::collection::vec(1u8.., 0..40), text in prop::collection::vec(any::<u8>(), 0..200)) {
            let framed = [b"\n", text.as_slice(), b"\n"].concat();
            if let Some(Hit::Part(begin, end)) = Regex::new(&expression, false).find(Text(&framed)) {
                prop_assert!(begin <= end && end <= text.len());
            }
        }

        #[test]
        fn match_is_a_match_of_the_right_side(left in "[abc]{1,3}", right in expression(), text in "[abc \n]{0,14}") {
            let framed = framed(&text, true);
            let regex = Regex::new(format!("{left}\\/({right})").as_bytes(), true);
            if let Some(Hit::Part(begin, end)) = regex.find(Text(&framed)) {
                prop_assert!(text[..begin].to_ascii_lowercase().ends_with(&left));
                let node = parse(format!("({right})").as_bytes(), true).unwrap().node;
                let ends = Reference { text: &framed }.ends(&node, &[(begin + 1, None)].into(), true);
                prop_assert!(ends.iter().any(|(found, _)| (found - 1).min(text.len()) == end), "{} {} on {:?}", left, right, text);
            }
        }
    }
}
