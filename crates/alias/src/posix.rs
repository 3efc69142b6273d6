//! POSIX regular expressions (regex(7)) as the GNU C library reads them, written anew for the engine used here.

/// The parts of a pattern, still without the meaning of their neighbours.
struct Translator {
    pattern: Vec<char>,
    at: usize,
    extended: bool,
    fold: bool,
    warning: Option<String>,
    out: String,
    /// Where the last piece that a quantifier can repeat begins in `out`; `None` after an anchor or an opening.
    piece: Option<usize>,
    /// Whether that piece ends with a quantifier, and needs a group before it can have another.
    quantified: bool,
    /// Where open groups begin.
    groups: Vec<usize>,
    count: usize,
}

/// A pattern in the language of the engine used here, with what is odd about it.
#[derive(Debug)]
pub(crate) struct Translated {
    pub(crate) pattern: String,
    pub(crate) warning: Option<String>,
}

/// Translates a pattern, of the extended or the basic kind. `fold` tells that case does not count.
pub(crate) fn translate(pattern: &str, extended: bool, fold: bool) -> Result<Translated, String> {
    let mut translator = Translator {
        pattern: pattern.chars().collect(),
        at: 0,
        extended,
        fold,
        warning: None,
        out: String::new(),
        piece: None,
        quantified: false,
        groups: Vec::new(),
        count: 0,
    };
    while let Some(c) = translator.next() {
        translator.step(c)?;
    }
    match translator.groups.is_empty() {
        true => Ok(Translated { pattern: translator.out, warning: translator.warning }),
        false => Err("a parenthesis is open".to_owned()),
    }
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

    fn step(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape(),
            '[' => self.bracket(),
            '.' => self.put("."),
            '*' => self.repeat("*"),
            '^' if self.anchors_here() => self.anchor("^"),
            '$' if self.extended || self.ends_here() => self.anchor("$"),
            '+' | '?' if self.extended => self.repeat(c.encode_utf8(&mut [0; 4])),
            '{' if self.extended => self.interval(),
            '(' if self.extended => self.open(),
            ')' if self.extended && !self.groups.is_empty() => self.close(),
            '|' if self.extended => self.alternative(),
            _ => self.literal(c),
        }
    }

    /// Whether a `^` is an anchor: everywhere in extended patterns, at the beginning of a branch in basic ones.
    fn anchors_here(&self) -> bool {
        self.extended || self.out.is_empty() || self.out.ends_with(['(', '|'])
    }

    /// Whether a basic pattern or group ends here, so that a `$` is an anchor.
    fn ends_here(&self) -> bool {
        let rest = &self.pattern[self.at..];
        rest.is_empty() || rest.starts_with(&['\\', ')']) || rest.starts_with(&['\\', '|'])
    }

    fn put(&mut self, text: &str) -> Result<(), String> {
        self.piece = Some(self.out.len());
        self.quantified = false;
        self.out.push_str(text);
        Ok(())
    }

    fn literal(&mut self, c: char) -> Result<(), String> {
        let mut text = String::new();
        push_literal(&mut text, c);
        self.put(&text)
    }

    fn anchor(&mut self, text: &str) -> Result<(), String> {
        self.out.push_str(text);
        self.piece = None;
        Ok(())
    }

    fn open(&mut self) -> Result<(), String> {
        self.groups.push(self.out.len());
        self.count += 1;
        self.anchor("(")
    }

    fn close(&mut self) -> Result<(), String> {
        let start = self.groups.pop().ok_or("a parenthesis is closed that was not opened")?;
        self.out.push(')');
        self.piece = Some(start);
        self.quantified = false;
        Ok(())
    }

    fn alternative(&mut self) -> Result<(), String> {
        self.anchor("|")
    }

    fn repeat(&mut self, quantifier: &str) -> Result<(), String> {
        let Some(start) = self.piece else {
            // A star with nothing before it is one in a basic pattern, and an error in an extended one.
            return if self.extended { Err(format!("nothing to repeat before {quantifier}")) } else { self.literal('*') };
        };
        if self.quantified {
            self.out.insert_str(start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(quantifier);
        self.quantified = true;
        Ok(())
    }

    /// `{m}`, `{m,}`, `{,n}` or `{m,n}`, the opening brace taken already.
    fn interval(&mut self) -> Result<(), String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('}') if self.extended => break,
                Some('\\') if !self.extended && self.peek() == Some('}') => {
                    self.at += 1;
                    break;
                }
                Some(c) if c.is_ascii_digit() || c == ',' => text.push(c),
                _ => return Err("a brace does not hold a number of repetitions".to_owned()),
            }
        }
        let (low, high) = text.split_once(',').map_or((text.as_str(), text.as_str()), |(low, high)| (low, high));
        let number = |t: &str| t.is_empty() || t.parse::<u16>().is_ok();
        if text.is_empty() || !number(low) || !number(high) {
            return Err("a brace does not hold a number of repetitions".to_owned());
        }
        let low = if low.is_empty() { "0" } else { low };
        self.repeat(&if text.contains(',') { format!("{{{low},{high}}}") } else { format!("{{{low}}}") })
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.next().ok_or("the pattern ends with a backslash")?;
        match c {
            'w' => self.put("[0-9A-Za-z_]"),
            'W' => self.put("[^0-9A-Za-z_]"),
            's' => self.put("[ \\t\\n\\x0b\\f\\r]"),
            'S' => self.put("[^ \\t\\n\\x0b\\f\\r]"),
            'b' => self.anchor("\\b"),
            'B' => self.anchor("\\B"),
            '<' => self.anchor("\\b(?=[0-9A-Za-z_])"),
            '>' => self.anchor("\\b(?<=[0-9A-Za-z_])"),
            '`' => self.anchor("\\A"),
            '\'' => self.anchor("\\z"),
            '1'..='9' if c.to_digit(10).is_some_and(|n| n as usize <= self.count) => self.put(&format!("(?:\\{c})")),
            '1'..='9' => Err(format!("\\{c} names a group that is not there")),
            '(' if !self.extended => self.open(),
            ')' if !self.extended => self.close(),
            '{' if !self.extended => self.interval(),
            '|' if !self.extended => self.alternative(),
            '+' | '?' if !self.extended => self.repeat(c.encode_utf8(&mut [0; 4])),
            _ if c.is_ascii_alphabetic() => self.meaningless(c),
            _ => self.literal(c),
        }
    }

    /// A letter after a backslash that has no meaning, such as `\d`. The GNU library compares it with the text in upper
    /// case when case does not count, so that a small letter never matches.
    fn meaningless(&mut self, c: char) -> Result<(), String> {
        let never = self.fold && c.is_ascii_lowercase();
        let effect = if never { "never matches" } else { "is the letter itself" };
        self.warning =
            Some(format!("\\{c} has no meaning in POSIX patterns and {effect}; regexp tables have [0-9], [[:alpha:]] and their like"));
        if never { self.put("(?!)") } else { self.literal(c) }
    }

    /// A bracket expression; backslashes have no meaning in it.
    fn bracket(&mut self) -> Result<(), String> {
        let open = "a bracket is open";
        let mut class = String::from("[");
        if self.peek() == Some('^') {
            self.at += 1;
            class.push('^');
        }
        let mut first = true;
        loop {
            let c = self.next().ok_or(open)?;
            match (c, self.peek()) {
                (']', _) if !first => break,
                ('[', Some(':')) => {
                    let name = self.named(':')?;
                    class.push_str(&format!("[:{name}:]"));
                }
                _ => self.range(c, &mut class)?,
            }
            first = false;
        }
        class.push(']');
        self.put(&class)
    }

    /// A character or a range within brackets.
    fn range(&mut self, c: char, class: &mut String) -> Result<(), String> {
        let from = self.element(c)?;
        push_literal(class, from);
        if self.peek() == Some('-') && self.pattern.get(self.at + 1).is_some_and(|next| *next != ']') {
            self.at += 1;
            let next = self.next().unwrap_or('-');
            let to = self.element(next)?;
            if to < from {
                return Err(format!("the range {from}-{to} goes backwards"));
            }
            class.push('-');
            push_literal(class, to);
        }
        Ok(())
    }

    /// One character within brackets, as itself or as `[.x.]` or `[=x=]`.
    fn element(&mut self, c: char) -> Result<char, String> {
        let kind = match (c, self.peek()) {
            ('[', Some(kind @ ('.' | '='))) => kind,
            _ => return Ok(c),
        };
        let name = self.named(kind)?;
        let mut chars = name.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(c),
            _ => Err(format!("[{kind}{name}{kind}] is no character")),
        }
    }

    /// What stands in `[:name:]` and its like, the opening bracket taken already.
    fn named(&mut self, kind: char) -> Result<String, String> {
        self.at += 1;
        let mut name = String::new();
        while let Some(c) = self.next() {
            if c == kind && self.peek() == Some(']') {
                self.at += 1;
                return Ok(name);
            }
            name.push(c);
        }
        Err("a bracket is open".to_owned())
    }
}

