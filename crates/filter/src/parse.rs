//! Reads a rule file into statements, by the same steps by which procmail reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::condition::Condition;
use crate::prefilter::Prefilter;
use crate::program::{Action, Head, Kind, Line, Phrase, Program, Recipe, Statement};
use crate::text::is_name;
use crate::words::{Complaint, Cursor, Mode, Scope, read};

/// How much of a rule file is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParseLimits {
    /// Statements in one file.
    pub(crate) statements: usize,
}

/// The file has more statements than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Program {
    /// Reads a rule file.
    pub(crate) fn parse(text: &[u8], limits: ParseLimits) -> Result<Self, TooMany> {
        Self::resumed(Arc::from(text), 0, None, limits)
    }

    /// Reads a rule file from `at` on. With `counted`, that is behind the flags of a recipe for which so many lines without a
    /// star are conditions.
    pub(crate) fn resumed(text: Arc<[u8]>, at: usize, counted: Option<i64>, limits: ParseLimits) -> Result<Self, TooMany> {
        let mut parser = Parser { cursor: Cursor::new(&text, at), statements: Vec::new(), counted_to: (0, 1), limits };
        if let Some(counted) = counted {
            let head = Phrase { at, end: at, fixed: None, complaints: Vec::new() };
            if parser.recipe_behind(at, head, None, counted)? {
                parser.recipe(parser.cursor.at - 1)?;
            }
        }
        parser.run()?;
        let mut statements = parser.statements;
        match_braces(&mut statements);
        let prefilter = Prefilter::of(&mut statements);
        Ok(Self { text, statements, expressions: Mutex::new(HashMap::new()), prefilter })
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    statements: Vec<Statement>,
    /// A place and its line, so that lines are counted once.
    counted_to: (usize, u32),
    limits: ParseLimits,
}

/// Gathers complaints while a piece is skipped.
#[derive(Default)]
struct Skipping(Vec<Complaint>);

