//! The lexical layer of mail addresses (RFC 822 section 3.3), as tolerant as Postfix reads them.
//!
//! Two spellings of an address occur here. The *quoted* form is what stands in maps and in SMTP: `"a b"@example.org`.
//! The *plain* form has no quotes: `a b@example.org`; its domain follows the last `@`. Look-ups, extensions and
//! comparisons work on the plain form, and only what is shown or parsed is quoted.

/// One lexical element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A run of ordinary characters.
    Atom(String),
    /// A quoted string, or an atom that needs quotes, without quotes and backslashes.
    Quoted(String),
    /// What stands between square brackets.
    Literal(String),
    /// A comment with its parentheses.
    Comment(String),
    /// One of [`OPERATORS`].
    Operator(char),
}

/// Characters that stand for themselves. `%` and `!` are among them since not all the world is RFC 822.
const OPERATORS: &str = "|\"(),.:;<>@[]%!";

impl Token {
    /// Whether the token is this operator.
    pub(crate) fn is(&self, operator: char) -> bool {
        *self == Self::Operator(operator)
    }
}

/// Splits a quoted-form text into tokens; white space goes. Nothing is refused: open quotes end with the text.
pub(crate) fn scan(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let (token, next) = match c {
            ' ' | '\t' | '\r' | '\n' => {
                rest = after;
                continue;
            }
            '(' => comment(rest),
            '[' => enclosed(after, ']', Token::Literal),
            '"' => enclosed(after, '"', Token::Quoted),
            _ if OPERATORS.contains(c) => (Token::Operator(c), after),
            _ => atom(rest),
        };
        tokens.push(token);
        rest = next;
    }
    tokens
}

/// Collects up to the first unescaped character for which `stop` holds; white space becomes a blank.
fn collect(text: &str, stop: impl Fn(char) -> bool) -> (String, &str) {
    let mut found = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some((_, escaped)) => escaped,
                None => return (found, ""),
            },
            _ if stop(c) => return (found, &text[at..]),
            _ => c,
        };
        found.push(if matches!(c, ' ' | '\t' | '\r' | '\n') { ' ' } else { c });
    }
    (found, "")
}

fn enclosed(text: &str, end: char, make: fn(String) -> Token) -> (Token, &str) {
    let (found, rest) = collect(text, |c| c == end);
    (make(found), rest.strip_prefix(end).unwrap_or(rest))
}

fn atom(text: &str) -> (Token, &str) {
    let special = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n') || OPERATORS.contains(c);
    let (found, rest) = collect(text, special);
    let needs_quotes = found.chars().any(|c| c.is_ascii_whitespace() || c.is_ascii_control() || OPERATORS.contains(c));
    (if needs_quotes { Token::Quoted(found) } else { Token::Atom(found) }, rest)
}

fn comment(text: &str) -> (Token, &str) {
    let mut depth = 0usize;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => drop(chars.next()),
            _ => {}
        }
        if depth == 0 {
            return (Token::Comment(text[..=at].to_owned()), &text[at + 1..]);
        }
    }
    (Token::Comment(text.to_owned()), "")
}

/// Writes tokens in quoted form.
pub(crate) fn quoted_form(tokens: &[Token]) -> String {
    write(tokens, true)
}

/// Writes tokens without quotes.
pub(crate) fn plain_form(tokens: &[Token]) -> String {
    write(tokens, false)
}

fn write(tokens: &[Token], quotes: bool) -> String {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Atom(word) | Token::Comment(word) => text.push_str(word),
            Token::Quoted(word) if quotes => {
                text.push('"');
                escape(&mut text, word, "\"\\\r\n");
                text.push('"');
            }
            Token::Quoted(word) => text.push_str(word),
            Token::Literal(word) => {
                text.push('[');
                escape(&mut text, word, if quotes { "\\\r\n" } else { "" });
                text.push(']');
            }
            Token::Operator(c) => text.push(*c),
        }
        if needs_blank(token, tokens.get(at + 1)) {
            text.push(' ');
        }
    }
    text
}

