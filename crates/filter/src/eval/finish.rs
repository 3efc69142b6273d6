//! The end: the default folder, the exit code, the abstract in the log, TRAP, the locks.

use std::sync::Arc;

use super::action::Part;
use super::folder::Parcel;
use super::{End, Evaluator};
use crate::host::Purpose;
use crate::outcome::{Delivery, Event, Target};
use crate::text::setting;

/// The message cannot be delivered.
const CANNOT_CREATE: i32 = 73;
/// The message cannot be delivered now.
const TRY_AGAIN: i32 = 75;
/// The longest subject and folder name that the abstract shows.
const LONGEST_SUBJECT: usize = 78;
const LONGEST_FOLDER: usize = 60;
/// The column of the size in the abstract.
const SIZE_COLUMN: usize = 72;

impl Evaluator<'_> {
    /// Delivers to the default folder if nothing else took the message, and winds all up; gives the exit code.
    pub(super) fn finish(&mut self, end: End) -> i32 {
        self.taken = match end {
            End::Delivered => true,
            End::Host => false,
            End::File => self.deliver_by_default(),
        };
        let success = self.taken || end == End::Host;
        self.release_local_lock();
        let failure = if self.request.soft_failure { TRY_AGAIN } else { CANNOT_CREATE };
        let mut code = if success { 0 } else { failure };
        let folder = match code {
            0 => self.state.variables.text(b"LASTFOLDER").to_vec(),
            _ if self.state.disclaimed => b"**Lost**".to_vec(),
            TRY_AGAIN => b"**Requeued**".to_vec(),
            _ => b"**Bounced**".to_vec(),
        };
        let trap = self.state.settings.trap.clone();
        let asked = self.asked_code();
        match asked {
            Some(asked) if asked >= 0 => code = asked,
            None if !trap.is_empty() => self.set(b"EXITCODE", code.to_string().as_bytes()),
            _ => {}
        }
        self.log_abstract(&folder);
        if !trap.is_empty() {
            let trapped = self.run_trap(&trap);
            if asked == Some(EMPTY) && trapped != 0 {
                code = trapped;
            }
        }
        self.release_global_lock();
        if self.state.disclaimed { 0 } else { code }
    }

    /// What EXITCODE says, if the rule file has assigned it: [`EMPTY`] if that is no number.
    fn asked_code(&self) -> Option<i32> {
        let text = self.state.variables.get(b"EXITCODE").filter(|_| self.state.exit_code_assigned)?;
        i32::try_from(setting(i64::from(EMPTY), text)).ok()
    }

    /// DEFAULT, else ORGMAIL.
    fn deliver_by_default(&mut self) -> bool {
        self.state.joined = false;
        self.here = None;
        let default = self.state.settings.default.clone();
        let parcel = Parcel { part: Part::Whole, ignore_errors: false, lock: true };
        if !default.is_empty() && self.write_folder(&default, &[], parcel) {
            return true;
        }
        let last_resort = self.state.variables.text(b"ORGMAIL").to_vec();
        self.state.raw = false;
        !last_resort.is_empty() && default != last_resort && self.write_folder(&last_resort, &[], Parcel { lock: false, ..parcel })
    }

    fn run_trap(&mut self, trap: &[u8]) -> i32 {
        let command = self.command(trap);
        self.state.joined = false;
        let message = Arc::clone(&self.state.message);
        self.run_command(&command, message.text(), Purpose::Trap, None).status
    }

    /// The abstract: the From_ line, the subject, the folder and the size.
    pub(super) fn log_abstract(&mut self, folder: &[u8]) {
        let wanted = self.state.settings.log_abstract;
        let into_file = self.state.log.is_some() || self.state.settings.verbose;
        if wanted <= 0 && !(wanted < 0 && into_file) {
            return;
        }
        let message = Arc::clone(&self.state.message);
        let header = message.area(crate::message::Area::Header, self.state.joined);
        let mut text = Vec::new();
        let mut rest = header;
        if header.starts_with(b"From ") {
            let end = memchr::memchr(b'\n', header).unwrap_or(header.len());
            text.extend_from_slice(crate::text::until_nul(&header[..end]));
            text.push(b'\n');
            rest = &header[end..];
        }
        if let Some(subject) = subject(rest) {
            text.push(b' ');
            text.extend(shown(&subject[..subject.len().min(LONGEST_SUBJECT)]));
            text.push(b'\n');
        }
        text.extend_from_slice(b"  Folder: ");
        let name = shown(&folder[..folder.len().min(LONGEST_FOLDER)]);
        let mut column = name.len() + 10;
        text.extend(name);
        column -= column % 8;
        loop {
            text.push(b'\t');
            column += 8;
            if column >= SIZE_COLUMN {
                break;
            }
        }
        text.extend_from_slice(format!("{:>7}\n", self.state.written).as_bytes());
        self.log(&text);
    }

    /// Notes where the message went.
    pub(super) fn note_delivery(&mut self, target: Target, name: Vec<u8>) {
        let delivery = Delivery { target, name, origin: self.here.clone(), folder: self.state.folder.clone() };
        self.event(|| Event::Delivered(delivery.clone()));
        self.deliveries.push(delivery);
    }
}

/// EXITCODE is set but says nothing.
const EMPTY: i32 = -2;

/// Up to the first zero, white space as blanks.
fn shown(text: &[u8]) -> Vec<u8> {
    crate::text::until_nul(text).iter().map(|octet| if matches!(octet, b'\t'..=b'\r') { b' ' } else { *octet }).collect()
}

/// The line of the first Subject field.
fn subject(header: &[u8]) -> Option<&[u8]> {
    header.split(|octet| *octet == b'\n').find(|line| line.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"subject:")))
}
