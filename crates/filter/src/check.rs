//! What is suspicious in a rule file, found without a message.

use std::path::Path;

use crate::condition::{Condition, Expression, Subject, Test};
use crate::delivery::split_kind;
use crate::host::FolderKind;
use crate::parse::ParseLimits;
use crate::program::{Action, Head, Kind, Phrase, Program, Recipe, Statement};
use crate::words::Complaint;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may be meant so.
    Hint,
    /// It is hardly meant so.
    Warning,
    /// procmail would complain, or ignore it.
    Error,
}

/// Something suspicious.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: u32,
    /// How much it matters.
    pub severity: Severity,
    /// What it is, and what to write instead.
    pub text: String,
}

/// Checks the text of a rule file. Names of folders start at `folder`, if that is known.
#[must_use]
pub fn check(text: &[u8], folder: Option<&Path>, limits: &config::Filter) -> Vec<Finding> {
    let parse_limits = ParseLimits { statements: limits.max_statements as usize };
    let Ok(program) = Program::parse(text, parse_limits) else {
        let text = format!("has more than {} statements (filter.max_statements) and is not used", limits.max_statements);
        return vec![Finding { line: 1, severity: Severity::Error, text }];
    };
    let mut checker = Checker { findings: Vec::new(), folder, open: Vec::new(), unreachable_from: None };
    checker.characters(text);
    for statement in &program.statements {
        checker.statement(statement);
    }
    for line in std::mem::take(&mut checker.open) {
        checker.find(line.0, Severity::Error, "this block has no closing brace");
    }
    checker.findings.sort_by_key(|finding| finding.line);
    checker.findings
}

struct Checker<'a> {
    findings: Vec<Finding>,
    folder: Option<&'a Path>,
    /// The lines of the blocks that are open, and whether what follows was unreachable before them.
    open: Vec<(u32, Option<u32>)>,
    /// The line of the recipe behind which nothing is reached.
    unreachable_from: Option<u32>,
}

