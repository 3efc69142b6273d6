//! The hot paths as workloads, each made ready once and then run any number of times.
//!
//! The same functions stand behind `cargo bench -p bench` (criterion: how long a path takes) and `make bench-instructions` (callgrind:
//! how many instructions it takes, which a busy machine does not change). They are [`PATHS`]; each family has a module. What they
//! write goes to a folder that the caller gives.

mod accept;
mod read;
mod store;
mod texts;

use std::path::Path;

/// What can go wrong while a workload is made ready or run: the caller only shows it.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A workload that is ready: each call does the work once.
pub type Run = Box<dyn FnMut() -> Outcome>;

/// A hot path.
#[derive(Clone, Copy, Debug)]
pub struct HotPath {
    /// Its name, as it is recorded.
    pub name: &'static str,
    /// How many runs are needed at least for a steady count of instructions.
    pub rounds: u64,
    /// Makes it ready in an empty folder.
    pub prepare: fn(&Path) -> Outcome<Run>,
}

/// All of them, in the order of a message's way.
pub const PATHS: &[HotPath] = &[
    HotPath { name: "smtp-data-64k", rounds: 20, prepare: accept::smtp_data },
    HotPath { name: "alias-lookup-100k", rounds: 200, prepare: accept::alias_lookup },
    HotPath { name: "journal-append-4k", rounds: 50, prepare: store::journal_append },
    HotPath { name: "recipes-small", rounds: 50, prepare: accept::recipes_small },
    HotPath { name: "recipes-2000", rounds: 20, prepare: accept::recipes_many },
    HotPath { name: "maildir-delivery-4k", rounds: 100, prepare: store::delivery },
    HotPath { name: "index-open-10k", rounds: 4, prepare: store::index_open },
    HotPath { name: "fetch-flags-1k", rounds: 10, prepare: read::fetch_flags },
    HotPath { name: "fetch-envelope-1k", rounds: 5, prepare: read::fetch_envelope },
    HotPath { name: "search-subject-1k", rounds: 20, prepare: store::search_subject },
    HotPath { name: "search-text-1k", rounds: 30, prepare: store::search_text },
];
