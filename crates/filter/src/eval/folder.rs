//! Delivery to folders: an mbox, or one or more folders of files.

use std::io;
use std::sync::Arc;

use super::action::Part;
use super::{Evaluator, Flow};
use crate::delivery::split_kind;
use crate::host::{Folder, FolderKind, Place, Text};
use crate::message::Message;
use crate::outcome::Target;
use crate::program::{Flags, Head};
use crate::words::Reading;

/// The permission that procmail sets on a folder that mail has come to.
const NEW_MAIL: u32 = 0o001;

/// What is delivered, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel {
    pub(super) part: Part,
    /// Errors of writing do not count.
    pub(super) ignore_errors: bool,
    /// An mbox is locked first.
    pub(super) lock: bool,
}

impl Evaluator<'_> {
    /// The action line is a folder's name, or several.
    pub(super) fn folder_action(&mut self, reading: &Reading, head: &Head, flags: Flags, part: Part) -> Flow {
        self.state.raw = flags.has(b'r');
        let names: Vec<Vec<u8>> = reading.words().into_iter().map(<[u8]>::to_vec).collect();
        let (name, others) = names.split_first().map_or((&[][..], &[][..]), |(name, others)| (name.as_slice(), others));
        if head.lock {
            self.take_local_lock(head.lock_name.as_deref(), name);
        }
        let parcel = Parcel { part, ignore_errors: flags.has(b'i'), lock: false };
        let success = self.write_folder(name, others, parcel);
        self.delivered(success, flags)
    }

    /// Writes the message to a folder, with links in others.
    pub(super) fn write_folder(&mut self, name: &[u8], others: &[Vec<u8>], parcel: Parcel) -> bool {
        let message = Arc::clone(&self.state.message);
        if name == b"|" && others.is_empty() {
            return self.write_standard_output(&message, parcel);
        }
        let (base, wanted) = split_kind(name);
        let Some(folder) = self.open_folder(base, wanted, false) else { return false };
        if folder.kind == FolderKind::Mbox {
            let leftover = others.join(&b' ');
            self.skipped(&leftover);
            return self.write_mbox(base, &folder, &message, parcel);
        }
        let Some(stored) = self.write_file(base, &folder, &message, parcel.part) else { return false };
        let mut names = stored.clone();
        for other in others {
            if let Some(linked) = self.link(&stored, other) {
                names.push(b' ');
                names.extend_from_slice(&linked);
                self.set_quietly(b"LASTFOLDER", &names);
            }
        }
        true
    }

    /// Sets a variable without a line in the log.
    fn set_quietly(&mut self, name: &[u8], value: &[u8]) {
        self.state.variables.set(name, value);
    }

    fn write_standard_output(&mut self, message: &Message, parcel: Parcel) -> bool {
        self.set(b"LASTFOLDER", b"|");
        let (_, source) = parcel.part.of_message(message);
        let ending = self.ending(source);
        self.state.written = source.len() + ending.len();
        let written = self.host.standard_output(&Text { pieces: &[source, ending], prefix: b"" });
        match written {
            Err(error) if !parcel.ignore_errors => {
                self.write_error(&error, b"|");
                false
            }
            _ => {
                self.note_delivery(Target::StandardOutput, b"|".to_vec());
                true
            }
        }
    }

    /// The empty line that ends what is written.
    fn ending(&self, source: &[u8]) -> &'static [u8] {
        if self.state.raw || source.ends_with(b"\n\n") { b"" } else { b"\n" }
    }

    fn write_error(&mut self, error: &io::Error, name: &[u8]) {
        let text = match error.kind() {
            io::ErrorKind::StorageFull => "No space left to finish writing",
            io::ErrorKind::QuotaExceeded => "Quota exceeded while writing",
            _ => "Error while writing to",
        };
        self.notice_quoted(text, name);
    }

    /// Finds out what the folder is; complains if it cannot be what its name says.
    fn open_folder(&mut self, base: &[u8], wanted: FolderKind, only_folder: bool) -> Option<Folder> {
        let folder = self.state.folder.clone();
        let place = Place { folder: &folder, name: base, umask: self.state.umask };
        match self.host.open_folder(place, wanted, only_folder) {
            Ok(folder) => Some(folder),
            Err(problem) => {
                self.notice_quoted("Unable to treat as directory", &problem.name);
                if let Some(mode) = problem.file {
                    return Some(Folder { kind: FolderKind::Mbox, mode });
                }
                self.skipped(base);
                None
            }
        }
    }

    /// Marks a folder that mail has come to.
    fn mark(&mut self, base: &[u8], mode: u32) {
        if NEW_MAIL & (mode | self.state.umask) == 0 {
            let folder = self.state.folder.clone();
            self.host.set_mode(Place { folder: &folder, name: base, umask: self.state.umask }, (mode | NEW_MAIL) & 0o7777);
        }
    }

    fn write_mbox(&mut self, base: &[u8], folder: &Folder, message: &Message, parcel: Parcel) -> bool {
        let discarded = base == b"/dev/null";
        if discarded {
            self.state.raw = true;
        } else {
            self.mark(base, folder.mode);
            let file = [base, &self.state.settings.lock_extension].concat();
            if parcel.lock && self.state.global_lock.as_ref() != Some(&file) {
                self.take_local_lock(Some(&file), base);
            }
        }
        self.set(b"LASTFOLDER", base);
        self.yell("Opening", base);
        if discarded {
            self.state.written = parcel.part.of_message(message).1.len();
            self.note_delivery(Target::Discard, base.to_vec());
            return true;
        }
        if self.state.settings.verbose {
            self.notice("Acquiring kernel-lock\n");
        }
        self.append(base, message, parcel)
    }

    fn append(&mut self, base: &[u8], message: &Message, parcel: Parcel) -> bool {
        let (offset, source) = parcel.part.of_message(message);
        let quoted = if self.state.raw { vec![source] } else { message.quoted(offset, source) };
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(quoted.len() * 2);
        for piece in quoted {
            if !pieces.is_empty() {
                pieces.push(b">");
            }
            pieces.push(piece);
        }
        pieces.push(self.ending(source));
        let current = self.state.folder.clone();
        let place = Place { folder: &current, name: base, umask: self.state.umask };
        match self.host.append(place, &Text { pieces: &pieces, prefix: b"" }) {
            Ok(()) => self.state.written = pieces.iter().map(|piece| piece.len()).sum(),
            Err((error, truncated)) if !parcel.ignore_errors => {
                self.write_error(&error, base);
                if truncated && (self.state.log.is_some() || self.state.settings.verbose) {
                    self.notice("Truncated file to former size\n");
                }
                return false;
            }
            Err(_) => {}
        }
        self.note_delivery(Target::Folder(FolderKind::Mbox), base.to_vec());
        true
    }

    /// Stores the message as a file of its own; gives the file's name.
    fn write_file(&mut self, base: &[u8], folder: &Folder, message: &Message, part: Part) -> Option<Vec<u8>> {
        let maildir = folder.kind == FolderKind::Maildir;
        let (_, source) = part.of_message(message);
        let source = if maildir && part != Part::Body { crate::message::skip_from_line(source) } else { source };
        let ending = if maildir { b"" } else { self.ending(source) };
        let current = self.state.folder.clone();
        let prefix = self.state.settings.message_prefix.clone();
        let place = Place { folder: &current, name: base, umask: self.state.umask };
        let stored = self.host.store(place, folder.kind, &Text { pieces: &[source, ending], prefix: &prefix });
        let name = match stored {
            Ok(end) => [base, &end].concat(),
            Err(error) => {
                let what = if maildir { [base, b"/tmp/"].concat() } else { [base, b"/"].concat() };
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.write_error(&error, &what),
                    _ => self.notice_quoted("Couldn't create or rename temp file", &what),
                }
                return None;
            }
        };
        self.state.written = source.len() + ending.len();
        self.set(b"LASTFOLDER", &name);
        if !maildir {
            self.yell("Opening", &name);
        }
        self.mark(base, folder.mode);
        self.note_delivery(Target::Folder(folder.kind), name.clone());
        Some(name)
    }

    /// Gives the stored file a name in another folder as well.
    fn link(&mut self, stored: &[u8], other: &[u8]) -> Option<Vec<u8>> {
        let (base, wanted) = split_kind(other);
        let folder = self.open_folder(base, wanted, true)?;
        let current = self.state.folder.clone();
        let prefix = self.state.settings.message_prefix.clone();
        let place = Place { folder: &current, name: base, umask: self.state.umask };
        let kind = if folder.kind == FolderKind::Mbox { FolderKind::Directory } else { folder.kind };
        let path = crate::host::path(&current, stored).ok()?;
        match self.host.link(&path, place, kind, &prefix) {
            Ok(end) => {
                let name = [base, &end].concat();
                self.yell("Linking to", &name);
                self.mark(base, folder.mode);
                self.note_delivery(Target::Folder(kind), name.clone());
                Some(name)
            }
            Err(_) => {
                self.yell("Linking to", base);
                self.notice_quoted("Couldn't make link to", base);
                None
            }
        }
    }
}