impl Scope for Skipping {
    fn variable(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn pseudo(&self, _: u8) -> Vec<u8> {
        Vec::new()
    }
    fn output(&mut self, _: &[u8], _: usize) -> Vec<u8> {
        Vec::new()
    }
    fn complain(&mut self, complaint: Complaint) {
        self.0.push(complaint);
    }
}

impl Parser<'_> {
    fn line(&mut self, at: usize) -> u32 {
        let (from, line) = self.counted_to;
        let newlines = memchr::memchr_iter(b'\n', self.cursor.text.get(from..at).unwrap_or_default()).count();
        self.counted_to = (at.max(from), line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX)));
        self.counted_to.1
    }

    fn run(&mut self) -> Result<(), TooMany> {
        loop {
            self.skip_comments();
            let at = self.cursor.at;
            match self.cursor.peek() {
                None => return Ok(()),
                Some(b':') => {
                    self.cursor.at += 1;
                    self.recipe(at)?;
                }
                Some(b'}') => {
                    self.cursor.at += 1;
                    self.push(at, Kind::Close)?;
                }
                Some(_) => self.assignment(at)?,
            }
        }
    }

    fn push(&mut self, at: usize, kind: Kind) -> Result<(), TooMany> {
        if self.statements.len() >= self.limits.statements {
            return Err(TooMany);
        }
        let line = self.line(at);
        self.statements.push(Statement { line, kind });
        Ok(())
    }

    /// Skips blanks; true if there were any.
    fn skip_blanks(&mut self) -> bool {
        let from = self.cursor.at;
        while matches!(self.cursor.peek(), Some(b' ' | b'\t')) {
            self.cursor.at += 1;
        }
        self.cursor.at > from
    }

    fn skip_line(&mut self) {
        while self.cursor.next().is_some_and(|octet| octet != b'\n') {}
    }

    fn skip_comments(&mut self) {
        loop {
            self.skip_blanks();
            match self.cursor.peek() {
                Some(b'\n') => self.cursor.at += 1,
                Some(b'#') => self.skip_line(),
                _ => return,
            }
        }
    }

    /// The letters of a variable's name, as far as they go, and whether they are one.
    fn name(&mut self) -> (Vec<u8>, bool) {
        let from = self.cursor.at;
        if self.cursor.peek().is_some_and(|octet| is_name(octet) && !octet.is_ascii_digit()) {
            while self.cursor.peek().is_some_and(is_name) {
                self.cursor.at += 1;
            }
        }
        let name = self.cursor.text[from..self.cursor.at].to_vec();
        let complete = !name.is_empty() && matches!(self.cursor.peek(), Some(b' ' | b'\t' | b'\n' | b'='));
        (name, complete)
    }

    fn phrase(&mut self, prefix: &[u8], mode: Mode) -> Phrase {
        let at = self.cursor.at;
        let mut skipping = Skipping::default();
        let mut reading = read(&mut self.cursor, prefix.to_vec(), mode, true, usize::MAX - 1, &mut skipping);
        let end = self.cursor.at;
        let source = &self.cursor.text[at..end];
        let varies = source.iter().any(|octet| matches!(octet, b'$' | b'`'));
        reading.text.shrink_to_fit();
        Phrase { at, end, fixed: (!varies).then_some(reading), complaints: skipping.0 }
    }

    fn assignment(&mut self, at: usize) -> Result<(), TooMany> {
        let (name, complete) = self.name();
        if !complete {
            let junk = if name.is_empty() { self.rest_of_line() } else { name };
            return self.push(at, Kind::Junk(junk));
        }
        self.skip_blanks();
        if self.cursor.peek() != Some(b'=') {
            return self.push(at, Kind::Remove(name));
        }
        self.cursor.at += 1;
        let value = self.phrase(b"", Mode::Value);
        self.push(at, Kind::Assign(name, value))
    }

    fn rest_of_line(&mut self) -> Vec<u8> {
        let from = self.cursor.at;
        self.skip_line();
        let line = &self.cursor.text[from..self.cursor.at];
        line.strip_suffix(b"\n").unwrap_or(line).to_vec()
    }

    /// A recipe; its colon was read.
    fn recipe(&mut self, mut at: usize) -> Result<(), TooMany> {
        loop {
            let head = self.phrase(b"", Mode::Words);
            let flags = head.fixed.as_ref().map(Head::read);
            let counted = flags.as_ref().map_or(0, Head::counted);
            if !self.recipe_behind(at, head, flags, counted)? {
                return Ok(());
            }
            at = self.cursor.at - 1;
        }
    }

    /// The rest of a recipe, behind its flags. True if it has no action and the colon of the next one was read.
    fn recipe_behind(&mut self, at: usize, head: Phrase, flags: Option<Head>, counted: i64) -> Result<bool, TooMany> {
        let line = self.line(at);
        let (conditions, missing) = self.conditions(counted);
        let action = if missing { Action::Missing } else { self.action() };
        let recipe = Recipe { head, flags, counted, conditions, action, behind: 0, holds_recipes: false, noisy: false };
        self.push(at, Kind::Recipe(Box::new(recipe)))?;
        if let Some(statement) = self.statements.last_mut() {
            statement.line = line;
        }
        Ok(missing)
    }

    /// The conditions, and whether a recipe begins where the action should be.
    fn conditions(&mut self, mut counted: i64) -> (Vec<Line>, bool) {
        let mut lines = Vec::new();
        let mut empty_line = false;
        loop {
            self.skip_blanks();
            counted -= 1;
            if self.cursor.peek() == Some(b'*') {
                self.cursor.at += 1;
            } else if counted < 0 {
                match self.cursor.peek() {
                    Some(b'#') => self.skip_line(),
                    Some(b'\n') => {
                        self.cursor.at += 1;
                        empty_line = true;
                    }
                    Some(b':') if empty_line => {
                        self.cursor.at += 1;
                        return (lines, true);
                    }
                    _ => return (lines, false),
                }
                continue;
            } else if self.cursor.peek().is_none() {
                return (lines, false);
            }
            self.skip_blanks();
            let line = self.line(self.cursor.at);
            let text = self.continued_line();
            let condition = Condition::read(&text);
            lines.push(Line { line, text, condition });
        }
    }

    /// A line with those that continue it: a backslash at the end of a line stays, with the newline, but one that is alone on
    /// its line does not.
    fn continued_line(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            let begin = text.len();
            let from = self.cursor.at;
            let end = memchr::memchr(b'\n', &self.cursor.text[from..]).map_or(self.cursor.text.len(), |newline| from + newline);
            text.extend_from_slice(&self.cursor.text[from..end]);
            self.cursor.at = (end + 1).min(self.cursor.text.len());
            if text.len() == begin || text.last() != Some(&b'\\') {
                return text;
            }
            if text.len() == begin + 1 {
                text.pop();
            }
            text.push(b'\n');
        }
    }

    fn action(&mut self) -> Action {
        self.skip_blanks();
        match self.cursor.peek() {
            None => Action::End,
            Some(b'!' | b'|') => self.program(None),
            Some(_) => self.folder_or_block(),
        }
    }

    /// A forward or a pipe.
    fn program(&mut self, variable: Option<Vec<u8>>) -> Action {
        let sign = self.cursor.next();
        if sign == Some(b'!') {
            Action::Forward(variable, self.phrase(b"", Mode::Words))
        } else {
            Action::Pipe(variable, self.continued_line())
        }
    }

    fn folder_or_block(&mut self) -> Action {
        let (mut name, complete) = self.name();
        if complete {
            if self.skip_blanks() {
                name.push(0);
            }
            if self.cursor.peek() == Some(b'=') {
                self.cursor.at += 1;
                // procmail takes the octet before the blank for the sign, and so the name loses its last letter.
                let blank = name.last() == Some(&0);
                let variable = name[..name.len() - if blank { 2 } else { 0 }].to_vec();
                name.push(b'=');
                if self.skip_blanks() {
                    name.push(0);
                }
                if matches!(self.cursor.peek(), Some(b'!' | b'|')) {
                    return self.program(Some(variable));
                }
            }
        } else if name.is_empty() && self.cursor.peek() == Some(b'{') {
            self.cursor.at += 1;
            if matches!(self.cursor.peek(), Some(b' ' | b'\t' | b'\n')) {
                self.cursor.at += 1;
                return Action::Block;
            }
            name.push(b'{');
        }
        let phrase = self.phrase(&name, Mode::Words);
        Action::Folder(name, phrase)
    }
}

