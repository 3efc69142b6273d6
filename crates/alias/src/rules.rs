//! Tables of patterns (`regexp:`, `pcre:`): rules tried in order, with `if` and `endif`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use fancy_regex::{Regex, RegexBuilder};

use crate::lines::{self, is_space, trim};
use crate::octets::{gather, spread};
use crate::problem::{Problem, Severity};
use crate::template::Template;
use crate::{perl, posix};

/// How many steps a pattern with look-around or back references may take on one address before it counts as no match.
const STEPS: usize = 200_000;
/// The most memory one compiled pattern may take, in octets.
const PATTERN_SIZE: usize = 1 << 20;

/// Which language the patterns are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `regexp:`, POSIX.
    Posix,
    /// `pcre:`, Perl-compatible.
    Perl,
}

/// A table of patterns.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    line: u32,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Give(Pattern, Template),
    /// With the index of the `endif`; without one the block goes to the end of the table.
    If(Pattern, Option<usize>),
    EndIf,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// The same pattern, which has to end where the text ends: finds the groups of the longest match.
    exact: Option<Regex>,
    negated: bool,
    groups: usize,
    /// What is odd about it, until it has been told.
    warning: Option<String>,
}

/// A pattern with its flags, as they stand in the file.
struct Source<'a> {
    pattern: &'a str,
    flags: &'a str,
    negated: bool,
}

impl Rules {
    /// Reads a table; rules that cannot be used are reported and left out, as Postfix leaves them out.
    pub(crate) fn parse(map: &str, file: &[u8], dialect: Dialect, problems: &mut Vec<Problem>) -> Self {
        let mut reader = Reader { dialect, rules: Vec::new(), open: Vec::new(), seen: HashMap::new() };
        lines::each(file, |number, line| {
            let text = String::from_utf8_lossy(line);
            let mut report = |severity, message: String| problems.push(Problem::new(severity, map, number, &text, message));
            let outcome = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned());
            match outcome.and_then(|line| reader.add_line(number, trim(line))) {
                Ok(None) => {}
                Ok(Some(warning)) => report(Severity::Warning, warning),
                Err(error) => report(Severity::Error, format!("{error}; the rule is left out")),
            }
        });
        if let Some(open) = reader.open.last().and_then(|at| reader.rules.get(*at)) {
            problems.push(Problem::new(Severity::Warning, map, open.line, "", "this if has no endif"));
        }
        Self { rules: reader.rules }
    }

    /// The result for an address and the line that gave it.
    pub(crate) fn find(&self, address: &str) -> Option<(String, u32)> {
        let spread = spread(address);
        let mut at = 0;
        while let Some(rule) = self.rules.get(at) {
            at += 1;
            match &rule.action {
                Action::EndIf => {}
                Action::If(pattern, end) => {
                    if !pattern.matches(&spread) {
                        at = (*end)?;
                    }
                }
                Action::Give(pattern, template) => {
                    if let Some(result) = pattern.give(&spread, template) {
                        return Some((gather(result), rule.line));
                    }
                }
            }
        }
        None
    }
}

struct Reader {
    dialect: Dialect,
    rules: Vec<Rule>,
    /// Indices of the `if` rules that are open.
    open: Vec<usize>,
    /// Patterns outside of blocks, with their lines, to find those that can never be reached.
    seen: HashMap<String, u32>,
}

impl Reader {
    fn add_line(&mut self, line: u32, text: &str) -> Result<Option<String>, String> {
        let keyword = |word: &str| {
            let rest = text.get(word.len()..).filter(|_| text[..word.len()].eq_ignore_ascii_case(word))?;
            (!rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then(|| trim(rest))
        };
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            self.rule(line, text)
        } else if let Some(rest) = keyword("if") {
            self.begin(line, rest)
        } else if let Some(rest) = keyword("endif") {
            self.end(line, rest)
        } else {
            Err("expected /pattern/flags result, if /pattern/flags, or endif".to_owned())
        }
    }

    fn rule(&mut self, line: u32, text: &str) -> Result<Option<String>, String> {
        let (source, rest) = split(text)?;
        let template = Template::parse(rest)?;
        if source.negated && template.highest() > 0 {
            return Err("a negated pattern has no groups for $1".to_owned());
        }
        let mut pattern = Pattern::compile(&source, self.dialect, template.highest() > 0)?;
        if template.highest() > pattern.groups {
            return Err(format!("${} names a group that the pattern does not have", template.highest()));
        }
        let warning = pattern
            .warning
            .take()
            .or_else(|| self.unreachable(&source, line))
            .or_else(|| rest.is_empty().then(|| "the result is empty".to_owned()));
        self.rules.push(Rule { line, action: Action::Give(pattern, template) });
        Ok(warning)
    }

