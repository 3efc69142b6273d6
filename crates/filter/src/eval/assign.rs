//! Assignments, and what those of special variables do.

use std::sync::Arc;

use super::{End, Evaluator, Flow, Frame};
use crate::host::Place;
use crate::outcome::Event;
use crate::program::{Phrase, Program};
use crate::text::{octal, setting};
use crate::words::Mode;

impl Evaluator<'_> {
    /// Sets a variable, and no more.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        if self.state.settings.verbose {
            self.yell("Assigning", &[name, b"=", value].concat());
        }
        self.state.variables.set(name, value);
    }

    /// `NAME=value` in a rule file.
    pub(super) fn assignment(&mut self, program: &Program, name: &[u8], phrase: &Phrase) -> Flow {
        if name.len() + 1 >= self.state.settings.line_buffer {
            self.too_long();
            return Flow::End(End::File);
        }
        let reading = self.phrase(program, phrase, b"", Mode::Value);
        if reading.overflow {
            return Flow::Next;
        }
        self.assign(name, Some(reading.first()))
    }

    /// `NAME=value` on the command line. The end of all if it is a HOST that does not match.
    pub(super) fn assign_argument(&mut self, argument: &[u8]) -> Option<End> {
        let equals = memchr::memchr(b'=', argument)?;
        let reading = self.read_text(&argument[equals + 1..], Mode::Text);
        if reading.overflow {
            return None;
        }
        let value = reading.first().to_vec();
        match self.assign(&argument[..equals], Some(&value)) {
            Flow::End(end) => Some(end),
            Flow::Next => None,
        }
    }

    /// Sets or removes a variable, with all that this does.
    pub(super) fn assign(&mut self, name: &[u8], value: Option<&[u8]>) -> Flow {
        match value {
            Some(value) => self.set(name, value),
            None => {
                self.yell("Assigning", name);
                self.state.variables.remove(name);
            }
        }
        self.event(|| Event::Assigned { name: name.to_vec(), value: value.map(<[u8]>::to_vec) });
        self.take_effect(name, value.unwrap_or_default())
    }

    /// What the assignment of a special variable does.
    pub(super) fn take_effect(&mut self, name: &[u8], value: &[u8]) -> Flow {
        match name {
            b"MAILDIR" => self.assign_maildir(value),
            b"LOGFILE" => self.assign_logfile(value),
            b"LOG" => self.log(value),
            b"EXITCODE" => self.state.exit_code_assigned = true,
            b"SHIFT" => {
                let count = usize::try_from(setting(0, value)).unwrap_or(0).min(self.state.arguments.len());
                self.state.arguments.drain(..count);
            }
            b"DROPPRIVS" if setting(0, value) != 0 => {
                if self.state.settings.verbose {
                    self.notice("Assuming identity of the recipient, VERBOSE=off\n");
                }
            }
            b"DELIVERED" if setting(0, value) != 0 => self.state.disclaimed = true,
            b"LOCKFILE" => self.assign_lockfile(value),
            b"UMASK" => {
                self.state.umask = octal(value) & 0o777;
                self.host.set_umask(self.state.umask);
            }
            b"INCLUDERC" => self.include(value),
            b"SWITCHRC" => self.switch(value),
            b"HOST" => {
                let own = self.host.hostname();
                if value != own {
                    self.yell("HOST mismatched", &own);
                    return self.host_mismatch();
                }
            }
            _ => self.state.settings.assign(name, value, self.limits.max_line_buffer.octets()),
        }
        Flow::Next
    }

    fn host_mismatch(&mut self) -> Flow {
        self.state.frames.clear();
        self.state.blocks.clear();
        Flow::End(End::Host)
    }

    /// Makes a folder the current one; false, with a line in the log, if that cannot be.
    pub(super) fn change_folder(&mut self, name: &[u8]) -> bool {
        let entered = crate::host::path(&self.state.folder, name).ok().filter(|path| self.host.enter(path));
        match entered {
            Some(path) => {
                self.state.folder = path;
                true
            }
            None => {
                self.notice_quoted("Couldn't chdir to", name);
                false
            }
        }
    }

    fn assign_maildir(&mut self, value: &[u8]) {
        let value = value.to_vec();
        if !self.change_folder(&value) {
            self.set(b"MAILDIR", b".");
        }
        self.state.entered = true;
    }

    fn assign_logfile(&mut self, value: &[u8]) {
        let name = if value.is_empty() { b"/dev/null" } else { value }.to_vec();
        self.yell("Opening", &name);
        let folder = self.state.folder.clone();
        match self.host.open_log(Some(Place { folder: &folder, name: &name, umask: self.state.umask })) {
            Ok(()) => self.state.log = Some((folder, name)),
            Err(_) => self.notice_quoted("Error while writing to", &name),
        }
    }

    /// The name that `$_` shows: with MAILDIR before it if it is relative and MAILDIR is not.
    pub(super) fn full_name(&self, name: &[u8]) -> Vec<u8> {
        let maildir = self.state.variables.text(b"MAILDIR");
        if name.first() != Some(&b'/') && maildir.first() == Some(&b'/') { [maildir, b"/", name].concat() } else { name.to_vec() }
    }

    /// Opens a rule file named in another. `Ok(None)`: there is nothing in it.
    fn open_named(&mut self, name: &[u8]) -> Result<Option<Arc<Program>>, ()> {
        if name.is_empty() || name == b"/dev/null" {
            return Ok(None);
        }
        let loaded = match crate::host::path(&self.state.folder, name) {
            Ok(path) => self.host.load(&path),
            Err(error) => Err(error.into()),
        };
        loaded.map_err(|_| self.notice_quoted("Couldn't read", name))
    }

    /// INCLUDERC: carries out another file, then goes on here.
    fn include(&mut self, name: &[u8]) {
        if self.state.frames.is_empty() {
            return;
        }
        if self.state.frames.len() > self.limits.max_include_depth as usize {
            // What procmail says when it has no descriptors left for yet another file.
            self.notice_quoted("Couldn't read", name);
            self.yell("Includes nested too deeply", name);
            return;
        }
        if let Ok(Some(program)) = self.open_named(name) {
            let name = self.full_name(name).into();
            self.state.frames.push(Frame { program, next: 0, depth: self.state.blocks.len(), name });
        }
    }

    /// SWITCHRC: goes on in another file, or ends this one.
    fn switch(&mut self, name: &[u8]) {
        if self.state.frames.is_empty() {
            return;
        }
        let Ok(program) = self.open_named(name) else { return };
        let name = self.full_name(name).into();
        let depth = self.state.frames.last().map_or(0, |frame| frame.depth);
        self.state.blocks.truncate(depth);
        self.moved_to = None;
        self.state.frames.pop();
        if let Some(program) = program {
            self.state.frames.push(Frame { program, next: 0, depth, name });
        }
    }
}
