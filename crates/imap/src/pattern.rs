//! Patterns of LIST and LSUB: `*` for any text, `%` for any text without the separator (RFC 3501 section 6.3.8).

/// The hierarchy separator of all mailbox names.
pub(crate) const SEPARATOR: char = '.';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Char(char),
    /// `%`
    Level,
    /// `*`
    Any,
}

/// A pattern made ready for matching.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    /// Makes a pattern of its text in UTF-8.
    pub(crate) fn new(text: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::with_capacity(text.len());
        for c in text.chars() {
            match (c, pieces.last()) {
                ('*' | '%', Some(Piece::Any)) | ('%', Some(Piece::Level)) => {}
                ('*', Some(Piece::Level)) => {
                    pieces.pop();
                    pieces.push(Piece::Any);
                }
                ('*', _) => pieces.push(Piece::Any),
                ('%', _) => pieces.push(Piece::Level),
                _ => pieces.push(Piece::Char(c)),
            }
        }
        Self(pieces)
    }

    /// Whether the pattern asks for one level of the hierarchy only.
    pub(crate) fn has_level(&self) -> bool {
        self.0.contains(&Piece::Level)
    }

    /// How many characters it has.
    pub(crate) fn length(&self) -> usize {
        self.0.len()
    }

    /// Whether a name matches. INBOX does in any case. Takes time in proportion to name times pattern, whatever they are.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.0 == [Piece::Any] {
            return true;
        }
        let inbox = name == "INBOX" || name.starts_with("INBOX.");
        let mut now = vec![false; self.0.len() + 1];
        let mut next = now.clone();
        now[0] = true;
        self.skip_wildcards(&mut now);
        for (at, c) in name.char_indices() {
            next.fill(false);
            let fold = inbox && at < 5;
            let mut alive = false;
            for (state, piece) in self.0.iter().enumerate().filter(|(state, _)| now[*state]) {
                match piece {
                    Piece::Char(p) if *p == c || fold && p.eq_ignore_ascii_case(&c) => next[state + 1] = true,
                    Piece::Any => next[state] = true,
                    Piece::Level if c != SEPARATOR => next[state] = true,
                    _ => continue,
                }
                alive = true;
            }
            if !alive {
                return false;
            }
            self.skip_wildcards(&mut next);
            std::mem::swap(&mut now, &mut next);
        }
        now[self.0.len()]
    }

    /// A wildcard also stands for nothing. No two of them are neighbours unless they differ.
    fn skip_wildcards(&self, states: &mut [bool]) {
        for (state, piece) in self.0.iter().enumerate() {
            if states[state] && !matches!(piece, Piece::Char(_)) {
                states[state + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern = Pattern::new(pattern);
        for name in yes {
            assert!(pattern.matches(name), "{pattern:?} {name}");
        }
        for name in no {
            assert!(!pattern.matches(name), "{pattern:?} {name}");
        }
    }

    #[test]
    fn wildcards() {
        check("*", &["INBOX", "a.b.c", ""], &[]);
        check("%", &["INBOX", "a"], &["a.b"]);
        check("a.%", &["a.b", "a."], &["a", "a.b.c"]);
        check("%.%", &["a.b"], &["a", "a.b.c"]);
        check("a*c", &["ac", "abc", "a.b.c"], &["a", "acd"]);
        check("%3.%4", &["x3.x4"], &["x3", "x3.y.x4"]);
        check("a%*b", &["ab", "a.x.b"], &["a"]);
        check("%t*4", &["test3.test4"], &["test3"]);
    }

    #[test]
    fn inbox_counts_without_case() {
        check("inbox", &["INBOX"], &["INBOX.a"]);
        check("InBox.%", &["INBOX.a"], &["INBOX"]);
        check("INBOX", &["INBOX"], &["inbox"]);
        check("Work", &["Work"], &["work"]);
    }

    #[test]
    fn many_wildcards_take_no_long_time() {
        let pattern = "%a*".repeat(600);
        check(&pattern, &[], &[&"b".repeat(10_000), &"a.".repeat(100)]);
    }
}