/// Finds for each block the statement behind its closing brace, and what skipping it would pass over.
fn match_braces(statements: &mut [Statement]) {
    // From the end to the beginning: the closing braces still to be matched, and what is known of the statements behind.
    let mut closing: Vec<Passed> = Vec::new();
    let mut outer = Passed { close: statements.len(), recipes: false, noisy: false };
    for index in (0..statements.len()).rev() {
        let size = statements.len();
        match &mut statements[index].kind {
            Kind::Close => {
                let before = std::mem::replace(&mut outer, Passed { close: index, recipes: false, noisy: false });
                closing.push(before);
            }
            Kind::Recipe(recipe) => {
                if matches!(recipe.action, Action::Block) {
                    recipe.holds_recipes = outer.recipes;
                    recipe.noisy = outer.noisy;
                    match closing.pop() {
                        Some(around) => {
                            recipe.behind = outer.close + 1;
                            let noisy = around.noisy || outer.noisy;
                            outer = Passed { recipes: true, noisy, ..around };
                        }
                        None => {
                            recipe.behind = size;
                            outer.recipes = true;
                        }
                    }
                }
                outer.recipes = true;
                outer.noisy |= recipe.is_noisy();
            }
            Kind::Junk(_) => outer.noisy = true,
            Kind::Assign(_, phrase) => outer.noisy |= !phrase.complaints.is_empty(),
            Kind::Remove(_) => {}
        }
    }
}