    fn unreachable(&mut self, source: &Source<'_>, line: u32) -> Option<String> {
        if !self.open.is_empty() {
            return None;
        }
        let name = format!("{}/{}/{}", source.negated, source.pattern, source.flags);
        match self.seen.entry(name) {
            Entry::Occupied(first) => Some(format!("this rule is never reached: line {} has the same pattern", first.get())),
            Entry::Vacant(place) => {
                place.insert(line);
                None
            }
        }
    }

    fn begin(&mut self, line: u32, text: &str) -> Result<Option<String>, String> {
        let (source, rest) = split(text)?;
        let mut pattern = Pattern::compile(&source, self.dialect, false)?;
        let warning = pattern.warning.take();
        self.open.push(self.rules.len());
        self.rules.push(Rule { line, action: Action::If(pattern, None) });
        Ok(warning.or_else(|| (!rest.is_empty()).then(|| "the text after the if is ignored".to_owned())))
    }

    fn end(&mut self, line: u32, rest: &str) -> Result<Option<String>, String> {
        let begin = self.open.pop().ok_or("this endif has no if")?;
        let here = self.rules.len();
        if let Some(Rule { action: Action::If(_, end), .. }) = self.rules.get_mut(begin) {
            *end = Some(here);
        }
        self.rules.push(Rule { line, action: Action::EndIf });
        Ok((!rest.is_empty()).then(|| "the text after the endif is ignored".to_owned()))
    }
}

/// Splits `!/pattern/flags rest`.
fn split(text: &str) -> Result<(Source<'_>, &str), String> {
    let unmarked = text.trim_start_matches('!');
    let negated = (text.len() - unmarked.len()) % 2 == 1;
    let body = trim(unmarked);
    let delimiter = body.chars().next().ok_or("there is no pattern")?;
    let body = &body[delimiter.len_utf8()..];
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == delimiter {
            let after = &body[at + c.len_utf8()..];
            let flags = after.find(|c: char| c == '!' || u8::try_from(c).is_ok_and(is_space)).unwrap_or(after.len());
            return Ok((Source { pattern: &body[..at], flags: &after[..flags], negated }, trim(&after[flags..])));
        }
    }
    Err(format!("the pattern has no closing {delimiter}"))
}

impl Pattern {
    fn compile(source: &Source<'_>, dialect: Dialect, captures: bool) -> Result<Self, String> {
        let pattern = spread(source.pattern);
        let (known, defaults) = if dialect == Dialect::Posix { ("imx", "ix") } else { ("imsxAEUX", "is") };
        if let Some(unknown) = source.flags.chars().find(|c| !known.contains(*c)) {
            return Err(format!("the flag {unknown} is not known"));
        }
        // Each letter toggles its flag.
        let on = |flag: char| (source.flags.matches(flag).count() % 2 == 1) != defaults.contains(flag);
        let (translated, warning) = match dialect {
            Dialect::Posix => {
                let translated = posix::translate(&pattern, on('x'), on('i'))?;
                (translated.pattern, translated.warning)
            }
            Dialect::Perl => (perl::translate(&pattern, on('x'))?, None),
        };
        let mut options = String::from(if dialect == Dialect::Posix || on('s') { "s" } else { "" });
        options.extend(['i', 'm'].into_iter().filter(|flag| on(*flag)));
        if dialect == Dialect::Perl && on('U') {
            options.push('U');
        }
        let options = if options.is_empty() { String::new() } else { format!("(?{options})") };
        let anchor = if dialect == Dialect::Perl && on('A') { "\\A" } else { "" };
        let regex = build(&format!("{options}{anchor}(?:{translated})"))?;
        let longest = dialect == Dialect::Posix && captures;
        let exact = if longest { Some(build(&format!("{options}(?:{translated})\\z"))?) } else { None };
        Ok(Self { groups: regex.captures_len() - 1, regex, exact, negated: source.negated, warning })
    }

