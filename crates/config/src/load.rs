//! From the file's text to a [`Config`], with all that is wrong in one pass.

use std::fmt;
use std::ops::Range;

use toml_edit::{Document, Item, Table};

use crate::section::{Key, Section};

/// One thing that is wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Lists the sections once: the struct, its reading, its documentation.
macro_rules! config {
    ($($field:ident : $type:ty),* $(,)?) => {
        /// The whole configuration.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {
            $( #[doc = concat!("The table `", stringify!($field), "`.")] pub $field: $type, )*
        }

        impl Config {
            fn read_table(&mut self, name: &str, table: &Table, reader: &mut Reader<'_>) -> bool {
                match name {
                    $( <$type as Section>::TABLE => reader.fill(&mut self.$field, table), )*
                    _ => return false,
                }
                true
            }

            /// Every section: its name, documentation, keys, and the values it has here.
            #[must_use]
            pub fn sections(&self) -> Vec<Described> {
                vec![$( Described {
                    table: <$type as Section>::TABLE,
                    doc: <$type as Section>::DOC,
                    keys: <$type as Section>::keys(),
                    values: self.$field.show(),
                } ),*]
            }
        }
    };
}

config! {
    server: crate::Server,
    alias: crate::Alias,
    auth: crate::Auth,
    imap: crate::Imap,
    smtp: crate::Smtp,
    filter: crate::Filter,
    journal: crate::Journal,
    queue: crate::Queue,
    maildir: crate::Maildir,
    mailbox: crate::Mailbox,
}

/// A section with its documentation and values, for samples and listings.
#[derive(Clone, Debug)]
pub struct Described {
    /// The table's name.
    pub table: &'static str,
    /// The lines of its documentation.
    pub doc: &'static [&'static str],
    /// Its keys.
    pub keys: Vec<Key>,
    /// The value of each key as TOML.
    pub values: Vec<String>,
}

impl Config {
    /// Reads a configuration file's text; keys that are left out have their defaults.
    ///
    /// # Errors
    /// Every problem of the file, in the order of their places.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader { file, text, problems: Vec::new() };
        let mut config = Self::default();
        match Document::parse(text) {
            Err(error) => reader.report(error.span(), error.message().to_owned()),
            Ok(document) => config.read_document(&document, &mut reader),
        }
        reader.problems.sort_by_key(|p| (p.line, p.column));
        if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
    }

    fn read_document(&mut self, document: &Document<&str>, reader: &mut Reader<'_>) {
        let names: Vec<_> = self.sections().iter().map(|s| s.table).collect();
        for (name, item) in document.iter() {
            let span = document.key(name).and_then(toml_edit::Key::span);
            match item {
                Item::Table(table) if self.read_table(name, table, reader) => {}
                Item::Table(_) => reader.report(span, format!("there is no section [{name}]{}", nearest(name, &names))),
                _ => reader.report(span, format!("{name} stands outside of a section; sections begin with a line such as [server]")),
            }
        }
    }
}

/// Where we are while reading, and what was found to be wrong so far.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn fill<S: Section>(&mut self, section: &mut S, table: &Table) {
        for (key, item) in table {
            let key_span = table.key(key).and_then(toml_edit::Key::span);
            match section.set(key, item) {
                Some(Ok(())) => {}
                Some(Err(expected)) => self.report(item.span().or(key_span), format!("{}.{key}: {expected}", S::TABLE)),
                None => {
                    let keys = S::keys();
                    let names: Vec<_> = keys.iter().map(|k| k.name).collect();
                    self.report(key_span, format!("[{}] has no key {key}{}", S::TABLE, nearest(key, &names)));
                }
            }
        }
    }

    fn report(&mut self, span: Option<Range<usize>>, message: String) {
        let before = self.text.get(..span.map_or(0, |s| s.start)).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        });
    }
}

/// `; did you mean X?` for the most similar name, if one is similar at all.
fn nearest(name: &str, names: &[&str]) -> String {
    let best = names.iter().map(|n| (strsim::jaro_winkler(name, n), n)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((similarity, n)) if similarity > 0.7 => format!("; did you mean {n}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Config::parse("p.toml", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(Config::parse("p.toml", "").unwrap(), Config::default());
    }

    #[test]
    fn all_errors_come_in_one_pass_with_their_places() {
        let found = problems("[server]\nhostnam = \"a\"\n  smtp = 25\n\n[sevrer]\nx = 1\n");
        assert_eq!(found[0], "p.toml:2:1: [server] has no key hostnam; did you mean hostname?");
        assert!(found[1].starts_with("p.toml:3:10: server.smtp: expected a list such as [\"127.0.0.1:25\""), "{}", found[1]);
        assert_eq!(found[2], "p.toml:5:2: there is no section [sevrer]; did you mean server?");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_syntax_error_has_a_place() {
        assert!(problems("[server]\nhostname = \n")[0].starts_with("p.toml:2:"));
    }
}
