//! What is wrong with a map, said in a way that its owner can act on.

use std::fmt;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The map works, but probably not as its owner thinks.
    Warning,
    /// A line cannot be used, a file cannot be read, or lines lead in a circle: the last good state should stay in force.
    Error,
}

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The map as it is named in the configuration, such as `hash:/etc/postfix/virtual`.
    pub map: String,
    /// Line, from 1; 0 if the whole file is meant.
    pub line: u32,
    /// The line's text, cut at 120 characters.
    pub text: String,
    /// What is wrong.
    pub message: String,
}

/// How much of a line is quoted.
const QUOTED: usize = 120;

impl Problem {
    pub(crate) fn new(severity: Severity, map: &str, line: u32, text: &str, message: impl Into<String>) -> Self {
        let mut quoted: String = text.trim_end().chars().take(QUOTED).collect();
        if quoted.len() < text.trim_end().len() {
            quoted.push('…');
        }
        Self { severity, map: map.to_owned(), line, text: quoted, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.map)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, ": {severity}: {}", self.message)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}
