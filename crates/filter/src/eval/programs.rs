//! Programs: how a command line becomes one, what it reads, and what its end means.

use std::time::Duration;

use super::Evaluator;
use crate::host::{Finished, Job, Purpose};
use crate::outcome::Event;
use crate::text::holds_any;
use crate::words::{Mode, Reading};

/// A command that is ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) arguments: Vec<Vec<u8>>,
    /// It is run by a shell.
    pub(crate) shell: bool,
    /// What the log calls it when it fails: the whole line for a shell, else the first word.
    pub(crate) first: Vec<u8>,
    words: Vec<Vec<u8>>,
}

impl Command {
    /// The words with blanks between them, as LASTFOLDER shows them.
    pub(crate) fn joined(&self) -> Vec<u8> {
        self.words.join(&b' ')
    }

    /// The command is a lone pipe sign: the message goes to the standard output.
    pub(crate) fn is_empty(&self) -> bool {
        !self.shell && self.words.len() == 1 && self.first.is_empty()
    }
}

/// A program could not take its input, and that was not to be ignored.
pub(super) const INPUT_REFUSED: i32 = 74;
/// A filter was ended before its exit code was known.
pub(super) const ENDED: i32 = 69;

impl Evaluator<'_> {
    /// Makes a command of a line: a shell's if it holds one of SHELLMETAS, else words.
    pub(super) fn command(&mut self, line: &[u8]) -> Command {
        let line = crate::text::until_nul(line);
        if !holds_any(line, &self.state.settings.shell_metas) {
            let reading = self.read_text(line, Mode::Words);
            // The shell has its own idea of `test`, and so has what did not fit.
            if !reading.overflow && reading.first() != b"test" {
                return self.command_of(&reading);
            }
        }
        let shell = self.state.variables.text(b"SHELL").to_vec();
        let arguments = vec![shell, self.state.settings.shell_flags.to_vec(), line.to_vec()];
        Command { arguments, shell: true, first: line.to_vec(), words: vec![line.to_vec()] }
    }

    /// A command of words, with `"$@"` replaced by the arguments.
    pub(super) fn command_of(&mut self, reading: &Reading) -> Command {
        let words: Vec<Vec<u8>> = reading.words().into_iter().map(<[u8]>::to_vec).collect();
        let mut arguments = Vec::with_capacity(words.len());
        let mut end = 0;
        for word in &words {
            end += word.len();
            if reading.all_arguments == Some(end) && !self.state.arguments.is_empty() {
                arguments.extend(self.state.arguments.iter().cloned());
            } else {
                arguments.push(word.clone());
            }
            end += 1;
        }
        Command { first: words.first().cloned().unwrap_or_default(), arguments, shell: false, words }
    }

    /// Runs a command with `source` and, unless the recipe is raw, an empty line at its end.
    pub(super) fn run_command(&mut self, command: &Command, source: &[u8], purpose: Purpose, keep: Option<usize>) -> Finished {
        if self.state.settings.verbose {
            let shown = if command.shell { command.first.clone() } else { command.arguments.join(&b',') };
            self.notice_quoted("Executing", &shown);
        }
        self.event(|| Event::Ran { purpose, arguments: command.arguments.clone() });
        let ending: &[u8] = if self.state.raw || source.ends_with(b"\n\n") { b"" } else { b"\n" };
        self.state.written = source.len() + ending.len();
        let seconds = u64::try_from(self.state.settings.timeout).unwrap_or(0);
        let own = Duration::from_secs(seconds);
        let limit = self.limits.child_time_limit;
        let job = Job {
            purpose,
            origin: self.here.as_ref(),
            arguments: &command.arguments,
            environment: &self.state.variables,
            folder: &self.state.folder,
            umask: self.state.umask,
            input: &[source, ending],
            keep,
            time_limit: if own.is_zero() { limit } else { own.min(limit) },
        };
        let finished = self.host.run(&job);
        if finished.timed_out {
            self.notice_quoted("Timeout, terminating", &command.first);
        }
        finished
    }

    /// The output of a command in backquotes.
    pub(super) fn command_output(&mut self, line: &[u8], longest: usize) -> Vec<u8> {
        let command = self.command(line);
        self.state.joined = false;
        let message = std::sync::Arc::clone(&self.state.message);
        let written = self.state.written;
        let finished = self.run_command(&command, message.text(), Purpose::Substitute, Some(longest));
        self.state.written = written;
        // procmail's own child passes the code on, of which eight bits remain.
        self.state.exit_code = if finished.timed_out { ENDED } else { finished.status & 0xff };
        let mut output = crate::text::until_nul(&finished.output).to_vec();
        if finished.cut {
            self.notice_quoted("Excessive output quenched from", &command.first);
            self.set(b"PROCMAIL_OVERFLOW", b"yes");
        }
        while output.last() == Some(&b'\n') {
            output.pop();
        }
        output
    }

    /// The exit code of a program that is run as a condition.
    pub(super) fn run_condition(&mut self, command: &Command, input: &[u8]) -> i32 {
        let finished = self.run_command(command, input, Purpose::Condition, None);
        self.state.exit_code = finished.status;
        if finished.status != 0 && self.state.settings.verbose {
            self.report_failure(&command.first, finished.status, true);
        }
        finished.status
    }

    pub(super) fn report_failure(&mut self, name: &[u8], status: i32, quiet: bool) {
        let text = if quiet { format!("Non-zero exitcode ({status}) from") } else { format!("Program failure ({status}) of") };
        self.notice_quoted(&text, name);
    }
}
