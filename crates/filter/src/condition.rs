//! One condition of a recipe: its prefixes in any order, then what is tested.

use std::sync::{Arc, OnceLock};

use crate::message::Area;
use crate::regex::{Regex, expand_macros};
use crate::text::{decimal, is_name, skip_blanks};

/// What is searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The part of the message that the recipe's flags say.
    #[default]
    Flags,
    /// `H ??`, `B ??`, `HB ??`.
    Area(Area),
    /// `NAME ??`.
    Variable(Vec<u8>),
}

/// Weight and exponent of a scored condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weight {
    pub(crate) weight: f64,
    pub(crate) exponent: f64,
}

/// What comes before the test.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Prefix {
    pub(crate) negate: bool,
    pub(crate) weight: Option<Weight>,
    pub(crate) subject: Subject,
}

/// What is tested.
#[derive(Debug)]
pub(crate) enum Test {
    /// An expression is looked for.
    Match(Expression),
    /// `$`: the text is substituted and read again.
    Expand(Vec<u8>),
    /// `?`: a program's exit code.
    Program(Vec<u8>),
    /// `<` or `>` with what follows.
    Size(Vec<u8>),
}

/// A condition.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) prefix: Prefix,
    pub(crate) test: Test,
    /// What the log shows.
    pub(crate) shown: Vec<u8>,
    /// Its place among those of the prefilter.
    pub(crate) candidate: Option<u32>,
}

/// An expression, compiled when it is first needed, for either meaning of case.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) text: Vec<u8>,
    /// `^FROM_DAEMON` is in it: case never matters.
    daemon: bool,
    compiled: [OnceLock<Arc<Regex>>; 2],
}

impl Expression {
    /// Whether case is ignored in a recipe that asks for `distinguish` (flag `D`).
    pub(crate) fn ignores_case(&self, distinguish: bool) -> bool {
        self.daemon || !distinguish
    }

    /// The compiled form.
    pub(crate) fn regex(&self, ignore_case: bool) -> &Arc<Regex> {
        self.compiled[usize::from(ignore_case)].get_or_init(|| Arc::new(Regex::new(&self.text, ignore_case)))
    }

    /// Whether the compiled form is there already.
    pub(crate) fn is_compiled(&self, ignore_case: bool) -> bool {
        self.compiled[usize::from(ignore_case)].get().is_some()
    }
}

/// The longest expression that spelled-out abbreviations may make.
const LONGEST_EXPRESSION: usize = 1 << 20;

impl Condition {
    /// Reads a condition as it stands in the file, its star taken off.
    pub(crate) fn read(text: &[u8]) -> Self {
        Self::resume(trim_end(text), Prefix::default())
    }

    /// Reads on, after `prefix` was read.
    pub(crate) fn resume(text: &[u8], mut prefix: Prefix) -> Self {
        let mut text = text;
        loop {
            let test = match text.first() {
                Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b',') => match weight(text) {
                    Some((weight, rest)) => {
                        prefix.weight = Some(weight);
                        text = rest;
                        continue;
                    }
                    None => Test::expression(text),
                },
                Some(b'\\') => Test::expression(&text[1..]),
                Some(b'!') => {
                    prefix.negate = !prefix.negate;
                    text = skip_blanks(&text[1..]);
                    continue;
                }
                Some(b'$') => Test::Expand(squeeze(&text[1..])),
                Some(b'?') => Test::Program(text[1..].to_vec()),
                Some(b'<' | b'>') => Test::Size(text.to_vec()),
                _ => match subject(text) {
                    Some((subject, rest)) => {
                        prefix.subject = subject;
                        text = rest;
                        continue;
                    }
                    None => Test::expression(text),
                },
            };
            let shown = test.shown(text);
            return Self { prefix, test, shown, candidate: None };
        }
    }
}

