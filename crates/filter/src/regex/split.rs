//! `\/`: which text goes into MATCH.
//!
//! procmail runs all threads of the expression side by side and remembers for each where it passed the `\/`; when two
//! threads meet, the earlier place wins. The first thread to arrive decides: threads that passed the `\/` later are dropped,
//! no new ones are started, and the rest run on for the longest match. One variable holds the place while the branches of
//! a thread are followed, so that a branch tried after the `\/` was passed inherits the place: the "incorrect value" that the
//! manual warns of for redundant operators on the left-hand side, kept here since rule files have been written against it.

use super::program::{Automaton, Place, Step};

/// A place no thread has: it did not pass the `\/` yet.
const NONE: usize = usize::MAX;

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A match that went past no `\/`.
    Whole,
    /// The part of the text right of the `\/`.
    Part(usize, usize),
}

/// Looks for a match that begins at `from` or later in `text`, which has a newline put before and after it.
pub(crate) fn search(automaton: &Automaton, text: &[u8], from: usize) -> Option<Found> {
    let mut machine = Machine::new(automaton, text);
    for at in from..=text.len() {
        if machine.step(at) {
            break;
        }
        let may_start = machine.best.is_none() && at < text.len();
        if machine.next.places.is_empty() && !may_start {
            break;
        }
    }
    match machine.outcome {
        Some(found) => Some(found),
        None => machine.best.map(|(begin, end)| Found::Part(begin, end)),
    }
}

/// Threads waiting behind a node that has consumed its octet, in the order they came, each with its place of the `\/`.
#[derive(Default)]
struct Threads {
    places: Vec<Place>,
    begin: Vec<usize>,
    present: Vec<bool>,
}

impl Threads {
    fn new(size: usize) -> Self {
        Self { places: Vec::new(), begin: vec![NONE; size], present: vec![false; size] }
    }

    fn add(&mut self, place: Place, begin: usize) {
        let index = place as usize;
        if !self.present[index] {
            self.present[index] = true;
            self.begin[index] = begin;
            self.places.push(place);
        } else if begin < self.begin[index] {
            self.begin[index] = begin;
        }
    }

    fn pop(&mut self) -> Option<(Place, usize)> {
        let place = self.places.pop()?;
        self.present[place as usize] = false;
        Some((place, self.begin[place as usize]))
    }

    /// Drops the threads that passed the `\/` after `begin`.
    fn drop_later(&mut self, begin: usize) {
        let (present, begins) = (&mut self.present, &self.begin);
        self.places.retain(|place| {
            let keep = begins[*place as usize] <= begin;
            present[*place as usize] = keep;
            keep
        });
    }
}

struct Machine<'a> {
    automaton: &'a Automaton,
    text: &'a [u8],
    now: Threads,
    next: Threads,
    /// For each fork, the round in which it was followed and the earliest place it was followed with.
    followed: Vec<(usize, usize)>,
    work: Vec<Place>,
    best: Option<(usize, usize)>,
    outcome: Option<Found>,
}

impl<'a> Machine<'a> {
    fn new(automaton: &'a Automaton, text: &'a [u8]) -> Self {
        let size = automaton.steps.len();
        Self {
            automaton,
            text,
            now: Threads::new(size),
            next: Threads::new(size),
            followed: vec![(NONE, NONE); size],
            work: Vec::new(),
            best: None,
            outcome: None,
        }
    }

    /// Feeds the octet at `at`, or the end. True when the search is over.
    fn step(&mut self, at: usize) -> bool {
        std::mem::swap(&mut self.now, &mut self.next);
        let starts = self.best.is_none() && at < self.text.len();
        if starts && self.follow(self.automaton.start, NONE, at) {
            return true;
        }
        while let Some((place, begin)) = self.now.pop() {
            let next = match &self.automaton.steps[place as usize] {
                Step::Octet(_, next) | Step::Class(_, next) | Step::First(next) => *next,
                _ => continue,
            };
            if self.follow(next, begin, at) {
                return true;
            }
        }
        false
    }

    /// Follows one thread and its branches to the nodes that consume the octet at `at`.
    fn follow(&mut self, start: Place, mut begin: usize, at: usize) -> bool {
        let octet = self.text.get(at).copied();
        self.work.push(start);
        while let Some(place) = self.work.pop() {
            let index = place as usize;
            match &self.automaton.steps[index] {
                Step::Fork(first, second) => {
                    let (round, earliest) = self.followed[index];
                    if round == at && earliest <= begin {
                        continue;
                    }
                    self.followed[index] = (at, begin);
                    self.work.push(*second);
                    self.work.push(*first);
                }
                Step::Split(next) => {
                    if self.best.is_none() || begin == NONE {
                        begin = at;
                    }
                    self.work.push(*next);
                }
                Step::Octet(wanted, _) if octet == Some(*wanted) => self.next.add(place, begin),
                Step::Class(class, _) if octet.is_some_and(|octet| class.contains(octet)) => self.next.add(place, begin),
                Step::First(_) if at == 0 => self.next.add(place, begin),
                Step::Last if at + 1 != self.text.len() => {}
                Step::Last | Step::Found if self.arrive(begin, at) => return true,
                _ => {}
            }
        }
        false
    }

    /// A thread has arrived.
    fn arrive(&mut self, begin: usize, at: usize) -> bool {
        if begin == NONE {
            self.outcome = Some(Found::Whole);
            return true;
        }
        self.best = Some((begin, at));
        self.now.drop_later(begin);
        self.next.drop_later(begin);
        false
    }
}
