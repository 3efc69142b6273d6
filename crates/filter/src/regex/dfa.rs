//! Yes or no, and where the first match ends: a lazily built DFA, linear in the text for every expression.

use std::sync::Mutex;

use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, NFA, Transition};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input, MatchKind};

use super::program::{Automaton, Step};

/// Memory for the states of one expression; when it is used up the states are dropped and built again.
const CACHE: usize = 1 << 18;

/// A DFA with the caches of those that have used it.
#[derive(Debug)]
pub(crate) struct Search {
    dfa: DFA,
    caches: Mutex<Vec<Cache>>,
}

impl Search {
    /// Builds the search for an automaton; `None` if it is too large.
    pub(crate) fn new(automaton: &Automaton) -> Option<Self> {
        let nfa = nfa(automaton).ok()?;
        let config = Config::new().match_kind(MatchKind::All).cache_capacity(CACHE).skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        Some(Self { dfa, caches: Mutex::new(Vec::new()) })
    }

    /// Where the first match that begins at `from` or later ends.
    pub(crate) fn first_end(&self, text: &[u8], from: usize) -> Option<usize> {
        let held = self.caches.lock().ok().and_then(|mut caches| caches.pop());
        let mut cache = held.unwrap_or_else(|| self.dfa.create_cache());
        let input = Input::new(text).range(from.min(text.len())..).anchored(Anchored::No).earliest(true);
        // The DFA neither quits nor gives up with this configuration, so that an error cannot come.
        let found = self.dfa.try_search_fwd(&mut cache, &input).ok().flatten();
        if let Ok(mut caches) = self.caches.lock() {
            caches.push(cache);
        }
        found.map(|half| half.offset())
    }
}

/// Writes the automaton as the library's NFA, with a loop before it so that a match may begin anywhere.
fn nfa(automaton: &Automaton) -> Result<NFA, Box<thompson::BuildError>> {
    let mut builder = thompson::Builder::new();
    builder.start_pattern()?;
    let mut places: Vec<StateID> = Vec::with_capacity(automaton.steps.len());
    for step in &automaton.steps {
        places.push(reserve(&mut builder, step)?);
    }
    let at = |place: u32| places.get(place as usize).copied().unwrap_or(StateID::ZERO);
    for (step, place) in automaton.steps.iter().zip(&places) {
        if let Step::Octet(_, next) | Step::Class(_, next) | Step::Split(next) | Step::First(next) = step {
            // What consumes an octet was made as an empty state, to be patched to the state that consumes.
            let target = match step {
                Step::Octet(octet, _) => builder.add_range(Transition { start: *octet, end: *octet, next: at(*next) })?,
                Step::Class(class, _) => sparse(&mut builder, &class.ranges(), at(*next))?,
                Step::First(_) => {
                    let newline = builder.add_range(Transition { start: b'\n', end: b'\n', next: at(*next) })?;
                    builder.add_look(newline, Look::Start)?
                }
                _ => at(*next),
            };
            builder.patch(*place, target)?;
        }
        if let Step::Fork(first, second) = step {
            builder.patch(*place, at(*first))?;
            builder.patch(*place, at(*second))?;
        }
        if *step == Step::Last {
            let end = builder.add_look(at(0), Look::End)?;
            let newline = builder.add_range(Transition { start: b'\n', end: b'\n', next: end })?;
            builder.patch(*place, newline)?;
        }
    }
    let start = at(automaton.start);
    builder.finish_pattern(start)?;
    let unanchored = builder.add_union(Vec::new())?;
    let any = builder.add_range(Transition { start: 0, end: u8::MAX, next: unanchored })?;
    builder.patch(unanchored, start)?;
    builder.patch(unanchored, any)?;
    Ok(builder.build(start, unanchored)?)
}

fn reserve(builder: &mut thompson::Builder, step: &Step) -> Result<StateID, Box<thompson::BuildError>> {
    Ok(match step {
        Step::Found => builder.add_match()?,
        Step::Fork(..) => builder.add_union(Vec::new())?,
        _ => builder.add_empty()?,
    })
}

fn sparse(builder: &mut thompson::Builder, ranges: &[(u8, u8)], next: StateID) -> Result<StateID, Box<thompson::BuildError>> {
    if ranges.is_empty() {
        return Ok(builder.add_fail()?);
    }
    Ok(builder.add_sparse(ranges.iter().map(|(start, end)| Transition { start: *start, end: *end, next }).collect())?)
}