impl Checker<'_> {
    fn find(&mut self, line: u32, severity: Severity, text: impl Into<String>) {
        self.findings.push(Finding { line, severity, text: text.into() });
    }

    fn characters(&mut self, text: &[u8]) {
        let line_of = |at: usize| u32::try_from(text[..at].iter().filter(|octet| **octet == b'\n').count() + 1).unwrap_or(u32::MAX);
        if let Some(at) = memchr::memmem::find(text, b"\r\n") {
            self.find(line_of(at), Severity::Error, "lines end with CR LF; the CR becomes part of names and expressions: save it with LF");
        }
        if let Some(at) = memchr::memchr(0, text) {
            self.find(line_of(at), Severity::Error, "a zero octet cuts the line off");
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let line = statement.line;
        if let (Some(from), false) = (self.unreachable_from, matches!(statement.kind, Kind::Close)) {
            self.find(line, Severity::Warning, format!("is never reached: the recipe on line {from} takes every message"));
            // One word for all that follows is enough.
            self.unreachable_from = None;
        }
        match &statement.kind {
            Kind::Assign(name, phrase) => {
                self.complaints(line, phrase);
                if matches!(name.as_slice(), b"INCLUDERC" | b"SWITCHRC") {
                    self.rule_file(line, phrase);
                }
            }
            Kind::Remove(_) => {}
            Kind::Close => match self.open.pop() {
                Some((_, before)) => self.unreachable_from = before,
                None => self.find(line, Severity::Error, "closes a block that was not opened"),
            },
            Kind::Junk(junk) => self.junk(line, junk),
            Kind::Recipe(recipe) => self.recipe(line, recipe),
        }
    }

    /// A rule file that is named in another.
    fn rule_file(&mut self, line: u32, phrase: &Phrase) {
        let Some(reading) = &phrase.fixed else { return };
        let name = reading.first();
        if name.is_empty() || name == b"/dev/null" {
            return;
        }
        let start = if name.starts_with(b"/") { Some(Path::new("/")) } else { self.folder };
        let Some(path) = start.and_then(|start| crate::host::path(start, name).ok()) else { return };
        if !path.is_file() {
            let what = if path.exists() { "is no regular file" } else { "does not exist" };
            self.find(line, Severity::Warning, format!("the rule file \"{}\" {what} and is passed over", String::from_utf8_lossy(name)));
        }
    }

    fn junk(&mut self, line: u32, junk: &[u8]) {
        let shown = String::from_utf8_lossy(junk).into_owned();
        let text = match junk.first() {
            None => return,
            Some(b'*') => format!("a condition outside of a recipe, perhaps behind the action line: \"{shown}\""),
            _ => format!("neither an assignment nor a recipe, skipped: \"{shown}\""),
        };
        self.find(line, Severity::Error, text);
    }

    fn complaints(&mut self, line: u32, phrase: &Phrase) {
        for complaint in &phrase.complaints {
            let text = match complaint {
                Complaint::UnexpectedEnd => "a quote is not closed".to_owned(),
                Complaint::BadSubstitution(name) => {
                    format!("bad substitution of \"{}\": only ${{name}} with -, :-, + or :+ is known", String::from_utf8_lossy(name))
                }
                Complaint::TooLong => continue,
            };
            self.find(line, Severity::Error, text);
        }
    }

    fn recipe(&mut self, line: u32, recipe: &Recipe) {
        self.complaints(line, &recipe.head);
        let head = recipe.flags.clone().unwrap_or_default();
        if !head.leftover.is_empty() {
            let text = format!("unknown flag or word \"{}\", skipped", String::from_utf8_lossy(&head.leftover));
            self.find(line, Severity::Error, text);
        }
        for condition in &recipe.conditions {
            if let Test::Match(expression) = &condition.condition.test {
                self.expression(condition.line, expression);
            }
        }
        if let Some((line, why)) = never(recipe, &head) {
            self.find(line, Severity::Warning, format!("this recipe can never match: {why}"));
        }
        self.action(line, recipe, &head);
        let chained = [b'A', b'a', b'E', b'e'].into_iter().any(|letter| head.flags.has(letter));
        let ends = match &recipe.action {
            Action::Folder(..) => true,
            Action::Pipe(None, _) | Action::Forward(None, _) => !head.flags.has(b'f') && !head.flags.has(b'w') && !head.flags.has(b'W'),
            _ => false,
        };
        if ends && recipe.flags.is_some() && recipe.conditions.is_empty() && !chained && !head.flags.has(b'c') {
            self.unreachable_from = Some(line);
        }
        if matches!(recipe.action, Action::Block) {
            self.open.push((line, self.unreachable_from.take()));
        }
    }

    fn expression(&mut self, line: u32, expression: &Expression) {
        if expression.regex(true).invalid() {
            self.find(line, Severity::Error, "the parentheses do not match; only what is before the mistake is looked for");
        }
        if holds_bare_dot(&expression.text) {
            self.find(line, Severity::Hint, "a dot in an address matches any character; write \\. for the dot itself");
        }
    }

    fn action(&mut self, line: u32, recipe: &Recipe, head: &Head) {
        match &recipe.action {
            Action::Missing | Action::End => self.find(line, Severity::Error, "this recipe has no action line"),
            Action::Block if head.lock && !head.flags.has(b'c') => {
                self.find(line, Severity::Warning, "a lock on a block is ignored unless the block has the flag c");
            }
            Action::Forward(_, phrase) => self.complaints(line, phrase),
            Action::Folder(_, phrase) => self.folder(line, phrase, head),
            Action::Pipe(..) | Action::Block => {}
        }
    }

    fn folder(&mut self, line: u32, phrase: &Phrase, head: &Head) {
        self.complaints(line, phrase);
        let Some(reading) = &phrase.fixed else { return };
        let name = reading.first();
        let (base, kind) = split_kind(name);
        let shown = String::from_utf8_lossy(name).into_owned();
        let path = self.folder.and_then(|folder| crate::host::path(folder, base).ok());
        let is_folder = path.as_ref().is_some_and(|path| path.is_dir());
        if name == b"/dev/null" || name == b"|" {
            return;
        }
        if kind == FolderKind::Mbox && !is_folder && !head.lock {
            self.find(line, Severity::Warning, format!("no lock on the mbox \"{shown}\": write :0: so that two deliveries do not mix"));
        }
        if kind == FolderKind::Maildir && head.lock && head.lock_name.is_none() {
            self.find(line, Severity::Hint, format!("the Maildir \"{shown}\" needs no lock: write :0"));
        }
        let parent_missing = path.as_ref().and_then(|path| path.parent()).is_some_and(|parent| !parent.is_dir());
        if parent_missing {
            self.find(line, Severity::Warning, format!("the folder that \"{shown}\" is in does not exist"));
        } else if kind != FolderKind::Mbox && path.is_some_and(|path| !path.exists()) {
            self.find(line, Severity::Hint, format!("the folder \"{shown}\" does not exist; it is made with the first message"));
        }
    }
}

