//! What is left of a command that was refused before it was complete: read, forgotten, and then answered.

use memchr::memchr;

use crate::core::{Core, Progress, Task};
use crate::frame::{Input, announcement};
use crate::reply::Reply;

/// A literal may be so many times as long as the longest message; a longer one ends the session instead.
const FACTOR: u64 = 4;

/// How much of a line is kept to see whether it announces a literal: its digits and what is around them.
const TAIL: usize = 40;

/// The rest of a refused command.
pub(crate) struct Swallow {
    /// Octets of the present literal that are still to come.
    left: u64,
    tail: Vec<u8>,
    reply: Reply,
}

impl Swallow {
    /// Forgets `size` octets, the rest of the line behind them, and what follows it.
    pub(crate) fn literal(size: u64, reply: Reply) -> Self {
        Self { left: size, tail: Vec::new(), reply }
    }
}

impl Task for Swallow {
    fn run(&mut self, core: &mut Core, input: &mut Input) -> Progress {
        loop {
            if self.left > core.settings.limits.max_message_size.0.saturating_mul(FACTOR) {
                core.bye("Literal too long");
                return Progress::Done(self.reply.clone());
            }
            let here = input.front().len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            input.consume(here);
            self.left -= here as u64;
            if self.left > 0 || input.front().is_empty() {
                return Progress::Starved;
            }
            let end = memchr(b'\n', input.front());
            let piece = end.map_or(input.front().len(), |at| at + 1);
            self.tail.extend_from_slice(&input.front()[piece.saturating_sub(TAIL)..piece]);
            self.tail.drain(..self.tail.len().saturating_sub(TAIL));
            input.consume(piece);
            if end.is_none() {
                return Progress::Starved;
            }
            match announcement(&std::mem::take(&mut self.tail)) {
                Some(literal) if !literal.waits => self.left = literal.size,
                _ => return Progress::Done(self.reply.clone()),
            }
        }
    }
}
