//! procmail's subset of shell quoting and substitution: `'`, `"`, `` ` ``, `\`, `$name`, `${name:-text}` and the rest.
//!
//! The same machine serves three purposes: to find where a piece of the rule file ends (with nothing substituted, as in
//! a recipe that is skipped), to read it for what it means now, and to read texts such as a command or a condition after `$`.

use crate::text::is_name;

/// What the text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Words, as the arguments of a command.
    Words,
    /// A value that ends at the first blank outside quotes.
    Value,
    /// A text, blanks outside quotes becoming one.
    Text,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The words, each ended by a zero octet; one word for a value or text.
    pub(crate) text: Vec<u8>,
    /// Where `"$@"` stands.
    pub(crate) all_arguments: Option<usize>,
    /// It did not fit into LINEBUF.
    pub(crate) overflow: bool,
}

impl Reading {
    /// The words.
    pub(crate) fn words(&self) -> Vec<&[u8]> {
        let text = self.text.strip_suffix(&[0]).unwrap_or(&self.text);
        text.split(|octet| *octet == 0).collect()
    }

    /// The first word, or the whole value.
    pub(crate) fn first(&self) -> &[u8] {
        crate::text::until_nul(&self.text)
    }
}

/// A complaint that is logged even for what is skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// A quote was open at the end.
    UnexpectedEnd,
    /// `${name...` in a form that is not known.
    BadSubstitution(Vec<u8>),
    /// More than LINEBUF holds.
    TooLong,
}

/// What substitutions ask for.
pub(crate) trait Scope {
    /// A variable or a positional argument.
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>>;
    /// `$$`, `$?`, `$#`, `$=`, `$_`, `$-`.
    fn pseudo(&self, sign: u8) -> Vec<u8>;
    /// The output of a command in backquotes, at most `longest` octets.
    fn output(&mut self, command: &[u8], longest: usize) -> Vec<u8>;
    /// Something is wrong.
    fn complain(&mut self, complaint: Complaint);
}

/// Octets to read from, with the place reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    pub(crate) fn next(&mut self) -> Option<u8> {
        let octet = self.text.get(self.at).copied()?;
        self.at += 1;
        Some(octet)
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// Reads from `cursor`, appending to `prefix`; with `skip`, nothing is substituted.
pub(crate) fn read(cursor: &mut Cursor<'_>, prefix: Vec<u8>, mode: Mode, skip: bool, line_buffer: usize, scope: &mut dyn Scope) -> Reading {
    let mut reader = Reader {
        cursor,
        out: Reading { text: prefix, ..Reading::default() },
        mode,
        skip: u32::from(skip),
        limit: line_buffer,
        state: State::Nothing,
        pending: None,
        braces: 0,
        quoted_braces: 0,
        hidden: None,
        scope,
    };
    while reader.step() == Flow::Go {}
    reader.finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Nothing,
    Blank,
    Plain,
    Double,
    Single,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Go,
    Ready,
}

/// The text of `${name-text}` when the variable's own value is used instead.
struct Hidden {
    /// Where the output goes on.
    place: usize,
    /// The level of braces to return to.
    level: u32,
    value: Vec<u8>,
    state: State,
}

struct Reader<'a, 'b, 's> {
    cursor: &'b mut Cursor<'a>,
    out: Reading,
    mode: Mode,
    skip: u32,
    limit: usize,
    state: State,
    /// An octet that was read ahead.
    pending: Option<u8>,
    braces: u32,
    quoted_braces: u32,
    hidden: Option<Hidden>,
    scope: &'s mut dyn Scope,
}

