//! End to end: the real daemon against real clients and peers. Each module is a scenario; `harness` starts instances on
//! free ports in temporary folders. A scenario whose program is missing says so and is counted as skipped by `make test`.

mod edges;
mod harness;
