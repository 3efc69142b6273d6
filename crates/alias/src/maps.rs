//! Several maps in the order in which they are searched.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use crate::fold;
use crate::problem::{Problem, Severity};
use crate::rules::{Dialect, Rules};
use crate::table::Table;

/// One map with its name in the configuration.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Table(Table),
    Rules(Rules),
}

/// What a look-up found, and where.
#[derive(Debug)]
pub(crate) struct Found<'m> {
    pub(crate) value: Cow<'m, str>,
    pub(crate) map: &'m Arc<str>,
    pub(crate) line: u32,
}

/// All maps.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    pub(crate) maps: Vec<Map>,
}

/// Which maps take part in a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them: the key is a full address or a domain.
    All,
    /// Tables only: patterns never see a part of an address.
    Tables,
}

impl Maps {
    /// Reads all maps; `read` gives a file's octets. What cannot be used is reported and left out.
    pub(crate) fn load(names: &[String], max_size: u64, read: &dyn Fn(&str) -> io::Result<Vec<u8>>, problems: &mut Vec<Problem>) -> Self {
        let mut maps = Self::default();
        for name in names {
            match Kind::load(name, max_size, read, problems) {
                Ok(kind) => maps.maps.push(Map { name: name.as_str().into(), kind }),
                Err(message) => problems.push(Problem::new(Severity::Error, name, 0, "", message)),
            }
        }
        maps
    }

    /// The first result for a key in quoted form. `buffer` is scratch space, so that look-ups need no memory of their own.
    pub(crate) fn find(&self, quoted: &str, scope: Scope, buffer: &mut String) -> Option<Found<'_>> {
        if quoted.is_empty() {
            return None;
        }
        buffer.clear();
        fold::key_into(buffer, quoted);
        self.maps.iter().find_map(|map| {
            let (value, line) = match &map.kind {
                Kind::Table(table) => table.find(buffer).map(|line| (Cow::Borrowed(line.value), line.number))?,
                Kind::Rules(rules) if scope == Scope::All => rules.find(quoted).map(|(value, line)| (Cow::Owned(value), line))?,
                Kind::Rules(_) => return None,
            };
            Some(Found { value, map: &map.name, line })
        })
    }

    /// Whether a domain is a key.
    pub(crate) fn has_domain(&self, domain: &str) -> bool {
        let folded = fold::fold(domain);
        let key = fold::domain(domain);
        self.maps.iter().any(|map| match &map.kind {
            Kind::Table(table) => table.find(&key).is_some(),
            Kind::Rules(rules) => rules.find(&folded).is_some(),
        })
    }

    /// The tables among the maps, with their names.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&Arc<str>, &Table)> {
        self.maps.iter().filter_map(|map| match &map.kind {
            Kind::Table(table) => Some((&map.name, table)),
            Kind::Rules(_) => None,
        })
    }
}

/// The kinds of maps. All table kinds are read as text: what Postfix compiles with postmap has its source beside it.
enum Form {
    Table,
    Rules(Dialect),
}

/// Splits a map's name into its form and its path; a name without a kind is a table.
fn form(name: &str) -> Result<(Form, &str), String> {
    let Some((kind, path)) = name.split_once(':').filter(|(kind, _)| !kind.contains('/')) else { return Ok((Form::Table, name)) };
    match kind {
        "hash" | "texthash" | "btree" | "cdb" | "dbm" | "lmdb" => Ok((Form::Table, path)),
        "regexp" => Ok((Form::Rules(Dialect::Posix), path)),
        "pcre" => Ok((Form::Rules(Dialect::Perl), path)),
        _ => Err(format!("maps of the kind {kind} cannot be read; use hash, texthash, regexp or pcre")),
    }
}

/// The path of a map that consists of keys and values, which can be edited line by line.
pub(crate) fn table_path(name: &str) -> Result<&str, String> {
    match form(name)? {
        (Form::Table, path) => Ok(path),
        (Form::Rules(_), _) => Err("a map of patterns has no line for one address; edit it by hand".to_owned()),
    }
}

/// The path of a map's file, without the kind before it.
#[must_use]
pub fn path(name: &str) -> &str {
    form(name).map_or(name, |(_, path)| path)
}

impl Kind {
    fn load(name: &str, max_size: u64, read: &dyn Fn(&str) -> io::Result<Vec<u8>>, problems: &mut Vec<Problem>) -> Result<Self, String> {
        let (form, path) = form(name)?;
        let file = read(path).map_err(|error| format!("cannot read the file: {error}"))?;
        if file.len() as u64 > max_size {
            return Err(format!("the file is longer than alias.max_map_size, {max_size} octets"));
        }
        Ok(match form {
            Form::Table => Self::Table(Table::parse(name, &file, problems)),
            Form::Rules(dialect) => Self::Rules(Rules::parse(name, &file, dialect, problems)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        let read = |path: &str| match path {
            "virtual" => Ok(b"a@x joe\n".to_vec()),
            "big" => Ok(vec![b'x'; 100]),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let names = ["hash:virtual", "virtual", "mysql:x", "hash:gone", "regexp:big"].map(str::to_owned);
        let mut problems = Vec::new();
        let maps = Maps::load(&names, 50, &read, &mut problems);
        assert_eq!(maps.maps.len(), 2);
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(shown[0].starts_with("mysql:x: error: maps of the kind mysql"), "{}", shown[0]);
        assert!(shown[1].starts_with("hash:gone: error: cannot read the file"), "{}", shown[1]);
        assert!(shown[2].starts_with("regexp:big: error: the file is longer"), "{}", shown[2]);
    }
}
