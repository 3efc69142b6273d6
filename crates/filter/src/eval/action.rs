//! The action of a recipe: forward, pipe, filter, capture, block or folder.

use std::sync::Arc;

use super::programs::{Command, ENDED, INPUT_REFUSED};
use super::{End, Evaluator, Flow};
use crate::host::{Finished, Purpose};
use crate::message::{Message, skip_from_line};
use crate::outcome::{Event, Target};
use crate::program::{Action, Flags, Head, Phrase, Program, Recipe};
use crate::words::{Mode, Reading};

/// Whether and how the exit code of a program counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait {
    counts: bool,
    quiet: bool,
}

impl Wait {
    fn of(flags: Flags) -> Self {
        Self { counts: flags.has(b'w') || flags.has(b'W'), quiet: flags.has(b'W') }
    }
}

/// The part of the message that is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Header,
    Body,
}

impl Part {
    pub(super) fn of(flags: Flags) -> Self {
        match (flags.has(b'h'), flags.has(b'b')) {
            (true, false) => Self::Header,
            (false, true) => Self::Body,
            _ => Self::Whole,
        }
    }

    /// Where it begins in the message, and the text.
    pub(super) fn of_message(self, message: &Message) -> (usize, &[u8]) {
        match self {
            Self::Whole => (0, message.text()),
            Self::Header => (0, message.header()),
            Self::Body => (message.header().len(), message.body()),
        }
    }
}

