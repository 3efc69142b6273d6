//! Reads procmail's regular expressions, with the reading that procmail gives to the odd ones.
//!
//! `^` and `$` are characters: each stands for one newline. `^^` is the edge of the text; whether it is the first or
//! the last edge depends on whether anything follows. The second of two repetition signs is an ordinary character,
//! `{` and `}` always are, and a backslash within brackets is too. A missing `)` or an unclosed `[` is forgiven: what was
//! read up to there counts.

/// A set of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class([u64; 4]);

impl Class {
    const NONE: Self = Self([0; 4]);
    const ALL: Self = Self([u64::MAX; 4]);

    /// Every octet but the newline: what `.` matches.
    pub(crate) fn dot() -> Self {
        let mut class = Self::ALL;
        class.set(b'\n', false);
        class
    }

    /// What `\<` and `\>` match: anything that is not part of a word, the newline included.
    fn not_word() -> Self {
        let mut class = Self::ALL;
        for octet in 0..=u8::MAX {
            class.set(octet, !(octet.is_ascii_alphanumeric() || octet == b'_'));
        }
        class
    }

    /// Puts `octet` in or takes it out.
    fn set(&mut self, octet: u8, member: bool) {
        let (word, bit) = (usize::from(octet >> 6), 1u64 << (octet & 63));
        self.0[word] = if member { self.0[word] | bit } else { self.0[word] & !bit };
    }

    /// Puts `octet` in or takes it out, in both cases when case does not matter.
    fn mark(&mut self, octet: u8, member: bool, ignore_case: bool) {
        self.set(octet, member);
        if ignore_case && octet.is_ascii_alphabetic() {
            self.set(octet ^ 0x20, member);
        }
    }

    fn toggle(&mut self, octet: u8) {
        self.set(octet, !self.contains(octet));
    }

    /// Whether `octet` is a member.
    pub(crate) fn contains(&self, octet: u8) -> bool {
        self.0[usize::from(octet >> 6)] & (1 << (octet & 63)) != 0
    }

    /// The members as ascending ranges, both ends included.
    pub(crate) fn ranges(&self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for octet in (0..=u8::MAX).filter(|octet| self.contains(*octet)) {
            match ranges.last_mut() {
                Some(last) if last.1 + 1 == octet => last.1 = octet,
                _ => ranges.push((octet, octet)),
            }
        }
        ranges
    }
}

/// How often something is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// `*`
    Any,
    /// `+`
    Some,
    /// `?`
    Maybe,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// Matches without consuming anything.
    Empty,
    /// One octet.
    Octet(u8),
    /// One octet of a set.
    Class(Class),
    /// `^^`: the first edge of the text, or the last one when nothing follows.
    Edge,
    /// `\/`: what comes after it goes into MATCH.
    Split,
    /// One after the other.
    Sequence(Vec<Node>),
    /// One of several.
    Either(Vec<Node>),
    /// Repeated.
    Repeat(Box<Node>, Times),
}

/// An expression that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    /// The expression.
    pub(crate) node: Node,
    /// It had an error that procmail reports as "Invalid regexp", yet is used as far as it was read.
    pub(crate) invalid: bool,
}

/// Parentheses within parentheses beyond this make an expression invalid as a whole.
const DEEPEST: usize = 200;

/// Reads an expression. `None` if parentheses are nested too deeply.
pub(crate) fn parse(text: &[u8], ignore_case: bool) -> Option<Parsed> {
    let mut parser = Parser { text, at: 0, ignore_case, invalid: false, depth: 0 };
    let node = parser.either()?;
    // A closing parenthesis without an opening one ends the expression.
    let invalid = parser.invalid || parser.at < text.len();
    Some(Parsed { node, invalid })
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    ignore_case: bool,
    invalid: bool,
    depth: usize,
}

