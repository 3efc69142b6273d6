//! A slow matcher to compare with, for tests and fuzzing: sets of places, no automaton, no shortcuts.

use std::collections::BTreeSet;

use super::syntax::{Node, Times, parse};
use super::{Hit, Regex, Text};

/// Where a match has come to, and where it passed the `\/`.
pub(super) type Way = (usize, Option<usize>);

/// A text with a newline before and after it.
pub(super) struct Reference<'a> {
    pub(super) text: &'a [u8],
}

impl Reference<'_> {
    /// The ends of matches of `node` that begin at one of `starts`; `last` if nothing follows it.
    pub(super) fn ends(&self, node: &Node, starts: &BTreeSet<Way>, last: bool) -> BTreeSet<Way> {
        let consume = |matches: &dyn Fn(u8) -> bool| -> BTreeSet<Way> {
            let fitting = starts.iter().filter(|(at, _)| self.text.get(*at).is_some_and(|octet| matches(*octet)));
            fitting.map(|(at, split)| (at + 1, *split)).collect()
        };
        let edge =
            |wanted: &dyn Fn(usize) -> bool| starts.iter().filter(|(at, _)| wanted(*at)).map(|(at, split)| (at + 1, *split)).collect();
        match node {
            Node::Empty => starts.clone(),
            Node::Split => starts.iter().map(|(at, _)| (*at, Some(*at))).collect(),
            Node::Octet(octet) => consume(&|other| other == *octet),
            Node::Class(class) => consume(&|other| class.contains(other)),
            Node::Edge if last => edge(&|at| at + 1 == self.text.len()),
            Node::Edge => edge(&|at| at == 0),
            Node::Sequence(parts) => {
                let count = parts.len();
                let numbered = parts.iter().enumerate();
                numbered.fold(starts.clone(), |starts, (place, part)| self.ends(part, &starts, last && place + 1 == count))
            }
            Node::Either(parts) => parts.iter().flat_map(|part| self.ends(part, starts, last)).collect(),
            Node::Repeat(part, Times::Maybe) => self.ends(part, starts, last).union(starts).copied().collect(),
            Node::Repeat(part, times) => {
                let mut all = if *times == Times::Any { starts.clone() } else { self.ends(part, starts, false) };
                // Each way is gone on from once: what others lead to does not depend on it.
                let mut fresh = all.clone();
                while !fresh.is_empty() {
                    fresh = self.ends(part, &fresh, false).difference(&all).copied().collect();
                    all.extend(&fresh);
                }
                all
            }
        }
    }

    /// All ends of all matches.
    pub(super) fn matches(&self, node: &Node) -> BTreeSet<Way> {
        let starts = (0..self.text.len()).map(|at| (at, None)).collect();
        self.ends(node, &starts, true)
    }
}

/// So long may expression and text be: the slow matcher takes its time.
const LONGEST: usize = 48;

/// Compares the engine with the slow matcher, and says what is wrong, if anything is. What is too long is only searched.
#[must_use]
#[allow(unreachable_pub, reason = "the fuzz target's; tests see it from within")]
pub fn disagreement(expression: &[u8], text: &[u8], ignore_case: bool) -> Option<String> {
    let plain = if ignore_case { text.to_ascii_lowercase() } else { text.to_vec() };
    let framed = [b"\n", plain.as_slice(), b"\n"].concat();
    let regex = Regex::new(expression, ignore_case);
    let found = regex.find(Text(&framed));
    let wrong = |what: &str| {
        let shown = |octets: &[u8]| octets.escape_ascii().to_string();
        Some(format!("{what}: \"{}\" on \"{}\": {found:?}", shown(expression), shown(text)))
    };
    if matches!(found, Some(Hit::Part(begin, end)) if begin > end || end > text.len()) {
        return wrong("MATCH is out of range");
    }
    let mut at = 0;
    while let Some(end) = regex.next_end(Text(&framed), at).filter(|end| *end > at && at <= text.len()) {
        at = end;
    }
    if expression.is_empty() || expression.len() > LONGEST || text.len() > LONGEST {
        return None;
    }
    let parsed = parse(expression, ignore_case)?;
    let ways = Reference { text: &framed }.matches(&parsed.node);
    if found.is_some() == ways.is_empty() {
        return wrong("found or not");
    }
    // Within a branch or a repetition the place of the `\/` is what procmail's walk through the branches leaves behind.
    let first = || ways.iter().filter_map(|(at, split)| Some(((*split)?, *at))).min_by_key(|(split, at)| (*split, usize::MAX - *at));
    match (found, simply_split(&parsed.node).then(first).flatten()) {
        (Some(Hit::Part(begin, end)), Some((split, at))) => {
            let clip = |place: usize| place.saturating_sub(1).min(text.len());
            if (begin, end) == (clip(split).min(clip(at)), clip(at)) { None } else { wrong(&format!("MATCH is not {split}..{at}")) }
        }
        _ => None,
    }
}

/// Whether there is one `\/`, with single octets left of it: the place is then beyond doubt.
fn simply_split(node: &Node) -> bool {
    let Node::Sequence(parts) = node else { return *node == Node::Split };
    let plain = |part: &Node| matches!(part, Node::Octet(_) | Node::Class(_));
    let Some(place) = parts.iter().position(|part| *part == Node::Split) else { return false };
    parts[..place].iter().all(plain) && !parts[place + 1..].iter().any(super::holds_split)
}
