//! A text that every match must hold: looked for first, as that is many times faster than the automaton.

use super::syntax::{Node, Times};

/// The longest literal in every match of an expression; empty if there is none of use.
pub(crate) fn required(node: &Node) -> Vec<u8> {
    let mut runs = Runs::default();
    runs.walk(node);
    runs.finish();
    runs.best
}

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
    best: Vec<u8>,
}

impl Runs {
    /// Ends the run of literals; a longer one replaces the best.
    fn finish(&mut self) {
        if self.run.len() > self.best.len() {
            self.best = std::mem::take(&mut self.run);
        }
        self.run.clear();
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
        check("a|b", "", "");
        check("(ab)+c", "ab", "ab");
        check(r"a\/bc", "abc", "abc");
        check("^^ab^^", "ab", "");
        check("x*", "", "");
    }
}
