//! Short work with files in the middle of a task.
//!
//! Commands read and rename files. That takes microseconds in the page cache, and then handing the runtime's thread over to
//! another one (`block_in_place`) costs more than the work. But a slow disk must not stop other sessions: so only some of
//! the runtime's threads may be busy with files at a time, and whoever comes when they are all taken hands over his thread.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that always stay free for everything but files.
const FREE: usize = 2;

/// How many threads do work with files now.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// How many threads the runtime is to have: as many as can work at a time, and some to wait for the disk.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) + FREE + 4
}

/// Gives the thread's place back, also when the work panics.
struct Place;

impl Drop for Place {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does work that may wait for the disk. To be called from a task of a runtime with [`threads`] threads.
pub(crate) fn run<T>(work: impl FnOnce() -> T) -> T {
    let busy = BUSY.fetch_add(1, Ordering::Relaxed);
    let _place = Place;
    if busy < threads_with_files() { work() } else { tokio::task::block_in_place(work) }
}

fn threads_with_files() -> usize {
    static MOST: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *MOST.get_or_init(|| {
        let all = tokio::runtime::Handle::try_current().map_or(0, |handle| handle.metrics().num_workers());
        all.saturating_sub(FREE)
    })
}