/// Why a recipe can never match, if so, and the line of the condition that says it.
fn never(recipe: &Recipe, head: &Head) -> Option<(u32, String)> {
    let (mut largest, mut smallest) = (usize::MAX, 0);
    let mut seen: Vec<(&[u8], bool, &Subject)> = Vec::new();
    for line in &recipe.conditions {
        let Condition { prefix, test, .. } = &line.condition;
        let shown = String::from_utf8_lossy(&line.text).trim().to_owned();
        if prefix.weight.is_some() {
            continue;
        }
        match test {
            Test::Match(expression) => {
                let ignores_case = expression.ignores_case(head.flags.has(b'D'));
                if !prefix.negate && expression.regex(ignores_case).never_matches() {
                    return Some((line.line, format!("no text has \"{shown}\" in it; ^^ stands at the very beginning or end")));
                }
                if seen.contains(&(&expression.text, !prefix.negate, &prefix.subject)) {
                    return Some((line.line, format!("\"{shown}\" contradicts a condition above")));
                }
                seen.push((&expression.text, prefix.negate, &prefix.subject));
            }
            Test::Size(text) if prefix.subject == Subject::Flags && !prefix.negate => {
                let number = std::str::from_utf8(&text[1..]).ok().and_then(|digits| digits.trim().parse::<usize>().ok());
                match (text.first(), number) {
                    (Some(b'<'), Some(number)) => largest = largest.min(number.saturating_sub(1)),
                    (Some(b'>'), Some(number)) => smallest = smallest.max(number.saturating_add(1)),
                    _ => {}
                }
                if smallest > largest || number == Some(0) && text.starts_with(b"<") {
                    return Some((line.line, format!("no message has such a size: \"{shown}\"")));
                }
            }
            _ => {}
        }
    }
    let mut weights = recipe.conditions.iter().filter_map(|line| line.condition.prefix.weight).peekable();
    let scored = weights.peek().is_some();
    (scored && weights.all(|weight| weight.weight <= 0.0 && weight.exponent >= 0.0) && only_expressions(recipe))
        .then(|| (recipe.conditions[0].line, "no condition adds to its score".to_owned()))
}

/// Whether all scored conditions look for expressions: the scores of programs and sizes are made of both numbers.
fn only_expressions(recipe: &Recipe) -> bool {
    let mut scored = recipe.conditions.iter().filter(|line| line.condition.prefix.weight.is_some());
    scored.all(|line| matches!(line.condition.test, Test::Match(_)))
}

