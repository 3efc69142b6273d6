//! A rule file as it was read: a list of statements, each with its line and place.
//!
//! procmail reads its rule file statement by statement while it carries it out. Where a statement ends does not depend on
//! the variables, but for corners such as a flags line with a `$` in it. So a file is read once, and the evaluator,
//! which reads what has a `$` in it at its time, checks that it came to the same end; if not, it has the file
//! read again from there ([`Program::resumed`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::condition::Condition;
use crate::prefilter::Prefilter;
use crate::regex::Regex;
use crate::words::{Complaint, Reading};

/// Compiled expressions by their text and whether case is ignored.
pub(crate) type Expressions = HashMap<(Vec<u8>, bool), Arc<Regex>>;

/// A rule file.
#[derive(Debug)]
pub struct Program {
    pub(crate) text: Arc<[u8]>,
    pub(crate) statements: Vec<Statement>,
    /// Expressions of conditions with a `$`, made by substitution.
    pub(crate) expressions: Mutex<Expressions>,
    pub(crate) prefilter: Prefilter,
}

impl Program {
    /// A file with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { text: Arc::from([]), statements: Vec::new(), expressions: Mutex::default(), prefilter: Prefilter::default() }
    }
}

/// A statement.
#[derive(Debug)]
pub(crate) struct Statement {
    /// The line it begins on, from 1.
    pub(crate) line: u32,
    pub(crate) kind: Kind,
}

/// What a statement is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// `NAME=value`.
    Assign(Vec<u8>, Phrase),
    /// A name alone: the variable is removed.
    Remove(Vec<u8>),
    /// `:0` ...
    Recipe(Box<Recipe>),
    /// `}`.
    Close,
    /// Something else.
    Junk(Vec<u8>),
}

/// A piece that is read with substitutions when its time comes.
#[derive(Debug)]
pub(crate) struct Phrase {
    pub(crate) at: usize,
    pub(crate) end: usize,
    /// What it always means, if nothing in it is substituted.
    pub(crate) fixed: Option<Reading>,
    /// What is complained about even when it is skipped.
    pub(crate) complaints: Vec<Complaint>,
}

/// A recipe.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The line with the flags, behind the colon.
    pub(crate) head: Phrase,
    /// What the head says, if that does not depend on variables.
    pub(crate) flags: Option<Head>,
    /// How many lines without a star were taken as conditions.
    pub(crate) counted: i64,
    pub(crate) conditions: Vec<Line>,
    pub(crate) action: Action,
    /// For a block: the statement behind its closing brace.
    pub(crate) behind: usize,
    /// For a block: recipes are in it.
    pub(crate) holds_recipes: bool,
    /// For a block: something in it is complained about even when it is skipped.
    pub(crate) noisy: bool,
}

/// A condition's line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) line: u32,
    /// The text, continued lines joined as procmail does.
    pub(crate) text: Vec<u8>,
    pub(crate) condition: Condition,
}

/// The action line.
#[derive(Debug)]
pub(crate) enum Action {
    /// `! address ...`; with a variable to catch the output.
    Forward(Option<Vec<u8>>, Phrase),
    /// `| command`; with a variable to catch the output.
    Pipe(Option<Vec<u8>>, Vec<u8>),
    /// `{`.
    Block,
    /// A folder; the octets are what was read of its name before the phrase.
    Folder(Vec<u8>, Phrase),
    /// There is none: the next recipe begins.
    Missing,
    /// There is none: the file ends.
    End,
}

impl Action {
    /// Whether a flag `f` has no meaning for it, which is complained about.
    pub(crate) fn ignores_filter(&self) -> bool {
        !matches!(self, Self::Forward(None, _) | Self::Pipe(None, _) | Self::Missing | Self::End)
    }

    /// Whether skipping the action is complained about.
    pub(crate) fn noisy(&self) -> bool {
        match self {
            Self::Forward(_, phrase) | Self::Folder(_, phrase) => !phrase.complaints.is_empty(),
            Self::Missing | Self::End => true,
            Self::Pipe(..) | Self::Block => false,
        }
    }
}

/// The flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u16);

/// All flags, in the order of their bits.
const FLAGS: &[u8; 15] = b"HBDAahbfcwWiEer";

impl Flags {
    /// Whether the flag of this letter is set.
    pub(crate) fn has(self, letter: u8) -> bool {
        bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    pub(crate) fn clear(&mut self, letter: u8) {
        self.0 &= !bit(letter).unwrap_or(0);
    }
}

fn bit(letter: u8) -> Option<u16> {
    FLAGS.iter().position(|flag| *flag == letter).map(|place| 1 << place)
}

/// What the first line of a recipe says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) flags: Flags,
    /// How many lines without a star are conditions; `None`: as many as the flags ask for.
    pub(crate) number: Option<i64>,
    /// A lock is wanted.
    pub(crate) lock: bool,
    /// The lock's name, if one is given.
    pub(crate) lock_name: Option<Vec<u8>>,
    /// What could not be read.
    pub(crate) leftover: Vec<u8>,
}

impl Head {
    /// Reads the words of the line.
    pub(crate) fn read(reading: &Reading) -> Self {
        let text = &reading.text;
        let number = crate::text::integer(crate::text::until_nul(text));
        let mut at = number.map_or(0, |(_, rest)| crate::text::until_nul(text).len() - rest.len());
        let mut head = Self { number: number.map(|(number, _)| number), ..Self::default() };
        while let Some(octet) = text.get(at) {
            match *octet {
                b' ' | b'\t' | 0 => at += 1,
                b':' => {
                    head.lock = true;
                    at += 1;
                    if text.get(at) == Some(&0) {
                        at += 1;
                    }
                    if at < text.len() {
                        let name = crate::text::until_nul(&text[at..]).to_vec();
                        at += name.len() + 1;
                        head.lock_name = Some(name);
                    }
                    break;
                }
                letter => match bit(letter) {
                    Some(bit) => {
                        head.flags.0 |= bit;
                        at += 1;
                    }
                    None => break,
                },
            }
        }
        let rest = text.get(at..).unwrap_or_default();
        let rest = rest.strip_suffix(&[0]).unwrap_or(rest);
        head.leftover = rest.iter().map(|octet| if *octet == 0 { b' ' } else { *octet }).collect();
        head
    }

    /// How many lines without a star are conditions.
    pub(crate) fn counted(&self) -> i64 {
        let chained = [b'A', b'a', b'E', b'e'].into_iter().any(|letter| self.flags.has(letter));
        self.number.filter(|number| *number >= 0).unwrap_or(i64::from(!chained))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, flags: &str, lock: Option<Option<&str>>, leftover: &str) {
        let text = words.replace(' ', "\0").into_bytes();
        let head = Head::read(&Reading { text: [text, vec![0]].concat(), ..Reading::default() });
        assert!(flags.bytes().all(|letter| head.flags.has(letter)), "{words}");
        assert_eq!(head.flags.0.count_ones() as usize, flags.len(), "{words}");
        assert_eq!(head.lock.then(|| head.lock_name.clone()), lock.map(|name| name.map(|name| name.as_bytes().to_vec())), "{words}");
        assert_eq!(String::from_utf8_lossy(&head.leftover), leftover, "{words}");
    }

    #[test]
    fn flags_lines_are_read() {
        check("0", "", None, "");
        check("0 c B", "cB", None, "");
        check("0cB:", "cB", Some(None), "");
        check("0 c : lock", "c", Some(Some("lock")), "");
        check("0 c:lock and more", "c", Some(Some("lock")), "and more");
        check("0 c q", "c", None, "q");
    }
}
