//! The automaton of an expression: one list of nodes that serves both the lazy DFA, which only says yes or no and where,
//! and the machine for `\/` in [`super::split`], which depends on the order in which branches are tried.

use super::syntax::{Class, Node, Times};

/// The place of a node in its program.
pub(crate) type Place = u32;

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Consumes this octet.
    Octet(u8, Place),
    /// Consumes one octet of the set.
    Class(Class, Place),
    /// Goes on at the first place, then at the second.
    Fork(Place, Place),
    /// `\/`: the match proper begins here.
    Split(Place),
    /// The first edge of the text, with its newline.
    First(Place),
    /// The last edge of the text; the expression ends here.
    Last,
    /// Found.
    Found,
}

/// An automaton.
#[derive(Clone, Debug)]
pub(crate) struct Automaton {
    /// The nodes.
    pub(crate) steps: Vec<Step>,
    /// Where it starts.
    pub(crate) start: Place,
}

impl Automaton {
    /// The automaton of an expression, `None` if it would need more than `limit` nodes.
    pub(crate) fn of(node: &Node, limit: usize) -> Option<Self> {
        let mut writer = Writer { steps: vec![Step::Found], limit };
        let start = writer.write(node, FOUND, true)?;
        Some(Self { steps: writer.steps, start })
    }
}

impl Automaton {
    /// Whether no text at all can match: a `^^` has something before it and something behind it.
    pub(crate) fn is_dead(&self) -> bool {
        // Reached without having consumed anything, and after that.
        let mut seen = vec![[false; 2]; self.steps.len()];
        let mut open = vec![(self.start, false)];
        while let Some((place, consumed)) = open.pop() {
            if std::mem::replace(&mut seen[place as usize][usize::from(consumed)], true) {
                continue;
            }
            match &self.steps[place as usize] {
                Step::Found | Step::Last => return false,
                Step::Fork(first, second) => open.extend([(*first, consumed), (*second, consumed)]),
                Step::Split(next) => open.push((*next, consumed)),
                Step::Class(class, _) if class.ranges().is_empty() => {}
                Step::Octet(_, next) | Step::Class(_, next) => open.push((*next, true)),
                Step::First(next) if !consumed => open.push((*next, true)),
                Step::First(_) => {}
            }
        }
        true
    }

    /// The automaton without matches at the last edge; `None` if it has none of these.
    pub(crate) fn without_last(&self) -> Option<Self> {
        if !self.steps.contains(&Step::Last) {
            return None;
        }
        let mut other = self.clone();
        for (place, step) in other.steps.iter_mut().enumerate() {
            if *step == Step::Last {
                // A thread that only comes back here leads nowhere.
                let own = Place::try_from(place).ok()?;
                *step = Step::Fork(own, own);
            }
        }
        Some(other)
    }
}

/// Every program has its end at this place.
const FOUND: Place = 0;

struct Writer {
    steps: Vec<Step>,
    limit: usize,
}

impl Writer {
    fn push(&mut self, step: Step) -> Option<Place> {
        if self.steps.len() >= self.limit {
            return None;
        }
        self.steps.push(step);
        Place::try_from(self.steps.len() - 1).ok()
    }

    /// Writes `node` so that it goes on at `next`; gives its entry. `last`: nothing follows it in the expression, not even `()`.
    fn write(&mut self, node: &Node, next: Place, last: bool) -> Option<Place> {
        match node {
            Node::Empty => Some(next),
            Node::Octet(octet) => self.push(Step::Octet(*octet, next)),
            Node::Class(class) => self.push(Step::Class(*class, next)),
            Node::Edge if last => self.push(Step::Last),
            Node::Edge => self.push(Step::First(next)),
            Node::Split => self.push(Step::Split(next)),
            Node::Sequence(parts) => {
                let Some((end, before)) = parts.split_last() else { return Some(next) };
                let end = self.write(end, next, last)?;
                before.iter().rev().try_fold(end, |next, part| self.write(part, next, false))
            }
            Node::Either(alternatives) => self.either(alternatives, next, last),
            Node::Repeat(part, times) => self.repeat(part, *times, next, last),
        }
    }

    /// procmail tries the alternatives in order, but an empty one that is not the last after those that follow it.
    fn either(&mut self, alternatives: &[Node], next: Place, is_last: bool) -> Option<Place> {
        let (last, others) = alternatives.split_last()?;
        let rest = self.write(last, next, is_last)?;
        others.iter().rev().try_fold(rest, |rest, alternative| {
            if *alternative == Node::Empty {
                return self.push(Step::Fork(rest, next));
            }
            let entry = self.write(alternative, next, is_last)?;
            self.push(Step::Fork(entry, rest))
        })
    }

    fn repeat(&mut self, part: &Node, times: Times, next: Place, last: bool) -> Option<Place> {
        if times == Times::Maybe {
            let entry = self.write(part, next, last)?;
            return self.push(Step::Fork(entry, next));
        }
        let fork = self.push(Step::Fork(next, next))?;
        let entry = self.write(part, fork, false)?;
        let (first, second) = if times == Times::Any { (entry, next) } else { (next, entry) };
        if let Some(step) = self.steps.get_mut(fork as usize) {
            *step = Step::Fork(first, second);
        }
        Some(if times == Times::Any { fork } else { entry })
    }
}
