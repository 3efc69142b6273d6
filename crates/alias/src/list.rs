//! A list of addresses as people write it (RFC 822 section 6.1): commas may be missing, names, comments, groups and
//! angle brackets may be there.

use crate::token::{Token, scan};

/// The addresses of a list, each as its tokens, in the order of the text.
pub(crate) fn addresses(text: &str) -> Vec<Vec<Token>> {
    Parser { tokens: scan(text), found: Vec::new() }.run()
}

/// Works from right to left, where it is known early whether words are an address or the name before one.
struct Parser {
    tokens: Vec<Token>,
    found: Vec<Vec<Token>>,
}

impl Parser {
    fn run(mut self) -> Vec<Vec<Token>> {
        // Exclusive ends: tokens `at..right` belong to the address that is being gathered.
        let mut right = self.tokens.len();
        let mut at = right;
        let mut word_fits = true;
        let mut in_group = false;
        while at > 0 {
            let here = at - 1;
            match &self.tokens[here] {
                Token::Comment(_) => {}
                Token::Operator(';') => {
                    right = self.take(at, right, here);
                    (in_group, word_fits) = (true, true);
                }
                Token::Operator(':') if in_group => {
                    self.take(at, right, here);
                    at = self.back_to(at, |t| t.is(','));
                    right = at.saturating_sub(1);
                    continue;
                }
                Token::Operator('>') => {
                    right = self.take(at, right, here);
                    at = self.back_to(at, |t| t.is('<'));
                    self.take(at, right, here);
                    at = self.back_to(at, |t| ['>', ';', ',', ':'].iter().any(|c| t.is(*c)));
                    right = at;
                    word_fits = true;
                    continue;
                }
                Token::Operator(',') => {
                    right = self.take(at, right, here);
                    word_fits = true;
                }
                Token::Operator(_) => word_fits = true,
                _ => {
                    // Two words in a row: a comma is missing between them.
                    if !word_fits {
                        self.take(at, right, here);
                        right = at;
                    }
                    word_fits = false;
                }
            }
            at = here;
        }
        self.take(0, right, 0);
        self.found.reverse();
        self.found
    }

    /// Ends an address that consists of `from..to`, if there is anything; what follows it leftwards ends at `next`.
    fn take(&mut self, from: usize, to: usize, next: usize) -> usize {
        let tokens: Vec<_> = self.tokens[from.min(to)..to].iter().filter(|t| !matches!(t, Token::Comment(_))).cloned().collect();
        if !tokens.is_empty() {
            self.found.push(tokens);
        }
        next
    }

    /// The end of the text left of `at` that ends with a token for which `stop` holds; 0 if there is none.
    fn back_to(&self, at: usize, stop: impl Fn(&Token) -> bool) -> usize {
        self.tokens[..at].iter().rposition(stop).map_or(0, |found| found + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::quoted_form;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = addresses(text).iter().map(|t| quoted_form(t)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn plain_lists() {
        check("joe, jane", &["joe", "jane"]);
        check("joe jane,,out@ext.example ,", &["joe", "jane", "out@ext.example"]);
        check("joe \"x y\"@a bob", &["joe", "\"x y\"@a", "bob"]);
        check("joe . x @ localhost", &["joe.x@localhost"]);
        check("joe;jane", &["joe", "jane"]);
        check("", &[]);
        check(",;", &[]);
    }

    #[test]
    fn names_comments_groups_and_brackets() {
        check("Joe Q. Public <joe@ext.example>, jane", &["joe@ext.example", "jane"]);
        check("joe (c (nested) d) , jane", &["joe", "jane"]);
        check("(only a comment)", &[]);
        check("joe <jane@a> bob", &["jane@a", "bob"]);
        check("<joe> <jane>", &["joe", "jane"]);
        check("grp: joe, jane@a; bob", &["joe", "jane@a", "bob"]);
        check("a:b:joe;", &["joe"]);
        check("grp:;", &[]);
        check("<@x:joe@a>", &["@x:joe@a"]);
    }

    #[test]
    fn broken_lists_lose_nothing_that_matters() {
        check("<joe@localhost", &["<joe@localhost"]);
        check("joe@localhost>", &["joe@localhost"]);
        check("a>b@c", &["a", "b@c"]);
        check("joe[x]", &["joe", "[x]"]);
        check("joe <<jane>>", &["jane>"]);
        check("x:joe@localhost,jane", &["x:joe@localhost", "jane"]);
        check("joe\"", &["joe", "\"\""]);
    }
}
