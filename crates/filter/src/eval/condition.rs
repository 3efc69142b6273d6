//! The conditions of a recipe, and the score.

use std::borrow::Cow;
use std::sync::Arc;

use super::Evaluator;
use super::programs::Command;
use crate::condition::{Condition, Expression, Prefix, Subject, Test, Weight};
use crate::message::Area;
use crate::outcome::{Event, Tested};
use crate::prefilter::slot;
use crate::program::{Flags, Recipe};
use crate::regex::{Hit, Regex, Text};
use crate::text::{integer, skip_blanks};
use crate::words::Mode;

/// Infinity, for scores.
const MOST: f64 = 2_147_483_647.0;

/// The state of a recipe's conditions.
struct Tally {
    matched: bool,
    score: f64,
    scored: bool,
    area: Area,
    distinguish: bool,
}

/// Expressions with substitutions in them that are kept for the next message, for each rule file.
const KEPT_EXPRESSIONS: usize = 256;

impl Evaluator<'_> {
    /// Tests all conditions. Those behind one that fails are passed over.
    pub(super) fn conditions(&mut self, recipe: &Recipe, flags: &mut Flags) -> bool {
        let (header, body) = (flags.has(b'H'), flags.has(b'B'));
        let area = match (header, body) {
            (true, true) => Area::Whole,
            (false, true) => Area::Body,
            _ => Area::Header,
        };
        if area != Area::Body {
            self.state.joined = true;
        }
        let matched = self.chained(flags);
        let mut tally = Tally { matched, score: 0.0, scored: false, area, distinguish: flags.has(b'D') };
        let line_buffer = self.state.settings.line_buffer;
        let own_line = self.here.as_ref().map(|here| here.line);
        for line in &recipe.conditions {
            if line.text.len() >= line_buffer {
                self.too_long();
                tally.matched = false;
            }
            if tally.matched {
                if let Some(here) = self.here.as_mut().filter(|_| self.request.explain) {
                    here.line = line.line;
                }
                self.condition(&line.condition, &mut tally);
            } else if !self.request.explain {
                // Nothing more to learn, but whether another line is too long.
                if recipe.conditions.iter().all(|line| line.text.len() < line_buffer) {
                    break;
                }
            }
        }
        if let (Some(here), Some(line)) = (self.here.as_mut(), own_line) {
            here.line = line;
        }
        #[allow(clippy::cast_possible_truncation)] // The score is within the range of 32 bits.
        let score = tally.score as i64;
        self.state.score = if score == 0 && tally.score > 0.0 { 1 } else { score };
        tally.matched && !(tally.scored && tally.score <= 0.0)
    }

    /// Whether the recipes before let this one be tried.
    fn chained(&mut self, flags: &mut Flags) -> bool {
        self.flag_conflicts(flags);
        let chain = self.state.chain;
        (!flags.has(b'e') || (chain.previous && !chain.success))
            && (!flags.has(b'E') || !chain.previous)
            && (!flags.has(b'a') || (chain.condition && chain.success))
            && (!flags.has(b'A') || chain.condition)
    }

    pub(super) fn flag_conflicts(&mut self, flags: &mut Flags) {
        if !flags.has(b'e') {
            return;
        }
        for (letter, name) in [(b'E', "else-if"), (b'a', "also-if-succeeded")] {
            if flags.has(letter) {
                self.notice(&format!("Conflicting {name}-flag suppressed\n"));
                flags.clear(letter);
            }
        }
    }

    /// Tests one condition; those with `$` are read again once they are substituted.
    fn condition(&mut self, condition: &Condition, tally: &mut Tally) {
        let Test::Expand(text) = &condition.test else { return self.test(condition, tally) };
        let quoted = [b"\"", text.as_slice()].concat();
        let reading = self.read_text(&quoted, Mode::Text);
        if reading.overflow {
            tally.matched = false;
            return self.report(&condition.prefix, &quoted, tally, tally.score, Tested::TooLong);
        }
        let expanded = Condition::resume(skip_blanks(reading.first()), condition.prefix.clone());
        self.condition(&expanded, tally);
    }

    fn test(&mut self, condition: &Condition, tally: &mut Tally) {
        let prefix = &condition.prefix;
        let before = tally.score;
        if prefix.weight.is_some() {
            if tally.score >= MOST {
                return;
            }
            tally.scored = true;
        }
        if prefix.subject == Subject::Area(Area::Header) || prefix.subject == Subject::Area(Area::Whole) {
            self.state.joined = true;
        }
        let (shown, tested) = match &condition.test {
            Test::Match(expression) => (Cow::Borrowed(condition.shown.as_slice()), self.test_match(condition, expression, tally)),
            Test::Program(command) => self.test_program(prefix, command, tally),
            Test::Size(text) => self.test_size(prefix, text, tally),
            Test::Expand(_) => return,
        };
        tally.score = tally.score.min(MOST);
        if tally.score <= -MOST {
            tally.score = -MOST;
            tally.matched = false;
        }
        self.report(prefix, &shown, tally, before, tested);
    }

    fn report(&mut self, prefix: &Prefix, shown: &[u8], tally: &Tally, before: f64, tested: Tested) {
        let (matched, score) = (tally.matched, prefix.weight.map(|_| (tally.score - before, tally.score)));
        self.event(|| Event::Condition { text: shown.to_vec(), negated: prefix.negate, matched, score, tested });
        if !self.state.settings.verbose {
            return;
        }
        let mark = if prefix.negate { " !" } else { "" };
        match score {
            Some((gained, total)) => {
                let sign = if total > 0.0 && total < 1.0 { "     +0".to_owned() } else { format!("{:>7}", total.trunc()) };
                self.notice_quoted(&format!("Score: {:>7} {sign}{mark}", without_sign_of_zero(gained)), shown);
            }
            None => self.notice_quoted(&format!("{}atch on{mark}", if matched { "M" } else { "No m" }), shown),
        }
    }

    fn test_match(&mut self, condition: &Condition, expression: &Expression, tally: &mut Tally) -> Tested {
        let ignore_case = expression.ignores_case(tally.distinguish);
        if self.ruled_out(condition, tally.area) {
            let (found, prefix) = (false, &condition.prefix);
            match prefix.weight {
                None => tally.matched = found ^ prefix.negate,
                Some(weight) if prefix.negate => tally.score += weight.weight,
                Some(_) => {}
            }
            return Tested::NotFound;
        }
        let regex = self.regex(expression, ignore_case);
        if regex.invalid() {
            self.notice_quoted("Invalid regexp", &expression.text);
        }
        let prefix = &condition.prefix;
        match &prefix.subject {
            Subject::Variable(name) => {
                let value = self.state.variables.text(name);
                let framed = [b"\n", value, b"\n"].concat();
                let lower = if ignore_case { framed.to_ascii_lowercase() } else { framed };
                let within = name == b"MATCH";
                self.search(&regex, &lower, prefix, tally, None, within)
            }
            subject => {
                let area = if let Subject::Area(area) = subject { *area } else { tally.area };
                let message = Arc::clone(&self.state.message);
                let framed = message.framed(area, self.state.joined, ignore_case);
                self.search(&regex, framed, prefix, tally, Some(area), false)
            }
        }
    }

    /// Whether the one pass over the area has shown that the expression cannot match.
    fn ruled_out(&mut self, condition: &Condition, usual: Area) -> bool {
        let Some(candidate) = condition.candidate else { return false };
        let area = if let Subject::Area(area) = condition.prefix.subject { area } else { usual };
        let Some(frame) = self.state.frames.last() else { return false };
        if !self.state.joined && area != Area::Body {
            return false;
        }
        let program = Arc::as_ptr(&frame.program) as usize;
        let held = &mut self.candidates[slot(area)];
        if held.as_ref().is_none_or(|(of, _)| *of != program) {
            let text = self.state.message.framed(area, self.state.joined, true);
            *held = Some((program, frame.program.prefilter.candidates(area, text)));
        }
        held.as_ref().and_then(|(_, candidates)| candidates.as_ref()).is_some_and(|candidates| !candidates.has(candidate))
    }

    /// The compiled expression; those that come from substitutions are kept with the rule file.
    fn regex(&mut self, expression: &Expression, ignore_case: bool) -> Arc<Regex> {
        if expression.is_compiled(ignore_case) {
            return Arc::clone(expression.regex(ignore_case));
        }
        let Some(frame) = self.state.frames.last() else { return Arc::clone(expression.regex(ignore_case)) };
        let Ok(mut kept) = frame.program.expressions.lock() else { return Arc::clone(expression.regex(ignore_case)) };
        let key = (expression.text.clone(), ignore_case);
        if let Some(regex) = kept.get(&key) {
            return Arc::clone(regex);
        }
        if kept.len() >= KEPT_EXPRESSIONS {
            kept.clear();
        }
        let regex = Arc::clone(expression.regex(ignore_case));
        kept.insert(key, Arc::clone(&regex));
        regex
    }

    fn search(&mut self, regex: &Regex, text: &[u8], prefix: &Prefix, tally: &mut Tally, area: Option<Area>, within_match: bool) -> Tested {
        let hit = match prefix.weight {
            Some(weight) if !prefix.negate => return count(regex, text, weight, tally),
            _ => regex.find(Text(text)),
        };
        match prefix.weight {
            Some(weight) if hit.is_none() => tally.score += weight.weight,
            Some(_) => {}
            None => tally.matched = hit.is_some() ^ prefix.negate,
        }
        let Some(Hit::Part(begin, end)) = hit else {
            return if hit.is_some() { Tested::Found(None) } else { Tested::NotFound };
        };
        let part = match area {
            Some(area) => self.state.message.area(area, self.state.joined).get(begin..end).unwrap_or_default().to_vec(),
            None => self.part_of_variable(prefix, begin, end),
        };
        if !within_match {
            self.yell("Assigning", b"MATCH=");
        }
        self.state.variables.set(b"MATCH", crate::text::until_nul(&part));
        self.yell("Matched", &part);
        Tested::Found(Some(part))
    }

    fn part_of_variable(&self, prefix: &Prefix, begin: usize, end: usize) -> Vec<u8> {
        let Subject::Variable(name) = &prefix.subject else { return Vec::new() };
        self.state.variables.text(name).get(begin..end).unwrap_or_default().to_vec()
    }

    fn test_program(&mut self, prefix: &Prefix, command: &[u8], tally: &mut Tally) -> (Cow<'static, [u8]>, Tested) {
        let command = self.command(command);
        let input = self.searched(&prefix.subject, tally.area);
        let code = self.run_condition(&command, &input);
        match prefix.weight {
            Some(Weight { weight, exponent }) if code >= 0 => {
                if prefix.negate {
                    let mut weight = weight;
                    for _ in 0..code {
                        tally.score += weight;
                        if tally.score.abs() >= MOST {
                            break;
                        }
                        weight *= exponent;
                    }
                } else {
                    tally.score += if code == 0 { weight } else { exponent };
                }
            }
            _ => tally.matched = (code == 0) ^ prefix.negate,
        }
        (Cow::Owned(command.line()), Tested::Exit(code))
    }

    /// What a program gets that is run as a condition.
    fn searched(&self, subject: &Subject, usual: Area) -> Vec<u8> {
        match subject {
            Subject::Variable(name) => self.state.variables.text(name).to_vec(),
            Subject::Area(area) => self.state.message.area(*area, self.state.joined).to_vec(),
            Subject::Flags => self.state.message.area(usual, self.state.joined).to_vec(),
        }
    }

    fn test_size(&mut self, prefix: &Prefix, text: &[u8], tally: &mut Tally) -> (Cow<'static, [u8]>, Tested) {
        let reading = self.read_text(text, Mode::Text);
        if reading.overflow {
            tally.matched = false;
            return (Cow::Owned(text.to_vec()), Tested::TooLong);
        }
        let shown = reading.first().to_vec();
        let less = shown.first() == Some(&b'<');
        let bound = shown.get(1..).unwrap_or_default();
        let (limit, rest) = integer(bound).unwrap_or((0, bound));
        let rest = skip_blanks(rest).to_vec();
        self.skipped(&rest);
        let size = match &prefix.subject {
            Subject::Flags => self.state.message.text().len(),
            Subject::Area(area) => self.state.message.area(*area, true).len(),
            Subject::Variable(name) => self.state.variables.text(name).len(),
        };
        let size_number = i64::try_from(size).unwrap_or(i64::MAX);
        match prefix.weight {
            Some(weight) => tally.score = scored_size(weight, less ^ prefix.negate, size_number, limit, tally),
            None => tally.matched = (if less { size_number < limit } else { size_number > limit }) ^ prefix.negate,
        }
        (Cow::Owned(shown), Tested::Size(size))
    }
}