impl Parser<'_> {
    /// The octet `ahead` of the place; a zero at the end, as no expression holds one.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn at_group_end(&self) -> bool {
        matches!(self.peek(0), b'|' | b')' | 0)
    }

    /// Alternatives, up to a closing parenthesis or the end.
    fn either(&mut self) -> Option<Node> {
        let mut alternatives = vec![self.sequence()?];
        while self.peek(0) == b'|' {
            self.at += 1;
            alternatives.push(self.sequence()?);
        }
        Some(if alternatives.len() == 1 { alternatives.pop()? } else { Node::Either(alternatives) })
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut parts = Vec::new();
        while !self.at_group_end() {
            let part = self.single()?;
            let times = match self.peek(0) {
                b'*' => Some(Times::Any),
                b'+' => Some(Times::Some),
                b'?' => Some(Times::Maybe),
                _ => None,
            };
            self.at += usize::from(times.is_some());
            parts.push(match times {
                Some(times) => Node::Repeat(Box::new(part), times),
                None => part,
            });
        }
        Some(match parts.len() {
            0 => Node::Empty,
            1 => parts.pop()?,
            _ => Node::Sequence(parts),
        })
    }

    fn single(&mut self) -> Option<Node> {
        let octet = self.peek(0);
        self.at += 1;
        Some(match octet {
            b'(' => return self.group(),
            b'[' => self.class(),
            b'.' => Node::Class(Class::dot()),
            b'^' if self.peek(0) == b'^' => {
                self.at += 1;
                Node::Edge
            }
            b'^' | b'$' => Node::Octet(b'\n'),
            b'\\' => self.escaped(),
            other => self.literal(other),
        })
    }

    fn literal(&self, octet: u8) -> Node {
        Node::Octet(if self.ignore_case { octet.to_ascii_lowercase() } else { octet })
    }

    fn group(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let node = self.either()?;
        self.depth -= 1;
        if self.peek(0) == b')' {
            self.at += 1;
        } else {
            self.invalid = true;
        }
        Some(node)
    }

    fn escaped(&mut self) -> Node {
        let octet = self.peek(0);
        self.at += 1;
        match octet {
            b'/' => Node::Split,
            b'<' | b'>' => Node::Class(Class::not_word()),
            0 => {
                self.at -= 1;
                Node::Octet(b'\\')
            }
            other => self.literal(other),
        }
    }

    /// A bracket expression; the opening bracket was read.
    fn class(&mut self) -> Node {
        let negated = self.peek(0) == b'^';
        let mut class = if negated { Class::dot() } else { Class::NONE };
        self.at += usize::from(negated);
        let mut previous = 0;
        if matches!(self.peek(0), b']' | b'-') {
            previous = self.peek(0);
            class.toggle(previous);
            self.at += 1;
        }
        loop {
            match self.peek(0) {
                0 => break,
                b']' => {
                    self.at += 1;
                    break;
                }
                b'-' if !matches!(self.peek(1), 0 | b']') => {
                    self.at += 1;
                    for octet in previous.saturating_add(1)..self.peek(0) {
                        class.mark(octet, !negated, self.ignore_case);
                    }
                }
                _ => {}
            }
            previous = self.peek(0);
            class.mark(previous, !negated, self.ignore_case);
            self.at += 1;
        }
        Node::Class(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, invalid: bool) {
        let parsed = parse(text.as_bytes(), true).unwrap();
        assert_eq!(show(&parsed.node), expected, "{text}");
        assert_eq!(parsed.invalid, invalid, "{text}");
    }

    fn show(node: &Node) -> String {
        match node {
            Node::Empty => "()".to_owned(),
            Node::Octet(b'\n') => "N".to_owned(),
            Node::Octet(octet) => char::from(*octet).to_string(),
            Node::Class(class) if *class == Class::dot() => ".".to_owned(),
            Node::Class(class) => format!("[{}]", class.ranges().len()),
            Node::Edge => "E".to_owned(),
            Node::Split => "/".to_owned(),
            Node::Sequence(parts) => parts.iter().map(show).collect(),
            Node::Either(parts) => format!("({})", parts.iter().map(show).collect::<Vec<_>>().join("|")),
            Node::Repeat(part, times) => format!("{}{}", show(part), ["*", "+", "?"][*times as usize]),
        }
    }

    #[test]
    fn common_forms_are_read() {
        check("^Subject: (a|B)$", "Nsubject: (a|b)N", false);
        check("^^ab^^", "EabE", false);
        check("a*b+c?", "a*b+c?", false);
        check("", "()", false);
        check("(|a)", "(()|a)", false);
        check(r"a\/.*", "a/.*", false);
        check(r"\.\(\\", r".(\", false);
    }

    #[test]
    fn odd_forms_are_read_as_procmail_reads_them() {
        check("ab**c", "ab**c", false);
        check("*a", "*a", false);
        check("a{2}", "a{2}", false);
        check("(a", "a", true);
        check("a)b", "a", true);
        check("[", "[0]", false);
        check("[]a]", "[3]", false);
        check(r"[\]a", "[1]a", false);
        check("^*a", "N*a", false);
        check("a$^b", "aNNb", false);
        check("a\\", r"a\", false);
    }

    #[test]
    fn classes_fold_case_and_never_hold_the_newline_when_negated() {
        let Node::Class(class) = parse(b"[^a-c]", true).unwrap().node else { panic!("no class") };
        assert!(!class.contains(b'B') && !class.contains(b'b') && class.contains(b'd') && !class.contains(b'\n'));
        let Node::Class(class) = parse(b"[^a-c]", false).unwrap().node else { panic!("no class") };
        assert!(class.contains(b'B'));
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(parse(&b"(".repeat(10_000), true).is_none());
    }
}
