//! Perl-compatible patterns (pcre_table(5)), written anew for the engine used here. Both engines agree on most of the
//! language; this module turns what differs: classes are ASCII, unknown escapes are errors, a stray brace is itself.

use std::collections::HashSet;

use crate::octets::character;
use crate::posix::push_literal;

/// Translates a pattern, or says which construct cannot be used.
pub(crate) fn translate(pattern: &str, free_spacing: bool) -> Result<String, String> {
    let mut translator = Translator { pattern: pattern.chars().collect(), at: 0, free_spacing, out: String::new(), names: HashSet::new() };
    while let Some(c) = translator.next() {
        translator.step(c)?;
    }
    Ok(translator.out)
}

struct Translator {
    pattern: Vec<char>,
    at: usize,
    free_spacing: bool,
    out: String,
    names: HashSet<String>,
}

impl Translator {
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.pattern.get(self.at).copied()
    }

    fn ahead(&self, text: &str) -> bool {
        text.chars().eq(self.pattern[self.at..].iter().copied().take(text.chars().count()))
    }

    /// The text up to `end`, which is taken as well.
    fn until(&mut self, end: char) -> Result<String, String> {
        let length = self.pattern[self.at..].iter().position(|c| *c == end).ok_or_else(|| format!("there is no closing {end}"))?;
        let text = self.pattern[self.at..self.at + length].iter().collect();
        self.at += length + 1;
        Ok(text)
    }

    fn step(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.group(),
            '{' if !self.is_quantifier() => {
                self.out.push_str("\\{");
                Ok(())
            }
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' if self.free_spacing => Ok(()),
            '#' if self.free_spacing => {
                while self.next().is_some_and(|c| c != '\n') {}
                Ok(())
            }
            ']' | '#' | '&' | '~' | '-' => {
                push_literal(&mut self.out, c);
                Ok(())
            }
            _ => {
                self.out.push(c);
                Ok(())
            }
        }
    }

    /// Whether `{` begins `{n}`, `{n,}` or `{n,m}`.
    fn is_quantifier(&self) -> bool {
        let text: String = self.pattern[self.at..].iter().take_while(|c| **c != '}').collect();
        let closed = self.pattern.get(self.at + text.chars().count()) == Some(&'}');
        let (low, high) = text.split_once(',').unwrap_or((&text, ""));
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        closed && !low.is_empty() && digits(low) && digits(high)
    }

    fn group(&mut self) -> Result<(), String> {
        if self.ahead("*") {
            return Err("verbs such as (*UTF8) are not supported".to_owned());
        }
        for unsupported in ["?|", "?R", "?&", "?P>", "?C", "?+"] {
            if self.ahead(unsupported) {
                return Err(format!("the construct ({unsupported}...) is not supported"));
            }
        }
        if self.ahead("?") && self.pattern.get(self.at + 1).is_some_and(char::is_ascii_digit) {
            return Err("recursion is not supported".to_owned());
        }
        if self.ahead("?#") {
            self.until(')')?;
            return Ok(());
        }
        self.out.push('(');
        if self.ahead("?P=") {
            self.at += 3;
            let name = self.until(')')?;
            self.out.push_str(&format!("?:\\k<{name}>)"));
        } else if self.ahead("?'") {
            self.at += 2;
            let name = self.until('\'')?;
            self.name(&name)?;
            self.out.push_str(&format!("?<{name}>"));
        } else if let Some(length) = ["?<", "?P<"].iter().find(|start| self.begins_name(start)).map(|start| start.len()) {
            self.at += length;
            let name = self.until('>')?;
            self.name(&name)?;
            self.out.push_str(&format!("?<{name}>"));
        } else if self.ahead("?") {
            // The rest of the prefix is the same in both languages; taken here so that its signs are not escaped.
            while let Some(c) = self.peek().filter(|c| "?:=!<>P-^imsxUnJ".contains(*c)) {
                self.at += 1;
                self.out.push(c);
            }
        }
        Ok(())
    }

    /// Whether a named group begins here, and no look-behind.
    fn begins_name(&self, start: &str) -> bool {
        self.ahead(start) && self.pattern.get(self.at + start.len()).is_some_and(|c| c.is_ascii_alphabetic() || *c == '_')
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        if self.names.insert(name.to_owned()) { Ok(()) } else { Err(format!("two groups have the name {name}")) }
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.next().ok_or("the pattern ends with a backslash")?;
        match c {
            'Q' => self.literals(),
            'E' => {}
            'N' => self.out.push_str("[^\\n]"),
            'R' => self.out.push_str("(?>\\r\\n|[\\n\\x0b\\f\\r])"),
            'A' | 'z' | 'Z' | 'b' | 'B' | 'G' | 'K' => self.out.extend(['\\', c]),
            'k' => self.named_reference()?,
            'g' => self.reference()?,
            '1'..='9' => self.numbered(c),
            'p' | 'P' => self.property(c)?,
            _ => match shorthand(c) {
                Some((negated, set)) => self.out.push_str(&format!("[{}{set}]", if negated { "^" } else { "" })),
                None => {
                    let literal = self.character(c)?;
                    push_literal(&mut self.out, literal);
                }
            },
        }
        Ok(())
    }

    /// `\Q...\E`
    fn literals(&mut self) {
        while !self.ahead("\\E") {
            let Some(c) = self.next() else { return };
            push_literal(&mut self.out, c);
        }
        self.at += 2;
    }

    /// `\k<n>`, `\k'n'`, `\k{n}`
    fn named_reference(&mut self) -> Result<(), String> {
        let end = match self.next() {
            Some('<') => '>',
            Some('\'') => '\'',
            Some('{') => '}',
            _ => return Err("\\k needs a name".to_owned()),
        };
        let name = self.until(end)?;
        self.out.push_str(&format!("(?:\\k<{name}>)"));
        Ok(())
    }

    /// `\g1`, `\g{1}`, `\g{-1}`, `\g{name}`
    fn reference(&mut self) -> Result<(), String> {
        let name = match self.next() {
            Some('{') => self.until('}')?,
            Some(c) if c.is_ascii_digit() => c.to_string(),
            _ => return Err("\\g needs a number or a name".to_owned()),
        };
        let written = match name.parse::<i32>() {
            Ok(n) if n > 0 => format!("\\{n}"),
            _ => format!("\\k<{name}>"),
        };
        self.out.push_str(&format!("(?:{written})"));
        Ok(())
    }

    /// A back reference, or an octal number if it has two digits or more and cannot be one.
    fn numbered(&mut self, first: char) {
        let mut digits = String::from(first);
        while let Some(c) = self.peek().filter(|c| c.is_ascii_digit() && digits.len() < 3) {
            digits.push(c);
            self.at += 1;
        }
        let octal = u8::from_str_radix(&digits, 8).ok().filter(|_| digits.len() > 1);
        match octal {
            Some(octet) => push_literal(&mut self.out, character(octet)),
            None => self.out.push_str(&format!("(?:\\{digits})")),
        }
    }

    /// `\pL` or `\p{Lu}`
    fn property(&mut self, c: char) -> Result<(), String> {
        let name = match self.next() {
            Some('{') => self.until('}')?,
            Some(letter) => letter.to_string(),
            None => return Err(format!("\\{c} needs a property")),
        };
        self.out.push_str(&format!("\\{c}{{{name}}}"));
        Ok(())
    }

    /// The character that an escape such as `\x41`, `\012` or `\@` means.
    fn character(&mut self, c: char) -> Result<char, String> {
        let octet = match c {
            'a' => 7,
            'e' => 27,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'x' => return self.hexadecimal(),
            'c' => {
                let control = self.next().filter(char::is_ascii).ok_or("\\c needs a character")?;
                control.to_ascii_uppercase() as u8 ^ 64
            }
            '0' => self.octal(c),
            _ if c.is_ascii_alphanumeric() => return Err(format!("\\{c} has no meaning")),
            _ => return Ok(c),
        };
        Ok(character(octet))
    }

    /// Up to three octal digits, the first one taken already.
    fn octal(&mut self, first: char) -> u8 {
        let mut digits = String::from(first);
        while let Some(c) = self.peek().filter(|c| c.is_digit(8) && digits.len() < 3) {
            digits.push(c);
            self.at += 1;
        }
        u8::from_str_radix(&digits, 8).unwrap_or(0)
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let digits = if self.ahead("{") {
            self.at += 1;
            self.until('}')?
        } else {
            let digits: String = self.pattern[self.at..].iter().take(2).take_while(|c| c.is_ascii_hexdigit()).collect();
            self.at += digits.len();
            digits
        };
        let digits = if digits.is_empty() { "0" } else { &digits };
        u8::from_str_radix(digits, 16).map(character).map_err(|_| format!("\\x{{{digits}}} is no octet"))
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.ahead("^") {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.next().ok_or("a bracket is open")? {
                ']' if !first => break,
                '[' if self.ahead(":") && self.pattern[self.at..].windows(2).any(|w| w == [':', ']']) => {
                    self.at += 1;
                    let name = self.until(':')?;
                    self.at += 1;
                    self.out.push_str(&format!("[:{name}:]"));
                }
                c => self.class_member(c)?,
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn class_member(&mut self, c: char) -> Result<(), String> {
        let Some(from) = self.class_character(c)? else {
            // After a class such as \d a hyphen would have to be a range, which it cannot.
            if self.ahead("-") && self.pattern.get(self.at + 1).is_some_and(|c| *c != ']') {
                return Err("a range cannot begin with a class".to_owned());
            }
            return Ok(());
        };
        push_literal(&mut self.out, from);
        if !self.ahead("-") || self.pattern.get(self.at + 1).is_none_or(|c| *c == ']') {
            return Ok(());
        }
        self.at += 1;
        let next = self.next().ok_or("a bracket is open")?;
        let to = self.class_character(next)?.ok_or("a range cannot end with a class")?;
        if to < from {
            return Err(format!("the range {from}-{to} goes backwards"));
        }
        self.out.push('-');
        push_literal(&mut self.out, to);
        Ok(())
    }

    /// One character of a class; `None` if it was a class or a quotation that has been written already.
    fn class_character(&mut self, c: char) -> Result<Option<char>, String> {
        if c != '\\' {
            return Ok(Some(c));
        }
        let c = self.next().ok_or("a bracket is open")?;
        match c {
            'Q' => self.literals(),
            'E' => {}
            'b' => return Ok(Some('\x08')),
            'p' | 'P' => self.property(c)?,
            '1'..='7' => return Ok(Some(character(self.octal(c)))),
            _ => match shorthand(c) {
                Some((false, set)) => self.out.push_str(set),
                Some((true, set)) => self.out.push_str(&format!("[^{set}]")),
                None => return self.character(c).map(Some),
            },
        }
        Ok(None)
    }
}

/// What `\d` and its like hold, and whether the letter is the negated one.
fn shorthand(c: char) -> Option<(bool, &'static str)> {
    let set = match c.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => " \\t\\n\\x0b\\f\\r",
        'h' => " \\t",
        'v' => "\\n\\x0b\\f\\r",
        _ => return None,
    };
    Some((c.is_ascii_uppercase(), set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matches: &[&str], others: &[&str]) {
        let text = translate(pattern, false).unwrap();
        let regex = fancy_regex::Regex::new(&format!("(?si){text}")).unwrap_or_else(|e| panic!("{pattern} -> {text}: {e}"));
        for m in matches {
            assert!(regex.is_match(m).unwrap(), "{pattern} -> {text} should match {m}");
        }
        for o in others {
            assert!(!regex.is_match(o).unwrap(), "{pattern} -> {text} should not match {o}");
        }
    }

    #[test]
    fn what_differs_between_the_engines() {
        check("^d\\d\\w\\h$", &["d5a "], &["d٣a ", "d5é "]);
        check("^a[\\Q]^\\E]$", &["a]", "a^"], &["ab"]);
        check("^q\\Q.*\\E$", &["q.*"], &["qxx"]);
        check("^(?<n>x)(?'q'y)\\k<n>\\k{q}(?P=n)$", &["xyxyx"], &["xyyxx"]);
        check("^x(a)\\g1\\g{1}\\g{-1}$", &["xaaaa"], &["xaa"]);
        check("^(?x: a b )c$", &["abc"], &[]);
        check("^h(?#c(x)$", &["h"], &[]);
        check("^u{,2}$", &["u{,2}"], &["uu"]);
        check("^v{1,2}?$", &["v", "vv"], &["vvv"]);
        check("^b{x]}$", &["b{x]}"], &[]);
        check("^[a&&b~~c[e]$", &["&", "~", "["], &["z"]);
        check("^k[a-z&&[^b]]$", &["k&]", "ka]"], &["ka"]);
        check("^[\\d\\s-]$", &["1", "-"], &["a"]);
        check("^[^[:^alpha:]]$", &["a"], &["1"]);
        check("^p\\x{41}\\x4a\\112\\0$", &["pajj\0"], &[]);
        check("^o\\101[\\101]$", &["oaa"], &[]);
        check("^pos(?=x)(?!y)(?<=s)(?<!z)x$", &["posx"], &[]);
        check("^(?>a+)b(c)?(?(1)d|e)$", &["aabcd", "abe"], &["abcde"]);
        check("^(a++)b$", &["aab"], &[]);
        for bad in
            ["(*UTF8)x", "a\\", "\\j", "[a-\\d]", "[\\d-z]", "[z-a]", "[a", "(?R)", "(?1)", "(?|a)", "\\x{e4f}", "\\c", "(?<n>a)(?P<n>b)"]
        {
            assert!(translate(bad, false).is_err(), "{bad}");
        }
    }
}
