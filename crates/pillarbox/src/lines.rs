//! Lines on their way to a thread that writes them, gathered for a moment: a busy server wakes the writer seldom.

use std::fmt::{Arguments, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many octets of lines may wait for the writer.
const MOST: usize = 16 << 20;

/// How long the first line waits for others.
const GATHER: Duration = Duration::from_millis(10);

/// Lines that wait.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Mutex<Waiting>,
    stirred: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    text: String,
    closed: bool,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line; false if too many wait, so that it is lost. After [`Lines::close`] it is not wanted.
    pub(crate) fn add(&self, line: Arguments<'_>) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return true;
        }
        if waiting.text.len() > MOST {
            return false;
        }
        if waiting.text.is_empty() {
            self.stirred.notify_one();
        }
        // Writing to a String cannot fail.
        waiting.text.write_fmt(line).is_ok()
    }

    /// Waits for lines and gives those that gathered; `None` when no more come.
    pub(crate) fn take(&self) -> Option<String> {
        let waiting = self.stirred.wait_while(self.lock(), |waiting| waiting.text.is_empty() && !waiting.closed);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let gathered = self.stirred.wait_timeout_while(waiting, GATHER, |waiting| !waiting.closed);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut waiting.text)).filter(|text| !text.is_empty())
    }

    /// Takes no more; what waits is still given.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.stirred.notify_one();
    }
}