impl Evaluator<'_> {
    /// Carries the action out if the recipe matched; otherwise passes over it.
    pub(super) fn act(&mut self, program: &Arc<Program>, recipe: &Recipe, head: &Head, flags: Flags, matched: bool) -> Flow {
        if matched {
            self.state.joined = false;
        }
        let mut flags = flags;
        let filtered = recipe.action.ignores_filter() && flags.has(b'f');
        if filtered {
            self.notice("Extraneous filter-flag ignored\n");
            flags.clear(b'f');
        }
        match &recipe.action {
            Action::Forward(variable, phrase) if matched => self.forward(program, variable.as_deref(), phrase, head, flags),
            Action::Forward(_, phrase) => self.pass_over(phrase),
            Action::Pipe(variable, text) => self.pipe(variable.as_deref(), text, head, flags, matched),
            Action::Block => self.block(program, recipe, head, flags, matched),
            Action::Folder(prefix, phrase) => {
                if !matched {
                    return self.pass_over(phrase);
                }
                let reading = self.phrase(program, phrase, prefix, Mode::Words);
                if reading.overflow {
                    return self.failed();
                }
                let part = if filtered { Part::Whole } else { Part::of(flags) };
                self.folder_action(&reading, head, flags, part)
            }
            Action::End => {
                self.notice("Incomplete recipe\n");
                Flow::Next
            }
            Action::Missing => Flow::Next,
        }
    }

    fn pass_over(&mut self, phrase: &Phrase) -> Flow {
        self.skip_phrase(phrase);
        Flow::Next
    }

    fn failed(&mut self) -> Flow {
        self.settle(false);
        Flow::Next
    }

    /// What is true after each action.
    fn settle(&mut self, success: bool) {
        self.state.raw = false;
        self.state.chain.success = success;
        self.event(|| Event::Action { success });
    }

    /// After a delivery: the end, or with `c` the next statement.
    pub(super) fn delivered(&mut self, success: bool, flags: Flags) -> Flow {
        if success && !flags.has(b'c') {
            self.event(|| Event::Action { success });
            return Flow::End(End::Delivered);
        }
        if success && self.state.settings.log_abstract == 2 {
            let folder = self.state.variables.text(b"LASTFOLDER").to_vec();
            self.log_abstract(&folder);
        }
        self.settle(success);
        Flow::Next
    }

    fn forward(&mut self, program: &Program, variable: Option<&[u8]>, phrase: &Phrase, head: &Head, flags: Flags) -> Flow {
        let mut words = vec![self.state.settings.sendmail.to_vec()];
        let sendmail_flags = &self.state.settings.sendmail_flags;
        words.extend(sendmail_flags.split(|octet| b" \t\n".contains(octet)).filter(|word| !word.is_empty()).map(<[u8]>::to_vec));
        let mut start = words.join(&0);
        start.push(0);
        let mut reading = self.phrase(program, phrase, &start, Mode::Words);
        if phrase.fixed.is_some() {
            reading.text.splice(..0, start);
        }
        if reading.overflow {
            return self.failed();
        }
        let command = self.command_of(&reading);
        let message = Arc::clone(&self.state.message);
        let part = Part::of(flags);
        let (_, source) = part.of_message(&message);
        let source = if part == Part::Body { source } else { skip_from_line(source) };
        self.hand_over(&command, variable, source, head, flags, Target::Forward)
    }

    fn pipe(&mut self, variable: Option<&[u8]>, text: &[u8], head: &Head, flags: Flags, matched: bool) -> Flow {
        if text.len() >= self.state.settings.line_buffer {
            self.too_long();
            return Flow::Next;
        }
        if !matched {
            return Flow::Next;
        }
        let command = self.command(text);
        if command.is_empty() {
            let reading = Reading { text: b"|\0".to_vec(), ..Reading::default() };
            return self.folder_action(&reading, head, flags, Part::of(flags));
        }
        let message = Arc::clone(&self.state.message);
        let (_, source) = Part::of(flags).of_message(&message);
        self.hand_over(&command, variable, source, head, flags, Target::Program)
    }

    /// Runs the command of a forward or pipe with the message, as filter, capture or delivery.
    fn hand_over(&mut self, command: &Command, variable: Option<&[u8]>, source: &[u8], head: &Head, flags: Flags, target: Target) -> Flow {
        let mut wait = Wait::of(flags);
        if head.lock {
            let file = if head.lock_name.is_none() { self.implicit_lock(command) } else { Vec::new() };
            self.take_local_lock(head.lock_name.as_deref(), &file);
            if !wait.counts {
                wait = Wait { counts: true, quiet: true };
            }
        }
        self.state.raw = flags.has(b'r');
        let filters = flags.has(b'f');
        if flags.has(b'c') && (filters || variable.is_some()) {
            self.notice("Extraneous copy-flag ignored\n");
        }
        let ignore_refusal = flags.has(b'i');
        if filters {
            let success = self.filter_through(command, source, flags, wait);
            self.settle(success);
        } else if let Some(variable) = variable {
            let success = self.capture(command, variable, source, ignore_refusal, wait);
            self.settle(success);
        } else {
            let success = self.deliver_to_program(command, source, ignore_refusal, wait);
            if success {
                self.note_delivery(target, command.joined());
            }
            return self.delivered(success, flags);
        }
        Flow::Next
    }

    /// The file behind the first `>>` of a command.
    fn implicit_lock(&mut self, command: &Command) -> Vec<u8> {
        let found = memchr::memmem::find(&command.first, b">>").map(|at| crate::text::skip_blanks(&command.first[at + 2..]));
        let name = found.map(|rest| {
            let end = rest.iter().position(|octet| b" \t\n#`'\");".contains(octet)).unwrap_or(rest.len());
            rest[..end].to_vec()
        });
        let mut name = name.unwrap_or_default();
        if command.shell && !name.is_empty() {
            let reading = self.read_text(&name, Mode::Words);
            name = if reading.overflow { Vec::new() } else { reading.first().to_vec() };
        }
        if name.is_empty() {
            self.notice_quoted("Couldn't determine implicit lockfile from", &command.first);
        }
        name
    }

    fn deliver_to_program(&mut self, command: &Command, source: &[u8], ignore_refusal: bool, wait: Wait) -> bool {
        let finished = self.run_command(command, source, Purpose::Deliver, None);
        let mut success = true;
        if finished.refused_input && !ignore_refusal {
            self.notice_quoted("Error while writing to", &command.first);
            success = false;
        }
        if wait.counts {
            self.state.exit_code = finished.status;
            if finished.status != 0 {
                if !wait.quiet || self.state.settings.verbose {
                    self.report_failure(&command.first, finished.status, wait.quiet);
                }
                success = false;
            }
        }
        let line = command.line();
        self.set(b"LASTFOLDER", &line);
        success
    }

    /// Whether a program that gives something back has failed, as the log is told; the exit code is then kept.
    fn rescue(&mut self, command: &Command, finished: &Finished, ignore_refusal: bool, wait: Wait, has_old: bool) -> bool {
        let mut silent = false;
        let code = if finished.timed_out {
            ENDED
        } else if finished.refused_input && !ignore_refusal {
            self.notice_quoted("Error while writing to", &command.first);
            INPUT_REFUSED
        } else if finished.cut {
            self.notice_quoted("Excessive output quenched from", &command.first);
            ENDED
        } else if wait.counts && finished.status != 0 {
            silent = wait.quiet;
            if !wait.quiet || self.state.settings.verbose {
                self.report_failure(&command.first, finished.status, wait.quiet);
            }
            finished.status & 0xff
        } else {
            if wait.counts {
                self.state.exit_code = 0;
                self.state.filter_code = 0;
            }
            return false;
        };
        if has_old && (!silent || self.state.settings.verbose) {
            self.notice("Rescue of unfiltered data succeeded\n");
        }
        self.state.exit_code = code;
        self.state.filter_code = code;
        true
    }

    /// Replaces the message, or its header or body, by what the command makes of it. If the command fails, nothing changes.
    fn filter_through(&mut self, command: &Command, source: &[u8], flags: Flags, wait: Wait) -> bool {
        let keep = self.limits.max_child_output.octets();
        let written = self.state.written;
        let finished = self.run_command(command, source, Purpose::Filter, Some(keep));
        self.state.written = written;
        if !self.rescue(command, &finished, flags.has(b'i'), wait, true) {
            self.replace(flags, finished.output);
        } else if source.is_empty() && !self.state.raw {
            // Nothing is rescued with the newline that was added to it.
            self.replace(flags, b"\n".to_vec());
        }
        self.state.filter_code == 0
    }

    /// Puts another text in the place of the message, its header or its body.
    fn replace(&mut self, flags: Flags, text: Vec<u8>) {
        let old = &self.state.message;
        let berkeley = self.request.berkeley;
        let new = match Part::of(flags) {
            Part::Header => {
                let mut whole = text;
                whole.extend_from_slice(old.body());
                Message::new(whole.into(), berkeley)
            }
            Part::Body if !old.header().is_empty() => old.with_body(&text),
            Part::Whole | Part::Body => Message::new(text.into(), berkeley),
        };
        self.state.message = Arc::new(new);
        self.candidates = Default::default();
    }

    /// Puts what the command writes into a variable.
    fn capture(&mut self, command: &Command, variable: &[u8], source: &[u8], ignore_refusal: bool, wait: Wait) -> bool {
        let keep = self.limits.max_line_buffer.octets();
        let old = self.state.variables.get(variable).map(<[u8]>::to_vec);
        let written = self.state.written;
        self.yell("Assigning", &[variable, b"="].concat());
        let finished = self.run_command(command, source, Purpose::Capture, Some(keep));
        self.state.written = written;
        let failed = self.rescue(command, &finished, ignore_refusal, wait, old.is_some());
        let mut value = if failed { old.clone().unwrap_or_default() } else { crate::text::until_nul(&finished.output).to_vec() };
        if value.last() == Some(&b'\n') {
            value.pop();
        }
        if failed && old.is_none() {
            self.state.variables.remove(variable);
        } else {
            self.state.variables.set(variable, value.clone());
        }
        let success = self.state.filter_code == 0;
        if success {
            self.event(|| Event::Assigned { name: variable.to_vec(), value: Some(value.clone()) });
            // A HOST caught from a program ends nothing: procmail looks at it when the next file begins.
            let _ = self.take_effect(variable, &value);
        }
        success
    }

    pub(super) fn extraneous_block_flags(&mut self, head: &Head) {
        if head.lock && !head.flags.has(b'c') {
            self.notice("Extraneous locallockfile ignored\n");
        }
        for (letter, name) in [(b'b', "deliver-body"), (b'h', "deliver-head"), (b'i', "ignore-write-error"), (b'r', "raw-mode")] {
            if head.flags.has(letter) {
                self.notice(&format!("Extraneous {name} flag ignored\n"));
            }
        }
    }

    /// A block: entered, cloned into, or passed over.
    fn block(&mut self, program: &Program, recipe: &Recipe, head: &Head, flags: Flags, matched: bool) -> Flow {
        self.extraneous_block_flags(head);
        if !matched {
            self.skip_block(program, recipe);
            return Flow::Next;
        }
        let mut wait = Wait::of(flags);
        if head.lock {
            self.take_local_lock(head.lock_name.as_deref(), b"");
            if !wait.counts {
                wait = Wait { counts: true, quiet: true };
            }
        }
        if self.state.blocks.len() >= self.limits.max_nesting as usize {
            self.notice("Blocks nested too deeply, block skipped\n");
            self.skip_block(program, recipe);
            return self.failed();
        }
        if flags.has(b'c') {
            return self.clone_into(program, recipe, wait);
        }
        self.state.blocks.push(self.state.chain);
        self.settle(true);
        Flow::Next
    }

    /// Lets a clone carry out the block and all behind it, then goes on behind the block.
    fn clone_into(&mut self, program: &Program, recipe: &Recipe, wait: Wait) -> Flow {
        self.yell("Forking", b"procmail");
        if self.clones >= self.limits.max_clones {
            self.notice("Failed forking \"procmail\"\n");
            self.skip_block(program, recipe);
            return self.failed();
        }
        self.clones += 1;
        let own = self.state.clone();
        self.state.blocks.push(self.state.chain);
        self.state.local_lock = None;
        self.state.global_lock = None;
        self.settle(true);
        let end = self.run();
        let code = self.finish(end);
        self.restore(own);
        self.clones -= 1;
        let mut success = true;
        if wait.counts {
            self.state.exit_code = code;
            if code != 0 {
                if !wait.quiet || self.state.settings.verbose {
                    self.report_failure(b"procmail", code, wait.quiet);
                }
                success = false;
            }
        }
        self.settle(success);
        self.release_local_lock();
        self.skip_block(program, recipe);
        Flow::Next
    }

    fn restore(&mut self, own: super::State) {
        let same_log = self.state.log == own.log;
        self.state = own;
        self.candidates = Default::default();
        self.moved_to = None;
        self.host.set_umask(self.state.umask);
        if !same_log {
            let place = self.state.log.as_ref().map(|(folder, name)| crate::host::Place { folder, name, umask: 0o77 });
            // The log was open before; if it cannot be opened again, the clone's stays in use.
            let _ = self.host.open_log(place);
        }
    }
}