fn needs_blank(token: &Token, next: Option<&Token>) -> bool {
    let wordy = |t: &Token| !matches!(t, Token::Operator(_));
    next.is_some_and(|next| token.is(',') || next.is('<') || (wordy(token) && wordy(next)))
}

fn escape(text: &mut String, word: &str, special: &str) {
    for c in word.chars() {
        if special.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
}

/// Puts quotes around the local part of a plain address if it is no dot-string (RFC 5321 section 4.1.2).
pub(crate) fn quote(plain: &str) -> String {
    let (route, address) = split_route(plain);
    let (local, domain) = address.split_at(address.rfind('@').unwrap_or(address.len()));
    format!("{route}{}{domain}", quote_local(local))
}

/// [`quote`], with a question mark for each control character, so that nothing odd gets into logs and replies.
pub(crate) fn shown(plain: &str) -> String {
    let quoted = quote(plain);
    if quoted.contains(char::is_control) { quoted.replace(char::is_control, "?") } else { quoted }
}

/// A local part in quotes if it needs them.
pub(crate) fn quote_local(local: &str) -> std::borrow::Cow<'_, str> {
    if is_dot_string(local) {
        return local.into();
    }
    let mut quoted = String::with_capacity(local.len() + 2);
    quoted.push('"');
    escape(&mut quoted, local, "\"\\\r");
    quoted.push('"');
    quoted.into()
}

/// Takes the quotes off the local part of a quoted address.
pub(crate) fn unquote(quoted: &str) -> String {
    let (route, address) = split_route(quoted);
    let (local, domain) = address.split_at(address.rfind('@').unwrap_or(address.len()));
    let mut plain = String::with_capacity(quoted.len());
    plain.push_str(route);
    let mut chars = local.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {}
            '\\' => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    plain.push_str(domain);
    plain
}

/// Splits a leading source route (`@a,@b:`) off.
fn split_route(address: &str) -> (&str, &str) {
    match address.find(':') {
        Some(colon) if address.starts_with('@') => address.split_at(colon + 1),
        _ => ("", address),
    }
}

/// Whether a local part needs no quotes. Octets beyond ASCII do not.
fn is_dot_string(local: &str) -> bool {
    let special = |c: char| c.is_ascii_control() || " ()<>@,;:\\\"[]".contains(c);
    !local.is_empty() && !local.starts_with('.') && !local.ends_with('.') && !local.contains("..") && !local.contains(special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_operators_come_apart_and_together() {
        for (text, quoted, plain) in [
            ("a.b @ c.example", "a.b@c.example", "a.b@c.example"),
            ("\"a b\"@c", "\"a b\"@c", "a b@c"),
            ("a\\ b@c", "\"a b\"@c", "a b@c"),
            ("\"a\\\"b\"@c", "\"a\\\"b\"@c", "a\"b@c"),
            ("a(c(d)\\))@[1.2.3.4]", "a (c(d)\\))@[1.2.3.4]", "a (c(d)\\))@[1.2.3.4]"),
            ("joe <", "joe <", "joe <"),
            ("\"open", "\"open\"", "open"),
            ("[open", "[open]", "[open]"),
            ("(open", "(open", "(open"),
            ("é@x", "é@x", "é@x"),
            ("end\\", "end", "end"),
        ] {
            let tokens = scan(text);
            assert_eq!((quoted_form(&tokens).as_str(), plain_form(&tokens).as_str()), (quoted, plain), "{text}");
        }
    }

    #[test]
    fn local_parts_are_quoted_when_they_have_to_be() {
        for (plain, quoted) in [
            ("joe@x", "joe@x"),
            ("a b@x", "\"a b\"@x"),
            ("@x", "\"\"@x"),
            ("a@b@x", "\"a@b\"@x"),
            (".a@x", "\".a\"@x"),
            ("a..b@x", "\"a..b\"@x"),
            ("a\"b\\c@x", "\"a\\\"b\\\\c\"@x"),
            ("joe", "joe"),
            ("é%b@x", "é%b@x"),
        ] {
            assert_eq!(quote(plain), quoted);
            assert_eq!(unquote(quoted), plain);
        }
    }
}
