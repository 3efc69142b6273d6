//! Short work with files in the middle of a task.
//!
//! Commands read and rename files. That takes microseconds in the page cache, and then handing the runtime's thread over to
//! another one (`block_in_place`) costs more than the work. But a slow disk must not stop other sessions: so only some of
//! the runtime's threads may be busy with files at a time. Whoever comes when they all are waits for his turn, and hands over
//! his thread only when there is none for a while, because a disk is stuck. To hand it over at once would make a thread for
//! each of hundreds of sessions that come at the same time.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Threads that always stay free for everything but files.
const FREE: usize = 2;

/// Nobody waits longer for others who are busy with files.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many threads the runtime is to have: as many as can work at a time, and some to wait for the disk.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) + FREE + 4
}

/// Does work that may wait for the disk. To be called from a task of a runtime with [`threads`] threads.
pub(crate) async fn run<T>(work: impl FnOnce() -> T) -> T {
    let places = places();
    let place = match places.try_acquire() {
        Ok(place) => Some(place),
        Err(_) => tokio::time::timeout(PATIENCE, places.acquire()).await.ok().and_then(Result::ok),
    };
    if place.is_some() { work() } else { tokio::task::block_in_place(work) }
}

/// A place for each thread that may be busy with files.
fn places() -> &'static Semaphore {
    static PLACES: OnceLock<Semaphore> = OnceLock::new();
    PLACES.get_or_init(|| {
        let all = tokio::runtime::Handle::try_current().map_or(0, |handle| handle.metrics().num_workers());
        Semaphore::new(all.saturating_sub(FREE).max(1))
    })
}