/// Appends a character that stands for itself, within brackets or without.
pub(crate) fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && c != '_' && c != '<' && c != '>' {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, extended: bool, matches: &[&str], others: &[&str]) {
        let text = translate(pattern, extended, true).unwrap().pattern;
        let regex = fancy_regex::Regex::new(&format!("(?si){text}")).unwrap_or_else(|e| panic!("{pattern} -> {text}: {e}"));
        for m in matches {
            assert!(regex.is_match(m).unwrap(), "{pattern} -> {text} should match {m}");
        }
        for o in others {
            assert!(!regex.is_match(o).unwrap(), "{pattern} -> {text} should not match {o}");
        }
    }

    #[test]
    fn extended_patterns() {
        check("^a(b|c)+d?$", true, &["abcb", "acd"], &["ad", "bd"]);
        check("^[]x]$", true, &["]", "x"], &["\\"]);
        check("^[\\w]$", true, &["\\", "w"], &["a"]);
        check("^[[:digit:]_-]+$", true, &["1_-"], &["a"]);
        check("^[[.-.]a]$", true, &["-", "a"], &["."]);
        check("^a{2,3}$", true, &["aa", "aaa"], &["a"]);
        check("^a{,2}$", true, &["", "aa"], &["aaa"]);
        check("^a**$", true, &["", "aa"], &["b"]);
        check("^a+*$", true, &["", "aa"], &["b"]);
        check("^a*?$", true, &["", "aa"], &["b"]);
        check("^(.)\\1$", true, &["aa"], &["ab"]);
        check("^x\\d$", true, &[], &["xd", "x1"]);
        check("^x\\D$", true, &["xd"], &[]);
        check("^a\\>", true, &["a b", "a"], &["ab"]);
        check("^x\\<", true, &[], &["x", "xa"]);
        check("a||b", true, &["", "z"], &[]);
        check("^()x)$", true, &["x)"], &["x"]);
        check("^a&&b~~[a&&b]", true, &["a&&b~~&", "a&&b~~a"], &["a&&b~~c"]);
        for bad in ["(", "*a", "+a", "a{", "a{1,2", "a{x}", "[a", "\\2(x)", "a\\", "[b-a]"] {
            assert!(translate(bad, true, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn basic_patterns() {
        check("^b\\(r\\)$", false, &["br"], &["b(r)"]);
        check("^b(r)*$", false, &["b(r", "b(r))"], &["br"]);
        check("^*a$", false, &["*a"], &["a"]);
        check("^p\\(a\\|b\\)\\+$", false, &["pa", "pab"], &["p"]);
        check("^r\\{2\\}$", false, &["rr"], &["r"]);
        check("a^b$c", false, &["a^b$c"], &["abc"]);
    }
}
