//! A text that every match must hold: looked for first, as that is many times faster than the automaton.

use super::syntax::{Node, Times};

/// A literal that is in every match of an expression, the most telling one; empty if there is none of use.
///
/// The longest is taken, but one at the start of a line only if there is no other: `^Subject:` is in every message.
pub(crate) fn required(node: &Node) -> Vec<u8> {
    let mut runs = Runs::default();
    runs.walk(node);
    runs.finish();
    if runs.within.len() >= TELLING { runs.within } else { runs.longest }
}

/// A shorter literal says little.
const TELLING: usize = 3;

/// The literal that every match begins with; may be empty.
pub(crate) fn prefix(node: &Node) -> Vec<u8> {
    let mut text = Vec::new();
    extend_prefix(node, &mut text);
    text
}

/// Adds what `node` surely begins with; true if that is all of it.
fn extend_prefix(node: &Node, text: &mut Vec<u8>) -> bool {
    match node {
        Node::Empty | Node::Split => true,
        Node::Octet(octet) => {
            text.push(*octet);
            true
        }
        Node::Sequence(parts) => parts.iter().all(|part| extend_prefix(part, text)),
        Node::Repeat(part, Times::Some) => {
            extend_prefix(part, text);
            false
        }
        Node::Class(_) | Node::Edge | Node::Either(_) | Node::Repeat(..) => false,
    }
}

#[derive(Default)]
struct Runs {
    run: Vec<u8>,
    longest: Vec<u8>,
    /// The longest that does not begin a line.
    within: Vec<u8>,
}

impl Runs {
    /// Ends the run of literals.
    fn finish(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run.first() != Some(&b'\n') && run.len() > self.within.len() {
            self.within.clone_from(&run);
        }
        if run.len() > self.longest.len() {
            self.longest = run;
        }
    }

    fn walk(&mut self, node: &Node) {
        match node {
            Node::Empty | Node::Split => {}
            Node::Octet(octet) => self.run.push(*octet),
            Node::Sequence(parts) => parts.iter().for_each(|part| self.walk(part)),
            Node::Repeat(part, Times::Some) => {
                self.walk(part);
                self.finish();
            }
            Node::Class(_) | Node::Edge | Node::Either(_) | Node::Repeat(..) => self.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::syntax::parse;

    fn check(expression: &str, needed: &str, begin: &str) {
        let node = parse(expression.as_bytes(), true).unwrap().node;
        assert_eq!(String::from_utf8(required(&node)).unwrap(), needed, "{expression}");
        assert_eq!(String::from_utf8(prefix(&node)).unwrap(), begin, "{expression}");
    }

    #[test]
    fn the_longest_sure_text_is_found() {
        check("^Subject: *hello world", "hello world", "\nsubject:");
        check("^Subject:.*x", "\nsubject:", "\nsubject:");
        check("^Subject:.*cheap", "cheap", "\nsubject:");
        check("a|b", "", "");
        check("(ab)+c", "ab", "ab");
        check(r"a\/bc", "abc", "abc");
        check("^^ab^^", "ab", "");
        check("x*", "", "");
    }
}
