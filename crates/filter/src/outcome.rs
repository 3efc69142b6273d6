//! What became of a message, and why.

use std::path::PathBuf;
use std::sync::Arc;

use crate::host::{FolderKind, Purpose};
use crate::variables::Variables;

/// A place in a rule file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: Arc<[u8]>,
    /// The line, from 1.
    pub line: u32,
}

/// What kind of target took the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A folder.
    Folder(FolderKind),
    /// A program.
    Program,
    /// A mail address, by way of SENDMAIL.
    Forward,
    /// Nothing: `/dev/null`.
    Discard,
    /// The standard output.
    StandardOutput,
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The kind of target.
    pub target: Target,
    /// The file, or the command line.
    pub name: Vec<u8>,
    /// The recipe that matched; `None`: the default folder.
    pub origin: Option<Origin>,
    /// The current folder, from which a relative name starts.
    pub folder: PathBuf,
}

/// What a condition's test has shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Tested {
    /// The expression does not match.
    NotFound,
    /// The expression matches; MATCH, if it sets it.
    Found(Option<Vec<u8>>),
    /// So many matches were counted.
    Counted(u32),
    /// A program's exit code.
    Exit(i32),
    /// What was compared has this size.
    Size(usize),
    /// The condition does not fit into LINEBUF.
    TooLong,
}

/// A step of the evaluation, for the explanation.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The next event belongs to this statement.
    At(Origin),
    /// A condition was tested.
    Condition {
        /// The condition, substituted and without its prefixes.
        text: Vec<u8>,
        /// It is inverted.
        negated: bool,
        /// All conditions up to this one hold.
        matched: bool,
        /// For a weighted condition: what it added, and the score with it.
        score: Option<(f64, f64)>,
        /// What the test has shown.
        tested: Tested,
    },
    /// The conditions of a recipe were tested.
    Recipe {
        /// They hold.
        matched: bool,
    },
    /// A program was run, or would be in a dry run.
    Ran {
        /// What for.
        purpose: Purpose,
        /// Its arguments.
        arguments: Vec<Vec<u8>>,
    },
    /// A variable was assigned, or removed.
    Assigned {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Option<Vec<u8>>,
    },
    /// The message, or a part of it, was delivered.
    Delivered(Delivery),
    /// An action was carried out.
    Action {
        /// It succeeded.
        success: bool,
    },
}

/// What became of a message.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code: 0 delivered, 73 not deliverable, 75 to be tried again, or what EXITCODE says.
    pub code: i32,
    /// The message itself has a place: a recipe without `c`, or the default folder, took it. Copies alone do not count.
    pub taken: bool,
    /// Where it went, in order.
    pub deliveries: Vec<Delivery>,
    /// The variables at the end.
    pub variables: Variables,
    /// The steps, if an explanation was asked for.
    pub events: Vec<Event>,
}