    /// Whether the rule applies. A pattern that takes too long counts as one that does not match.
    fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text).is_ok_and(|found| found != self.negated)
    }

    fn give(&self, text: &str, template: &Template) -> Option<String> {
        if template.highest() == 0 {
            return self.matches(text).then(|| template.fill(|_| None));
        }
        let captures = match &self.exact {
            None => self.regex.captures(text).ok().flatten()?,
            Some(exact) => {
                let found = self.regex.find(text).ok().flatten()?;
                // POSIX takes the longest of the leftmost matches; its groups are those of the first way to get that far.
                let ends = (found.end()..=text.len()).rev().filter(|end| text.is_char_boundary(*end));
                let try_end = |end| exact.captures_from_pos(&text[..end], found.start()).ok().flatten();
                let mut longest = ends.filter_map(try_end);
                longest.find(|c| c.get(0).is_some_and(|m| m.start() == found.start()))?
            }
        };
        Some(template.fill(|group| captures.get(group).map(|m| m.as_str())))
    }
}

fn build(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(STEPS).delegate_size_limit(PATTERN_SIZE);
    builder.build().map_err(|error| format!("the pattern is wrong: {}", error.to_string().replace('\n', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, text: &str, cases: &[(&str, Option<&str>)]) -> Vec<String> {
        let mut problems = Vec::new();
        let rules = Rules::parse("regexp:r", text.as_bytes(), dialect, &mut problems);
        for (address, expected) in cases {
            assert_eq!(rules.find(address).map(|found| found.0).as_deref(), *expected, "{address}");
        }
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn first_match_wins_and_blocks_are_skipped() {
        let text = "/^a@/ one\n/^a@/ two\nif /^b/\n/^b1@/ three\nif !/x/\n/^b2@/ four\nendif\nendif\n/^b/ five\n!/z/ six\n";
        let cases =
            [("a@", Some("one")), ("b1@", Some("three")), ("b2@", Some("four")), ("b2@x", Some("five")), ("c", Some("six")), ("z", None)];
        let problems = check(Dialect::Posix, text, &cases);
        assert_eq!(problems, ["regexp:r:2: warning: this rule is never reached: line 1 has the same pattern: /^a@/ two"]);
    }

    #[test]
    fn groups_are_those_of_the_longest_match() {
        let cases = [("lonin@", Some("in")), ("loninfo@", Some("info")), ("altabcd@", Some("a-bcd-")), ("foobarbaz", Some("foo-bar"))];
        let text = "/^lon(in|info)/ $1\n/^alt(a|ab)(c|bcd)(d*)@/ $1-$2-$3\n/^(foo|foobar)(bar)?baz/ ${1}-$(2)\n";
        assert_eq!(check(Dialect::Posix, text, &cases), [""; 0]);
        let perl = [("lonin@", Some("in")), ("loninfo@", Some("in"))];
        check(Dialect::Perl, text, &perl);
    }

    #[test]
    fn octets_count_and_case_is_ascii() {
        let cases = [("utfé@", None), ("dé@", Some("ué")), ("ä@", Some("joe")), ("Ä@", None), ("UP@", Some("up"))];
        check(Dialect::Posix, "/^utf.@/ joe\n/^d(..)@/ u$1\n/^ä@/ joe\n/^up@/ up\n", &cases);
        check(Dialect::Perl, "/^utf.@/ joe\n/^d(..)@/ u$1\n/^ä@/ joe\n/^up@/ up\n", &cases);
    }

    #[test]
    fn flags_toggle() {
        let cases = [("a@", Some("1")), ("A@", None), ("xxx", Some("x-xx")), ("banch", None), ("anch", Some("3"))];
        let text = "/^a@/i 1\n/^(x+)(x*)$/U $1-$2\n/anch/A 3\n/^ext # no/x 4\n";
        assert_eq!(check(Dialect::Perl, text, &cases), [""; 0]);
    }

    #[test]
    fn bad_rules_are_left_out() {
        for bad in [
            "/a joe",
            "/a/q joe",
            "/a/ $1",
            "/(a)/ $1x",
            "/(a)/ $0",
            "/a/ $",
            "/a/ ${1",
            "!/(a)/ $1",
            "/(/ joe",
            "endif",
            "word",
            "/a/joe",
            "if /a",
            "!",
            "/a\\",
        ] {
            let problems = check(Dialect::Posix, &format!("{bad}\n/a/ good\n"), &[("a", Some("good"))]);
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
        }
    }

    #[test]
    fn a_pattern_cannot_stall() {
        let long = format!("{}!", "a".repeat(2_000));
        check(Dialect::Perl, "/^(?=x*)(a+)+\\1$/ joe\n", &[(&long, None)]);
        check(Dialect::Posix, "/^(a*)*(a*)*b$/ $1\n", &[(&long, None)]);
    }
}