struct Passed {
    close: usize,
    recipes: bool,
    noisy: bool,
}

impl Recipe {
    /// Whether something is logged even when the recipe is skipped.
    fn is_noisy(&self) -> bool {
        let odd = |flags: &Head| {
            let block = matches!(self.action, Action::Block);
            let flags_ignored: &[u8] = if block { b"hbir" } else { b"" };
            let filter = self.action.ignores_filter() && flags.flags.has(b'f');
            let both = flags.flags.has(b'e') && (flags.flags.has(b'E') || flags.flags.has(b'a'));
            filter || both || !flags.leftover.is_empty() || (block && flags.lock) || flags_ignored.iter().any(|flag| flags.flags.has(*flag))
        };
        !self.head.complaints.is_empty() || self.action.noisy() || self.flags.as_ref().is_none_or(odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let program = Program::parse(text.as_bytes(), ParseLimits { statements: 100 }).unwrap();
        let shown: Vec<_> = program.statements.iter().map(show).collect();
        assert_eq!(shown, expected, "{text}");
    }

    fn show(statement: &Statement) -> String {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).replace('\0', ",");
        let kind = match &statement.kind {
            Kind::Assign(name, phrase) => format!("{}={}", text(name), phrase.fixed.as_ref().map_or("?".into(), |r| text(r.first()))),
            Kind::Remove(name) => format!("-{}", text(name)),
            Kind::Close => "}".to_owned(),
            Kind::Junk(junk) => format!("junk {}", text(junk)),
            Kind::Recipe(recipe) => {
                let conditions: Vec<_> = recipe.conditions.iter().map(|line| text(&line.text)).collect();
                let action = match &recipe.action {
                    Action::Forward(..) => "!".to_owned(),
                    Action::Pipe(variable, command) => format!("{}|{}", text(variable.as_deref().unwrap_or_default()), text(command)),
                    Action::Block => format!("{{ to {}", recipe.behind),
                    Action::Folder(_, phrase) => phrase.fixed.as_ref().map_or("?".into(), |r| text(&r.text)),
                    Action::Missing => "missing".to_owned(),
                    Action::End => "end".to_owned(),
                };
                format!(":{} {action}", conditions.join("&"))
            }
        };
        format!("{} {kind}", statement.line)
    }

    #[test]
    fn statements_are_read() {
        check("A=1 B = \"2 3\"\nC\n# no\nD=$A\n", &["1 A=1", "1 B=2 3", "2 -C", "4 D=?"]);
        check(":0:\n* ^a\n* b\\\n  c\nbox # x\n", &["1 :^a&b\\\n  c box,,"]);
        check(":0\n| a \\\n b\n", &["1 : | a \\\n b"]);
        check(":0\nX=| a\n:0\n! b\n", &["1 : X| a", "3 : !"]);
        check(":0\n{ A=1 }\nB=2", &["1 : { to 3", "2 A=1", "2 }", "3 B=2"]);
        check(":0\n{\n:0\n{ }\n}\n", &["1 : { to 4", "3 : { to 3", "4 }", "5 }"]);
    }

    #[test]
    fn odd_files_are_read_as_procmail_reads_them() {
        check("A.B\n* x\n", &["1 junk A", "1 junk .B", "2 junk * x"]);
        check(":0\n* a\n\n:0\nbox\n", &["1 :a missing", "4 : box,"]);
        check(":0\n* a\n:0\nbox\n", &["1 :a :0,", "4 -box"]);
        check(":0\n", &["1 : end"]);
        check(":1\nx\nbox\n", &["1 :x box,"]);
        check(":\nx\nbox\n", &["1 :x box,"]);
        check(":0\n{}\n", &["1 : {},"]);
        check(":0\n{ :0\nbox }\n", &["1 : { to 2", "2 : box,},"]);
        check("A", &["1 junk A"]);
    }

    #[test]
    fn statements_are_bounded() {
        assert!(Program::parse(&b"A=1\n".repeat(200), ParseLimits { statements: 100 }).is_err());
    }
}