/// Whether there is a dot between letters behind an at sign that is not escaped.
fn holds_bare_dot(expression: &[u8]) -> bool {
    let word = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    let Some(at) = memchr::memchr(b'@', expression) else { return false };
    let domain: Vec<u8> = expression[at + 1..].iter().copied().take_while(|octet| word(octet) || *octet == b'.').collect();
    domain.windows(3).any(|three| word(&three[0]) && three[1] == b'.' && word(&three[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str, expected: &[(u32, Severity, &str)]) {
        let found = check(text.as_bytes(), None, &config::Filter::default());
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (finding, (line, severity, part)) in found.iter().zip(expected) {
            assert!(finding.line == *line && finding.severity == *severity && finding.text.contains(part), "{text}: {finding:?}");
        }
    }

    #[test]
    fn what_is_well_is_not_mentioned() {
        check_text("A=1\n:0:\n* ^Subject: x\nbox\n:0 fW\n| spamc\n:0\n.junk/\n", &[]);
    }

    #[test]
    fn suspicious_things_are_found() {
        use Severity::{Error, Hint, Warning};
        check_text(":0\nbox\n", &[(1, Warning, "no lock")]);
        check_text(":0\nmd/\n:0\n* a\nmd2/\n", &[(3, Warning, "never reached")]);
        check_text(":0\n* a\nmd/\n* b\n", &[(4, Error, "outside of a recipe")]);
        check_text(":0 cq\n* a\nmd/\n", &[(1, Error, "unknown flag")]);
        check_text(":0\n* ^From:.*joe@example.com\nmd/\n", &[(2, Hint, "any character")]);
        check_text(":0\n* ^From:.*joe@example\\.com\nmd/\n", &[]);
        check_text(":0\n* (a\nmd/\n", &[(2, Error, "parentheses")]);
        check_text(":0\n* a\n{\nA=1\n", &[(1, Error, "closing brace")]);
        check_text("}\n", &[(1, Error, "not opened")]);
        check_text(":0:\nmd/\n", &[(1, Hint, "needs no lock")]);
        check_text("A=\"x\n", &[(1, Error, "not closed")]);
        check_text(":0\n* a^^b\nmd/\n", &[(2, Warning, "never match")]);
        check_text(":0\n* ! a^^b\nmd/\n", &[]);
        check_text(":0\n* ^^a\n* b^^\nmd/\n", &[]);
        check_text(":0\n* < 100\n* > 200\nmd/\n", &[(3, Warning, "such a size")]);
        check_text(":0\n* > 100\n* < 200\nmd/\n", &[]);
        check_text(":0\n* ^A\n* ! ^A\nmd/\n", &[(3, Warning, "contradicts")]);
        check_text(":0\n* ^A\n* ! B ?? ^A\nmd/\n", &[]);
        check_text(":0\n* -1^0 a\n* -2^1 b\nmd/\n", &[(2, Warning, "adds to its score")]);
        check_text(":0\n* -1^0 a\n* 2^1 b\nmd/\n", &[]);
        check_text("A=1\r\n", &[(1, Error, "CR LF")]);
        check_text(":0\n* a\n", &[(1, Error, "no action")]);
    }

    #[test]
    fn missing_folders_are_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let check = |text: &str| check(text.as_bytes(), Some(folder.path()), &config::Filter::default()).len();
        assert_eq!(check(":0:\n* a\nno/box\n"), 1);
        assert_eq!(check(":0:\n* a\nsub/box\n"), 0);
        assert_eq!(check(":0\n* a\nsub\n"), 0);
        assert_eq!(check(":0\n* a\nmd/\n"), 1);
        std::fs::write(folder.path().join("more.rc"), "").unwrap();
        assert_eq!(check("INCLUDERC=more.rc\nSWITCHRC=/dev/null\nINCLUDERC=$HOME/x\n"), 0);
        assert_eq!(check("INCLUDERC=none.rc\nINCLUDERC=sub\nSWITCHRC=/dev/zero\nINCLUDERC=/nowhere/x\n"), 4);
    }
}
