//! End to end: the real daemon against real clients and peers. Each module is a scenario; `harness` starts instances on
//! free ports in temporary folders. A scenario whose program is missing says so and is counted as skipped by `make test`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that fails shall say where, and says what it skips"
)]

mod badinput;
mod confined;
mod crash;
mod docs;
mod dovecot;
mod edges;
mod hardships;
mod harness;
mod mbsync;
mod readers;
mod rules;
mod serving;
mod setup;
mod talk;
mod terminal;
