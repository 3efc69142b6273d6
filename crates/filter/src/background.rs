//! The programs that run now, and those that have ended but left something running, as procmail lets it.
//!
//! What a program leaves running goes on for what is left of its time, and no longer than this process lives. How much of it
//! there may be is bounded: the oldest goes first.

use std::io::PipeReader;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::line::Line;

#[derive(Debug)]
struct Book {
    /// The lines to the supervisors of all programs, those that left something included.
    lines: Vec<Weak<Line>>,
    left: Vec<Left>,
}

/// The supervisor of what runs on.
#[derive(Debug)]
struct Left {
    supervisor: Child,
    line: Arc<Line>,
    /// Kept open: who still writes to it would be ended by SIGPIPE.
    _errors: Option<PipeReader>,
}

static BOOK: Mutex<Book> = Mutex::new(Book { lines: Vec::new(), left: Vec::new() });

fn book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a program that begins.
pub(crate) fn begin(line: &Arc<Line>) {
    let mut book = book();
    book.left.retain_mut(|left| matches!(left.supervisor.try_wait(), Ok(None)));
    book.lines.retain(|line| line.strong_count() > 0);
    book.lines.push(Arc::downgrade(line));
}

/// Lets go on what a program has left running, and ends the oldest of what is more than `most`.
pub(crate) fn leave(supervisor: Child, line: Arc<Line>, errors: Option<PipeReader>, most: usize) {
    let mut book = book();
    book.left.push(Left { supervisor, line, _errors: errors });
    let surplus = book.left.len().saturating_sub(most);
    book.left[..surplus].iter().for_each(|left| left.line.close());
}

/// Ends all programs at once, with all that they started.
pub fn end_all() {
    book().lines.iter().filter_map(Weak::upgrade).for_each(|line| line.close());
}