/// Numbers of a score are shown without fraction, and zero without a sign.
fn without_sign_of_zero(number: f64) -> f64 {
    number.trunc() + 0.0
}

#[allow(clippy::cast_precision_loss)] // Sizes are far below 2^52.
fn scored_size(weight: Weight, less: bool, size: i64, limit: i64, tally: &mut Tally) -> f64 {
    let (above, below) = if less { (limit, size) } else { (size, limit) };
    if below != 0 {
        return tally.score + weight.weight * (above as f64 / below as f64).powf(weight.exponent);
    }
    if !less || limit > 0 { MOST } else { -MOST }
}

/// Counts matches: the first adds the weight, each next one the exponent times what the one before added.
fn count(regex: &Regex, text: &[u8], weight: Weight, tally: &mut Tally) -> Tested {
    let length = text.len() - 2;
    let exponent = weight.exponent;
    let mut weight = weight.weight;
    let mut square = weight * weight;
    let (mut at, mut matches) = (0, 0u32);
    while weight != 0.0 && tally.score.abs() < MOST && at <= length {
        let Some(end) = regex.next_end(Text(text), at) else { break };
        matches += 1;
        tally.score += weight;
        weight *= exponent;
        if end <= at {
            if exponent > 0.0 && exponent < 1.0 {
                tally.score += weight / (1.0 - exponent);
            } else if exponent >= 1.0 && weight != 0.0 {
                tally.score += if weight < 0.0 { -MOST } else { MOST };
            }
            break;
        }
        let next_square = weight * weight;
        if next_square < square && square < 1.0 {
            break;
        }
        square = next_square;
        at = end;
    }
    Tested::Counted(matches)
}

/// Used by the command line of conditions.
impl Command {
    /// The command as one line.
    pub(super) fn line(&self) -> Vec<u8> {
        if self.shell { self.first.clone() } else { self.joined() }
    }
}