impl Reader<'_, '_, '_> {
    fn next(&mut self) -> Option<u8> {
        self.pending.take().or_else(|| self.cursor.next())
    }

    fn bound(&mut self) {
        if self.out.text.len() > self.limit {
            self.out.text.truncate(self.limit);
            self.out.overflow = true;
            self.skip |= 1;
        }
    }

    fn step(&mut self) -> Flow {
        let octet = self.next();
        self.bound();
        let Some(octet) = octet else {
            if self.mode != Mode::Text && self.state > State::Plain {
                self.scope.complain(Complaint::UnexpectedEnd);
            }
            return Flow::Ready;
        };
        match octet {
            b'\\' if self.state != State::Single => {
                let octet = self.next();
                self.escaped(octet)
            }
            b'`' if self.state != State::Single => self.command(),
            b'"' => self.double_quote(),
            b'\'' => self.single_quote(),
            b'}' if self.closes_brace() => self.closing_brace(),
            b'#' if self.state <= State::Blank => {
                while self.next().is_some_and(|octet| octet != b'\n') {}
                Flow::Ready
            }
            b'$' if self.state != State::Single => self.dollar(),
            b' ' | b'\t' if self.state <= State::Plain => self.blank(),
            b'\n' if self.state <= State::Plain => Flow::Ready,
            other => self.literal(other),
        }
    }

    fn literal(&mut self, octet: u8) -> Flow {
        self.out.text.push(octet);
        self.begin_word();
        Flow::Go
    }

    fn begin_word(&mut self) {
        self.state = self.state.max(State::Plain);
    }

    fn blank(&mut self) -> Flow {
        if self.state == State::Plain {
            if self.mode == Mode::Value {
                return Flow::Ready;
            }
            self.state = State::Blank;
            self.out.text.push(if self.mode == Mode::Words { 0 } else { b' ' });
        }
        Flow::Go
    }

    fn closes_brace(&self) -> bool {
        (self.state <= State::Plain && self.braces > 0) || (self.state == State::Double && self.braces > self.quoted_braces)
    }

    /// The octet behind a backslash.
    fn escaped(&mut self, octet: Option<u8>) -> Flow {
        let Some(octet) = octet else {
            self.scope.complain(Complaint::UnexpectedEnd);
            return Flow::Ready;
        };
        let quoted = self.state == State::Double;
        let swallows = match octet {
            b'\n' => return Flow::Go,
            b'#' => self.state <= State::Blank,
            b' ' | b'\t' | b'\'' => !quoted,
            b'"' | b'\\' | b'$' | b'`' => true,
            b'}' if self.closes_brace() => true,
            _ => !quoted,
        };
        if !swallows {
            self.out.text.push(b'\\');
        }
        self.literal(octet)
    }

    fn double_quote(&mut self) -> Flow {
        match self.state {
            State::Single => return self.literal(b'"'),
            State::Double if self.quoted_braces < self.braces => return self.literal(b'"'),
            State::Double => self.state = State::Plain,
            _ => {
                self.quoted_braces = self.braces;
                self.state = State::Double;
            }
        }
        Flow::Go
    }

    fn single_quote(&mut self) -> Flow {
        match self.state {
            State::Double => return self.literal(b'\''),
            State::Single => self.state = State::Plain,
            _ => self.state = State::Single,
        }
        Flow::Go
    }

    fn closing_brace(&mut self) -> Flow {
        self.braces -= 1;
        if let Some(hidden) = self.hidden.take_if(|hidden| hidden.level == self.braces) {
            self.skip -= 2;
            self.out.text.truncate(hidden.place);
            self.state = hidden.state;
            self.insert(&hidden.value);
        }
        Flow::Go
    }

    /// Puts a substituted text in: split into words unless it is quoted or a single value is read.
    fn insert(&mut self, text: &[u8]) {
        if self.state == State::Double || self.mode != Mode::Words {
            self.copy(text);
            return;
        }
        for octet in text {
            if matches!(octet, b' ' | b'\t' | b'\n') {
                if self.state > State::Blank {
                    self.out.text.push(0);
                    self.state = State::Blank;
                }
            } else {
                self.out.text.push(*octet);
                self.state = State::Plain;
            }
        }
        self.bound();
    }

    fn copy(&mut self, text: &[u8]) {
        self.out.text.extend_from_slice(text);
        self.bound();
        self.begin_word();
    }

    /// A command in backquotes; the first of them was read.
    fn command(&mut self) -> Flow {
        let mut command = Vec::new();
        let mut quote_ended_it = false;
        loop {
            match self.next() {
                None | Some(b'`') => break,
                Some(b'"') if self.state == State::Double => {
                    quote_ended_it = true;
                    break;
                }
                Some(b'\\') => match self.next() {
                    None => {
                        self.scope.complain(Complaint::UnexpectedEnd);
                        break;
                    }
                    Some(b'\n') => {}
                    Some(octet) => {
                        let plain = matches!(octet, b'\\' | b'$' | b'`') || (octet == b'"' && self.state == State::Double);
                        command.extend_from_slice(if plain { b"" } else { b"\\" });
                        command.push(octet);
                    }
                },
                Some(octet) => command.push(octet),
            }
        }
        let room = self.limit.saturating_sub(self.out.text.len());
        let output = if self.skip > 0 { Vec::new() } else { self.scope.output(&command, room) };
        if self.state == State::Double {
            self.out.text.extend_from_slice(&output);
            if quote_ended_it {
                self.state = State::Plain;
            }
        } else {
            self.insert(&output);
        }
        Flow::Go
    }

    fn dollar(&mut self) -> Flow {
        match self.next() {
            None => {
                self.out.text.push(b'$');
                self.state = State::Plain;
                Flow::Ready
            }
            Some(b'@') if self.state == State::Double => {
                if self.skip == 0 {
                    self.out.all_arguments = Some(self.out.text.len());
                }
                Flow::Go
            }
            Some(b'@') => {
                self.begin_word();
                self.pending = Some(b'@');
                Flow::Go
            }
            Some(b'{') => self.braced(),
            Some(sign @ (b'$' | b'?' | b'#' | b'=')) => {
                let text = self.scope.pseudo(sign);
                self.copy(&text);
                Flow::Go
            }
            Some(sign @ (b'_' | b'-')) => {
                let text = self.scope.pseudo(sign);
                self.insert(&text);
                Flow::Go
            }
            Some(octet) => self.named(octet),
        }
    }

    fn value(&self, name: &[u8]) -> Option<Vec<u8>> {
        if self.skip > 0 { None } else { self.scope.variable(name) }
    }

    /// `$name`, `$1` or `$\name`; `first` follows the dollar sign.
    fn named(&mut self, first: u8) -> Flow {
        if first.is_ascii_digit() {
            let value = self.value(&[first]).unwrap_or_default();
            self.insert(&value);
            return Flow::Go;
        }
        let disarm = first == b'\\';
        let next = if disarm { self.next() } else { Some(first) };
        let Some(octet) = next.filter(|octet| is_name(*octet)) else {
            self.out.text.push(b'$');
            self.begin_word();
            if disarm {
                return self.escaped(next);
            }
            self.pending = next;
            return Flow::Go;
        };
        let mut name = vec![octet];
        self.pending = loop {
            match self.next() {
                Some(octet) if is_name(octet) => name.push(octet),
                other => break other,
            }
        };
        let value = self.value(&name).unwrap_or_default();
        if disarm {
            self.disarmed(&value);
        } else {
            self.insert(&value);
        }
        Flow::Go
    }

    /// The value with everything escaped that has a meaning in an expression; `()` protects its beginning.
    fn disarmed(&mut self, value: &[u8]) {
        self.out.text.extend_from_slice(b"()");
        for octet in value {
            if b"(|)*?+.^$[\\".contains(octet) {
                self.out.text.push(b'\\');
            }
            self.out.text.push(*octet);
            self.bound();
        }
        self.begin_word();
    }

    /// `${name}` and its kin; the opening brace was read.
    fn braced(&mut self) -> Flow {
        let mut name = Vec::new();
        let mut after = loop {
            match self.next() {
                Some(octet) if is_name(octet) => name.push(octet),
                other => break other,
            }
        };
        if name.len() > 1 && name[0].is_ascii_digit() {
            return self.bad_substitution(name);
        }
        let mut value = self.value(&name);
        if after == Some(b'}') {
            self.insert(&value.unwrap_or_default());
            return Flow::Go;
        }
        if after == Some(b':') {
            after = self.next();
            value = value.filter(|value| !value.is_empty());
        }
        let keep = match after {
            Some(b'-') => value.is_some(),
            Some(b'+') => value.is_none(),
            _ => return self.bad_substitution(name),
        };
        if keep && self.skip == 0 {
            self.skip += 2;
            let place = self.out.text.len();
            self.hidden = Some(Hidden { place, level: self.braces, value: value.unwrap_or_default(), state: self.state });
        }
        self.braces += 1;
        Flow::Go
    }

    fn bad_substitution(&mut self, name: Vec<u8>) -> Flow {
        self.scope.complain(Complaint::BadSubstitution(name));
        Flow::Go
    }

    fn finish(mut self) -> Reading {
        if self.state != State::Blank || self.mode != Mode::Words {
            self.out.text.push(0);
        }
        if self.out.overflow {
            self.scope.complain(Complaint::TooLong);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake(Vec<Complaint>);

    impl Scope for Fake {
        fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
            match name {
                b"A" => Some(b"val".to_vec()),
                b"TWO" => Some(b"two  words".to_vec()),
                b"E" => Some(Vec::new()),
                b"M" => Some(b"a.b*".to_vec()),
                _ => None,
            }
        }
        fn pseudo(&self, sign: u8) -> Vec<u8> {
            vec![b'<', sign, b'>']
        }
        fn output(&mut self, command: &[u8], _: usize) -> Vec<u8> {
            [b"{", command, b"}"].concat()
        }
        fn complain(&mut self, complaint: Complaint) {
            self.0.push(complaint);
        }
    }

    /// `expected`: the words joined with `|`, then what is left of the text behind a `;`.
    fn check(mode: Mode, text: &str, expected: &str) {
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        let reading = read(&mut cursor, Vec::new(), mode, false, 2048, &mut Fake::default());
        let words: Vec<_> = reading.words().into_iter().map(String::from_utf8_lossy).collect();
        assert_eq!(format!("{};{}", words.join("|"), &text[cursor.at..]), expected, "{text}");
    }

    #[test]
    fn words_are_split_as_by_a_shell() {
        check(Mode::Words, "a  'b c' \"d $A\" e\\ f\n", "a|b c|d val|e f;");
        check(Mode::Words, "$TWO \"$TWO\" x$TWO$A", "two|words|two  words|xtwo|wordsval;");
        check(Mode::Words, "$E a", "a;");
        check(Mode::Words, "", ";");
        check(Mode::Words, "a #b\nc", "a;c");
        check(Mode::Words, "a#b", "a#b;");
        check(Mode::Words, "$@", "@;");
        check(Mode::Words, "`x y`z", "{x|y}z;");
    }

    #[test]
    fn values_end_at_a_blank() {
        check(Mode::Value, "a b", "a;b");
        check(Mode::Value, "$TWO x", "two  words;x");
        check(Mode::Value, "\"a\nb\" c", "a\nb;c");
        check(Mode::Value, "a\\\nb\n", "ab;");
        check(Mode::Value, "${NO-a b}", "a;b}");
        check(Mode::Value, "${A-a b}", "a;b}");
    }

    #[test]
    fn substitutions() {
        check(Mode::Value, "\"[${A}${E-d}${E:-d}${NO-d}${A+p}${E:+p}${NO+p}]\"", "[valddp];");
        check(Mode::Value, "\"${NO:-${A}x}${A:+$A$A}\"", "valxvalval;");
        check(Mode::Value, "$\\M", "()a\\.b\\*;");
        check(Mode::Value, "$$$?$_-", "<$><?><_>-;");
        check(Mode::Value, "\"$%$ \"", "$%$ ;");
        check(Mode::Value, "\"${A%x}\"", "x};");
        check(Mode::Value, "'$A'", "$A;");
        check(Mode::Value, "\"a\\nb\\$\\\"\"", "a\\nb$\";");
        check(Mode::Value, "\"`a \\`b\\``\"", "{a `b`};");
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let mut fake = Fake::default();
        let reading = read(&mut Cursor::new(b"$A$A$A", 0), Vec::new(), Mode::Value, false, 4, &mut fake);
        assert!(reading.overflow && reading.first() == b"valv");
        assert_eq!(fake.0, [Complaint::TooLong]);
    }
}
