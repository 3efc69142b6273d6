//! Changes a table in place: his comments, order, owner and mode stay. Written as temporary file, sync and rename under
//! a lock, so that a reader sees the old file or the new one.

mod file;
mod text;

use std::io;

use crate::maps::table_path;

pub use file::read_file;
pub use text::Entry;

/// Why a map could not be listed or changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The map is of a kind that is edited by hand, or is not known.
    #[error("{map}: {message}")]
    Kind {
        /// The map as it was named.
        map: String,
        /// What to do instead.
        message: String,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is not UTF-8.
    #[error("{0} is not UTF-8; edit it by hand")]
    NotText(String),
    /// The key cannot stand in a table.
    #[error("{key} cannot be a key: {message}")]
    Key {
        /// The key as it was given.
        key: String,
        /// Why.
        message: String,
    },
    /// The target is no address.
    #[error("{0} is no single mail address")]
    Target(String),
    /// There is no line with this key.
    #[error("there is no line for {0}")]
    NoKey(String),
    /// The line does not have this target.
    #[error("the line for {key} does not name {target}")]
    NoTarget {
        /// The line's key.
        key: String,
        /// The target that was to go.
        target: String,
    },
    /// The line's value is more than a list of words.
    #[error("the line for {0} has quotes, comments or names in it; edit it by hand")]
    Complicated(String),
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Everything was as asked for already.
    Nothing,
    /// A line was changed; its number, from 1.
    Changed(u32),
    /// A line was added; its number, from 1.
    Added(u32),
    /// A line was taken out; the number it had, from 1.
    Removed(u32),
}

/// The lines of a table, in the order of the file. `map` is named as in the configuration.
///
/// # Errors
/// [`EditError`]
pub fn list(map: &str) -> Result<Vec<Entry>, EditError> {
    let path = path_of(map)?;
    Ok(text::entries(&file::read_text(path)?))
}

/// Adds targets to a key's line, or a new line at the end of the file. Targets that are there already are left alone.
/// A file that does not exist is made.
///
/// # Errors
/// [`EditError`]; the file is then as it was.
pub fn add(map: &str, key: &str, targets: &[String]) -> Result<Change, EditError> {
    file::change(path_of(map)?, true, |old| text::add(old, key, targets))
}

/// Takes targets off a key's line, or the whole line if no target is named or none would be left.
///
/// # Errors
/// [`EditError`]; the file is then as it was.
pub fn remove(map: &str, key: &str, targets: &[String]) -> Result<Change, EditError> {
    file::change(path_of(map)?, false, |old| text::remove(old, key, targets))
}

fn path_of(map: &str) -> Result<&str, EditError> {
    table_path(map).map_err(|message| EditError::Kind { map: map.to_owned(), message })
}