impl Test {
    fn expression(text: &[u8]) -> Self {
        let mut text = squeeze(crate::text::until_nul(text));
        let daemon = expand_macros(&mut text, LONGEST_EXPRESSION);
        Self::Match(Expression { text, daemon, compiled: Default::default() })
    }

    fn shown(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Match(expression) if text.first() == Some(&b'\\') => [b"\\", expression.text.as_slice()].concat(),
            Self::Match(expression) => expression.text.clone(),
            Self::Expand(_) | Self::Program(_) | Self::Size(_) => text.to_vec(),
        }
    }
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|octet| !matches!(octet, b' ' | b'\t')).map_or(0, |last| last + 1);
    &text[..end]
}

/// `w^x`, with what follows it.
fn weight(text: &[u8]) -> Option<(Weight, &[u8])> {
    let (weight, length) = decimal(text)?;
    let rest = skip_blanks(&text[length..]).strip_prefix(b"^")?;
    let (exponent, length) = decimal(rest)?;
    Some((Weight { weight, exponent }, skip_blanks(&rest[length..])))
}

/// `NAME ??`, with what follows it.
fn subject(text: &[u8]) -> Option<(Subject, &[u8])> {
    let length = text.iter().take_while(|octet| is_name(**octet)).count();
    let (name, rest) = text.split_at(length);
    let rest = skip_blanks(rest).strip_prefix(b"??").filter(|_| length > 0)?;
    let subject = match name {
        b"H" => Subject::Area(Area::Header),
        b"B" => Subject::Area(Area::Body),
        b"HB" | b"BH" => Subject::Area(Area::Whole),
        _ => Subject::Variable(name.to_vec()),
    };
    Some((subject, skip_blanks(rest)))
}

/// Joins continued lines: a backslash before a newline goes with it, as do blanks behind any newline.
fn squeeze(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut after_newline = false;
    let mut after_backslash = false;
    for octet in text {
        if after_newline && matches!(octet, b' ' | b'\t') {
            continue;
        }
        if *octet == b'\n' && after_backslash {
            out.pop();
        } else {
            out.push(*octet);
        }
        after_newline = *octet == b'\n';
        after_backslash = *octet == b'\\';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let condition = Condition::read(text.as_bytes());
        let show = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let mut shown = String::new();
        if condition.prefix.negate {
            shown += "!";
        }
        if let Some(weight) = condition.prefix.weight {
            shown += &format!("{}^{} ", weight.weight, weight.exponent);
        }
        match &condition.prefix.subject {
            Subject::Flags => {}
            Subject::Area(area) => shown += &format!("{area:?} "),
            Subject::Variable(name) => shown += &format!("{} ", show(name)),
        }
        shown += &match &condition.test {
            Test::Match(expression) => format!("/{}/", show(&expression.text)),
            Test::Expand(text) => format!("${}", show(text)),
            Test::Program(text) => format!("?{}", show(text)),
            Test::Size(text) => show(text),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn conditions_are_read() {
        check("^Subject: x  ", "/^Subject: x/");
        check("! ^a", "!/^a/");
        check("!! a", "/a/");
        check("B ?? ! a", "!Body /a/");
        check("! B??a", "!Body /a/");
        check("HB ?? a", "Whole /a/");
        check("NAME ?? a", "NAME /a/");
        check("? test -f x", "? test -f x");
        check("$ ^$A", "$ ^$A");
        check("< 100", "< 100");
        check("1^0 ^a", "1^0 /^a/");
        check("-.5 ^ 1 B ?? a", "-0.5^1 Body /a/");
        check("1^x a", "/1^x a/");
        check("1 ?? a", "/1 ?? a/");
        check("", "//");
    }

    #[test]
    fn a_leading_backslash_is_dropped_and_lines_are_joined() {
        check(r"\/x", "//x/");
        check(r"()\/x", r"/()\/x/");
        check("a\\\n  b", "/ab/");
        check("a\n  b", "/a\nb/");
    }
}
