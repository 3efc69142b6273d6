//! One pass over an area of the message for all expressions of a rule file: which of them can match at all.
//!
//! Nearly every expression holds a text that must be in the message for a match. An Aho-Corasick automaton over these
//! texts tells in one pass which expressions are worth trying, so that two thousand recipes cost little more than ten.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::condition::{Subject, Test};
use crate::message::Area;
use crate::program::{Kind, Statement};

/// Below this number of expressions each is looked for by itself.
const WORTH_IT: usize = 8;
/// A shorter text is found nearly everywhere.
const SHORTEST: usize = 3;

/// The texts of all expressions, by area.
#[derive(Debug, Default)]
pub(crate) struct Prefilter {
    areas: [Texts; 3],
}

#[derive(Debug, Default)]
struct Texts {
    texts: Vec<Vec<u8>>,
    automaton: OnceLock<Option<AhoCorasick>>,
}

/// Which expressions can match in an area.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates(Vec<u64>);

impl Candidates {
    pub(crate) fn has(&self, candidate: u32) -> bool {
        self.0.get(candidate as usize / 64).is_none_or(|word| word & (1 << (candidate % 64)) != 0)
    }
}

pub(crate) fn slot(area: Area) -> usize {
    match area {
        Area::Header => 0,
        Area::Body => 1,
        Area::Whole => 2,
    }
}

impl Prefilter {
    /// Gathers the texts of the statements, and tells each condition its place.
    pub(crate) fn of(statements: &mut [Statement]) -> Self {
        let mut areas: [Texts; 3] = Default::default();
        for statement in statements {
            let Kind::Recipe(recipe) = &mut statement.kind else { continue };
            let Some(head) = &recipe.flags else { continue };
            let distinguish = head.flags.has(b'D');
            let usual = match (head.flags.has(b'H'), head.flags.has(b'B')) {
                (true, true) => Area::Whole,
                (false, true) => Area::Body,
                _ => Area::Header,
            };
            for line in &mut recipe.conditions {
                let condition = &mut line.condition;
                let Test::Match(expression) = &condition.test else { continue };
                let ignore_case = expression.ignores_case(distinguish);
                let regex = expression.regex(ignore_case);
                let required = regex.required();
                let area = match condition.prefix.subject {
                    Subject::Flags => usual,
                    Subject::Area(area) => area,
                    Subject::Variable(_) => continue,
                };
                // One that is not valid is complained about each time.
                if ignore_case && required.len() >= SHORTEST && !regex.invalid() {
                    let texts = &mut areas[slot(area)].texts;
                    condition.candidate = u32::try_from(texts.len()).ok();
                    texts.push(required.to_vec());
                }
            }
        }
        Self { areas }
    }

    /// Which expressions can match in this text of the area, in lower case; `None` if it was not worth looking.
    pub(crate) fn candidates(&self, area: Area, text: &[u8]) -> Option<Candidates> {
        let texts = &self.areas[slot(area)];
        if texts.texts.len() < WORTH_IT {
            return None;
        }
        let build = || {
            let mut builder = AhoCorasick::builder();
            builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
            builder.build(&texts.texts).ok()
        };
        let automaton = texts.automaton.get_or_init(build).as_ref()?;
        let mut candidates = Candidates(vec![0; texts.texts.len().div_ceil(64)]);
        for found in automaton.find_overlapping_iter(text) {
            let place = found.pattern().as_usize();
            candidates.0[place / 64] |= 1 << (place % 64);
        }
        Some(candidates)
    }
}
