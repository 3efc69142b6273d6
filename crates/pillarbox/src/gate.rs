//! How many workers deliver at once: as many as there are processors, as long as none of them waits for something.
//!
//! More would only take turns, and wake each other for every message. But a delivery may have to wait for a program or a slow
//! disk, and must not hold up the others: whoever has been at one job for [`STUCK`] is not counted any more, and the next worker
//! comes in for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A job that takes longer waits for something. Nearly all are done in a tenth of it.
const STUCK: Duration = Duration::from_millis(10);

/// The door before the queue.
#[derive(Debug)]
pub(crate) struct Gate {
    most: usize,
    state: Mutex<State>,
    /// Wakes the first of those before the gate.
    first: Condvar,
    /// Wakes another of them, to be the first.
    others: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Workers that count.
    inside: usize,
    /// Those of them that have a job, and since when.
    begun: Vec<(usize, Instant)>,
    /// One before the gate looks whether somebody inside is stuck.
    guarded: bool,
    /// He sleeps until somebody has a job.
    sleeps: bool,
    closed: bool,
}

impl Gate {
    /// A gate for as many workers as there are processors.
    pub(crate) fn new() -> Self {
        let most = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { most, state: Mutex::default(), first: Condvar::new(), others: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. False when the gate was closed.
    pub(crate) fn enter(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.closed {
                return false;
            }
            if state.place(self.most) {
                if !state.guarded {
                    self.others.notify_one();
                }
                return true;
            }
            if state.guarded {
                state = self.others.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.guarded = true;
            state = if state.begun.is_empty() {
                state.sleeps = true;
                self.first.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.first.wait_timeout(state, STUCK).unwrap_or_else(PoisonError::into_inner).0
            };
            (state.guarded, state.sleeps) = (false, false);
        }
    }

    /// A worker inside has a job.
    pub(crate) fn begin(&self, worker: usize) {
        let mut state = self.lock();
        state.begun.push((worker, Instant::now()));
        if std::mem::take(&mut state.sleeps) {
            self.first.notify_one();
        }
    }

    /// He is done with it. True if he is still inside; otherwise another has come in for him.
    pub(crate) fn end(&self, worker: usize) -> bool {
        let mut state = self.lock();
        let at = state.begun.iter().position(|(number, _)| *number == worker);
        at.map(|at| state.begun.swap_remove(at)).is_some()
    }

    /// Nobody comes in any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.first.notify_all();
        self.others.notify_all();
    }
}

impl State {
    /// Takes a place that is free, or that of somebody who is stuck.
    fn place(&mut self, most: usize) -> bool {
        if self.inside < most {
            self.inside += 1;
            return true;
        }
        let stuck = self.begun.iter().position(|(_, since)| since.elapsed() >= STUCK);
        stuck.map(|at| self.begun.swap_remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    #[test]
    fn a_stuck_worker_lets_another_in() {
        let gate = Arc::new(Gate { most: 1, ..Gate::new() });
        assert!(gate.enter());
        gate.begin(1);
        assert!(gate.end(1), "nobody wanted the place");
        let (entered, first) = channel();
        let other = gate.clone();
        let thread = std::thread::spawn(move || {
            let inside = other.enter();
            entered.send(inside).unwrap();
        });
        assert!(first.recv_timeout(STUCK).is_err(), "a worker without a job is not stuck");
        gate.begin(1);
        assert!(first.recv().unwrap());
        assert!(!gate.end(1), "the place is the other's now");
        thread.join().unwrap();
    }

    #[test]
    fn all_leave_when_it_closes() {
        let gate = Arc::new(Gate { most: 1, ..Gate::new() });
        assert!(gate.enter());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                std::thread::spawn({
                    let gate = gate.clone();
                    move || gate.enter()
                })
            })
            .collect();
        gate.close();
        assert!(waiting.into_iter().all(|thread| !thread.join().unwrap()));
    }
}
