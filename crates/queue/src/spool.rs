//! Messages that stay: a file each in the queue's folder, so that the journal's room is used again.
//!
//! `ID.msg`: a magic line, the length of the head, the head (envelope, then an octet of progress and the tries of each
//! recipient, then reasons), and the content. The content never changes; when the progress does, the file is written anew.

use std::io;
use std::path::{Path, PathBuf};

use mail::MessageId;
use system::{Create, Disk, File, Kind};

use crate::envelope::{self, Reader};
use crate::error::{Error, Result};
use crate::state::{Message, Place, Progress};

const MAGIC: &[u8; 8] = b"PBQUEUE1";

/// The longest head that is read, in octets.
const LONGEST_HEAD: u64 = 64 << 20;

/// How much is copied at once.
const PIECE: usize = 256 << 10;

pub(crate) fn path(folder: &Path, id: MessageId) -> PathBuf {
    folder.join(format!("{id}.msg"))
}

fn wrong(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |error| Error::Spool { path: path.display().to_string(), reason: error.to_string() }
}

/// Writes a message and its progress durably; gives the offset of its content.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, message: &Message) -> Result<u64> {
    let target = path(folder, message.envelope.id);
    let temporary = target.with_extension("tmp");
    let wrong = wrong(&target);
    let head = head(message);
    let start = (MAGIC.len() + 4 + head.len()) as u64;
    let file = disk.open(&temporary, Create::Missing).map_err(&wrong)?;
    file.set_size(0).map_err(&wrong)?;
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
    file.write_at(&[&MAGIC[..], &length, &head].concat(), 0).map_err(&wrong)?;
    match &message.place {
        Place::Journal(_, body) => {
            let mut at = start;
            for piece in body.chunks() {
                let piece = piece?;
                file.write_at(&piece, at).map_err(&wrong)?;
                at += piece.len() as u64;
            }
        }
        Place::Spool(from) => {
            let old = disk.open(&target, Create::Read).map_err(&wrong)?;
            copy(&*old, *from, &*file, start).map_err(&wrong)?;
        }
    }
    let durable = || {
        file.sync()?;
        disk.rename(&temporary, &target)?;
        disk.sync_dir(folder)
    };
    durable().map_err(&wrong)?;
    Ok(start)
}

fn copy(from: &dyn File, mut at: u64, to: &dyn File, mut start: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read_at(&mut piece, at)? {
            0 => return Ok(()),
            length => {
                to.write_at(&piece[..length], start)?;
                at += length as u64;
                start += length as u64;
            }
        }
    }
}

fn head(message: &Message) -> Vec<u8> {
    let mut head = envelope::encode(&message.envelope);
    for (progress, tries) in message.progress.iter().zip(&message.tries) {
        let (state, until, reason) = match progress {
            Progress::Done => (0, 0, ""),
            Progress::Ready | Progress::Delivering => (1, 0, ""),
            Progress::Deferred { until, reason } => (2, *until, reason.as_str()),
            Progress::Held { reason } => (3, 0, reason.as_str()),
        };
        head.push(state);
        head.extend_from_slice(&tries.to_le_bytes());
        head.extend_from_slice(&until.to_le_bytes());
        let cut = reason.floor_char_boundary(1000);
        envelope::text(&mut head, &reason[..cut]);
    }
    head
}

/// Reads every message of the folder. Files that are damaged are left alone and named.
pub(crate) fn read_all(disk: &dyn Disk, folder: &Path) -> io::Result<(Vec<Message>, Vec<PathBuf>)> {
    let mut names = Vec::new();
    disk.list(folder, &mut |entry| {
        if entry.kind != Kind::Folder {
            names.push(entry.name.to_owned());
        }
    })?;
    let (mut messages, mut damaged) = (Vec::new(), Vec::new());
    for name in names {
        let path = folder.join(&name);
        match path.extension().and_then(|e| e.to_str()) {
            Some("msg") => match read(disk, &path)? {
                Some(message) => messages.push(message),
                None => damaged.push(path),
            },
            // What a crash left of a file that was being written.
            Some("tmp") => disk.remove(&path)?,
            _ => {}
        }
    }
    Ok((messages, damaged))
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Message>> {
    let file = disk.open(path, Create::Read)?;
    let mut start = [0; 12];
    let got = file.read_at(&mut start, 0)?;
    let length = u64::from(u32::from_le_bytes([start[8], start[9], start[10], start[11]]));
    if got < start.len() || start[..8] != MAGIC[..] || length > LONGEST_HEAD.min(file.size()?) {
        return Ok(None);
    }
    let mut head = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    if file.read_at(&mut head, 12)? < head.len() {
        return Ok(None);
    }
    Ok(parse(&head, 12 + length))
}

fn parse(head: &[u8], content: u64) -> Option<Message> {
    let (envelope, rest) = envelope::decode(head)?;
    let mut message = Message::new(envelope, Place::Spool(content));
    let mut reader = Reader(rest);
    for (progress, tries) in message.progress.iter_mut().zip(&mut message.tries) {
        let state = reader.octet()?;
        *tries = reader.number()?;
        let until = u64::from(reader.number()?) | u64::from(reader.number()?) << 32;
        let reason = reader.text()?.to_owned();
        *progress = match state {
            0 => Progress::Done,
            1 => Progress::Ready,
            2 => Progress::Deferred { until, reason },
            3 => Progress::Held { reason },
            _ => return None,
        };
    }
    Some(message)
}

/// The content of a message in the folder.
pub(crate) fn content(disk: &dyn Disk, folder: &Path, id: MessageId, start: u64) -> Result<Vec<u8>> {
    let path = path(folder, id);
    let wrong = wrong(&path);
    let file = disk.open(&path, Create::Read).map_err(&wrong)?;
    let size = file.size().map_err(&wrong)?.saturating_sub(start);
    let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < content.len() {
        match file.read_at(&mut content[filled..], start + filled as u64).map_err(&wrong)? {
            0 => break,
            length => filled += length,
        }
    }
    content.truncate(filled);
    Ok(content)
}
