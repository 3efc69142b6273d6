//! procmail's regular expressions in time linear in the text.
//!
//! A text to be searched has one newline put before and one after it ([`Text`]): in procmail's language `^` and `$` consume
//! a newline, and at the edges of the text they find these. Case is ignored by searching a lower-case copy, which is made
//! once for each area of the message. [`Regex::new`] reads an expression; the automaton is made at its first use, and
//! only when the literal that every match needs is there.

mod dfa;
mod literal;
mod macros;
mod program;
#[cfg(any(test, fuzzing))]
pub(crate) mod reference;
mod split;
mod syntax;

use std::sync::OnceLock;

use memchr::memmem::Finder;

pub(crate) use macros::expand as expand_macros;

use dfa::Search;
use program::Automaton;
use syntax::Node;

/// Nodes that one automaton may have; LINEBUF bounds the text, this bounds what a large LINEBUF could ask for.
const MOST_NODES: usize = 1 << 18;

/// A text with one newline before and one after it, in the case that the search needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

/// What a search with `\/` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// A match without a `\/` on its way.
    Plain,
    /// A match; MATCH is this range of the text, not counting the newline put before it.
    Part(usize, usize),
}

/// An expression.
#[derive(Debug)]
pub(crate) struct Regex {
    invalid: bool,
    empty: bool,
    splits: bool,
    node: Option<Node>,
    required: Finder<'static>,
    prefix: Finder<'static>,
    /// Built when first needed; most expressions never are.
    engine: OnceLock<Option<Box<Engine>>>,
}

#[derive(Debug)]
struct Engine {
    automaton: Automaton,
    search: Search,
    /// The same without `^^` at the end, if there is one: to tell where a match ends.
    endless: Option<Search>,
}

impl Regex {
    /// Reads an expression.
    pub(crate) fn new(expression: &[u8], ignore_case: bool) -> Self {
        let parsed = syntax::parse(expression, ignore_case);
        let invalid = parsed.as_ref().is_none_or(|parsed| parsed.invalid);
        let node = parsed.map(|parsed| parsed.node);
        let required = node.as_ref().map(literal::required).unwrap_or_default();
        let prefix = node.as_ref().map(literal::prefix).unwrap_or_default();
        Self {
            invalid,
            empty: expression.is_empty(),
            splits: node.as_ref().is_some_and(holds_split),
            node,
            required: Finder::new(&required).into_owned(),
            prefix: Finder::new(&prefix).into_owned(),
            engine: OnceLock::new(),
        }
    }

    /// Whether procmail would report "Invalid regexp".
    pub(crate) fn invalid(&self) -> bool {
        self.invalid
    }

    /// Whether it can never match.
    pub(crate) fn never_matches(&self) -> bool {
        !self.empty && self.engine().is_none_or(|engine| engine.automaton.is_dead())
    }

    /// The literal that must be in the text for a match; may be empty.
    pub(crate) fn required(&self) -> &[u8] {
        self.required.needle()
    }

    fn engine(&self) -> Option<&Engine> {
        let build = || {
            let automaton = Automaton::of(self.node.as_ref()?, MOST_NODES)?;
            let search = Search::new(&automaton)?;
            let endless = automaton.without_last().and_then(|automaton| Search::new(&automaton));
            Some(Box::new(Engine { automaton, search, endless }))
        };
        self.engine.get_or_init(build).as_deref()
    }

    /// Looks for a match. An empty expression matches everything.
    pub(crate) fn find(&self, text: Text<'_>) -> Option<Hit> {
        if self.empty {
            return Some(Hit::Plain);
        }
        self.required.find(text.0)?;
        let engine = self.engine()?;
        engine.search.first_end(text.0, 0)?;
        if !self.splits {
            return Some(Hit::Plain);
        }
        let from = self.prefix.find(text.0)?;
        Some(match split::search(&engine.automaton, text.0, from)? {
            split::Found::Whole => Hit::Plain,
            split::Found::Part(begin, end) => {
                let last = text.0.len().saturating_sub(2);
                let end = end.saturating_sub(1).min(last);
                Hit::Part(begin.saturating_sub(1).min(end), end)
            }
        })
    }

    /// Where the first match that begins at `from` or later ends, both counted without the newline put before the text:
    /// one step of counting matches for a score. One more than the length if the match took the newline behind the text.
    pub(crate) fn next_end(&self, text: Text<'_>, from: usize) -> Option<usize> {
        // A newline right before the place counts once more, as the start of a line.
        let again = text.0.get(from).is_some_and(|octet| *octet == b'\n');
        let from = if again { from } else { from + 1 };
        let engine = self.engine()?;
        let end = engine.search.first_end(text.0, from)?;
        // The last edge is seen at the newline behind the text, but is not that newline.
        let at_edge = end == text.0.len() && engine.endless.as_ref().is_some_and(|search| search.first_end(text.0, from) != Some(end));
        Some(end.saturating_sub(if at_edge { 2 } else { 1 }))
    }
}

fn holds_split(node: &Node) -> bool {
    match node {
        Node::Split => true,
        Node::Sequence(parts) | Node::Either(parts) => parts.iter().any(holds_split),
        Node::Repeat(part, _) => holds_split(part),
        Node::Empty | Node::Octet(_) | Node::Class(_) | Node::Edge => false,
    }
}

#[cfg(test)]
mod tests;
