//! The procmail language: rule files are read once into a [`Program`], and an [`Evaluator`] carries them out for a message.
//!
//! The language and its corners are those of procmail 3.22. The library knows nothing of the daemon: whatever reaches the
//! outside (programs, folders, locks, the log) goes through the [`Host`] trait, of which [`FileHost`] is the standard one.
//! Start reading at [`Evaluator::filter`]; the language's own regular expressions are in `regex`, its quoting in `words`.

pub mod background;
mod cache;
pub mod check;
pub mod child;
mod condition;
pub mod confine;
mod delivery;
mod descendants;
mod dry_run;
mod eval;
mod file_host;
pub mod formail;
mod host;
mod line;
mod lockfile;
mod message;
mod outcome;
mod parse;
mod prefilter;
mod program;
mod regex;
mod supervise;
mod text;
pub mod trust;
mod variables;
mod words;

pub use cache::{Programs, read_text};
pub use dry_run::DryRun;
pub use eval::{Base, Evaluator, Request, RuleFile, calendar};
pub use file_host::FileHost;
pub use host::{Finished, Folder, FolderKind, Host, Job, Lock, NotAFolder, Place, Purpose, Text, Unreadable};
pub use message::Letter;
pub use outcome::{Delivery, Event, Origin, Outcome, Target, Tested};
pub use program::Program;
#[cfg(fuzzing)]
pub use regex::reference::disagreement;
pub use variables::Variables;
