//! Messages that stay: two files each in the queue's folder, so that the journal's room is used again.
//!
//! `ID.msg` never changes: a magic line, the length and the CRC-32 of the head, the head (an envelope), and the content.
//! `ID.state` has a CRC-32, then an octet of progress, the tries, the time of the next try and a reason for each recipient; it
//! is replaced when the progress changes. It comes before the other and goes after it, so that no message lacks it
//! unless it was damaged; its recipients are then all ready and in doubt.

use std::io;
use std::path::{Path, PathBuf};

use mail::MessageId;
use system::{Create, Disk, File, Kind, replace};

use crate::envelope::{self, Reader};
use crate::error::{Error, Result};
use crate::state::{Message, Place, Progress, Snapshot};

const MAGIC: &[u8; 8] = b"PBQUEUE1";

/// What stands before the head: the magic line, its length, its CRC.
const START: u64 = 16;

/// The longest head or state that is read, in octets.
const LONGEST: u64 = 64 << 20;

fn path(folder: &Path, id: MessageId, kind: &str) -> PathBuf {
    folder.join(format!("{id}.{kind}"))
}

fn wrong(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |error| Error::Spool { path: path.display().to_string(), reason: error.to_string() }
}

/// Writes a message that is in the journal, and its progress, durably; gives where it is now.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, message: &Snapshot) -> Result<Place> {
    write_state(disk, folder, message)?;
    let start = match &message.place {
        Place::Spool(start) => *start,
        Place::Journal(_, body) => {
            let target = path(folder, message.envelope.id, "msg");
            let temporary = target.with_extension("tmp");
            let wrong = wrong(&target);
            let head = envelope::encode(&message.envelope);
            let file = begin(disk, &temporary, &head).map_err(&wrong)?;
            let start = START + head.len() as u64;
            let mut at = start;
            for piece in body.chunks() {
                let piece = piece?;
                file.write_at(&piece, at).map_err(&wrong)?;
                at += piece.len() as u64;
            }
            file.sync().and_then(|()| disk.rename(&temporary, &target)).and_then(|()| disk.sync_dir(folder)).map_err(&wrong)?;
            start
        }
    };
    Ok(Place::Spool(start))
}

fn begin(disk: &dyn Disk, path: &Path, head: &[u8]) -> io::Result<Box<dyn File>> {
    let file = disk.open(path, Create::Missing)?;
    file.set_size(0)?;
    let length = u32::try_from(head.len()).map_err(|_| io::ErrorKind::FileTooLarge)?.to_le_bytes();
    file.write_at(&[&MAGIC[..], &length, &crc32fast::hash(head).to_le_bytes(), head].concat(), 0)?;
    Ok(file)
}

fn write_state(disk: &dyn Disk, folder: &Path, message: &Snapshot) -> Result<()> {
    let mut octets = vec![0; 4];
    for (progress, tries) in message.progress.iter().zip(&message.tries) {
        let (state, until, reason) = match progress {
            Progress::Done => (0, 0, ""),
            Progress::Ready | Progress::Delivering => (1, 0, ""),
            Progress::Deferred { until, reason } => (2, *until, reason.as_str()),
            Progress::Held { reason } => (3, 0, reason.as_str()),
        };
        octets.push(state);
        octets.extend_from_slice(&tries.to_le_bytes());
        octets.extend_from_slice(&until.to_le_bytes());
        envelope::text(&mut octets, &reason[..reason.floor_char_boundary(1000)]);
    }
    let crc = crc32fast::hash(&octets[4..]).to_le_bytes();
    octets[..4].copy_from_slice(&crc);
    let target = path(folder, message.envelope.id, "state");
    replace(disk, &target, &octets).map_err(wrong(&target))
}

/// Removes the files of messages that left, so that they do not come back. A file that is not there is gone already.
pub(crate) fn remove(disk: &dyn Disk, folder: &Path, ids: &[MessageId]) -> Result<()> {
    let all = |kind| {
        ids.iter().map(|id| path(folder, *id, kind)).try_for_each(|path| match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(wrong(&path)(error)),
            _ => Ok(()),
        })
    };
    all("msg")?;
    // A message whose state alone is gone would be taken for new.
    disk.sync_dir(folder).map_err(wrong(folder))?;
    all("state")
}

/// Reads every message of the folder. Files that are damaged are left alone and named.
pub(crate) fn read_all(disk: &dyn Disk, folder: &Path) -> io::Result<(Vec<Message>, Vec<PathBuf>)> {
    let mut names = Vec::new();
    disk.list(folder, &mut |entry| {
        if entry.kind != Kind::Folder {
            names.push(entry.name.to_owned());
        }
    })?;
    // What is read here is acted upon, so it must not vanish.
    disk.sync_dir(folder)?;
    let (mut messages, mut damaged) = (Vec::new(), Vec::new());
    for path in names.iter().map(|name| folder.join(name)) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("msg") => match read(disk, &path)? {
                Some(mut message) => {
                    if read_state(disk, &path.with_extension("state"), &mut message)?.is_none() {
                        damaged.push(path.with_extension("state"));
                    }
                    messages.push(message);
                }
                None => damaged.push(path),
            },
            // What a crash left of a message that was being written or removed.
            Some("state") if disk.stat(&path.with_extension("msg")).is_err() => disk.remove(&path)?,
            Some("tmp") => disk.remove(&path)?,
            _ => {}
        }
    }
    Ok((messages, damaged))
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Message>> {
    let file = disk.open(path, Create::Read)?;
    let mut start = [0; START as usize];
    let got = file.read_at(&mut start, 0)?;
    let mut reader = Reader(&start[8..]);
    let (Some(length), Some(crc)) = (reader.number(), reader.number()) else { return Ok(None) };
    if got < start.len() || start[..8] != MAGIC[..] || u64::from(length) > LONGEST.min(file.size()?) {
        return Ok(None);
    }
    let mut head = vec![0; length as usize];
    if fill(&*file, &mut head, START)? < head.len() || crc32fast::hash(&head) != crc {
        return Ok(None);
    }
    let Some((envelope, b"")) = envelope::decode(&head) else { return Ok(None) };
    let mut message = Message::new(envelope, Place::Spool(START + u64::from(length)));
    // It may have been delivered a moment before the crash.
    message.doubtful = true;
    Ok(Some(message))
}

/// `None` if the state is damaged; nothing is changed then.
fn read_state(disk: &dyn Disk, path: &Path, message: &mut Message) -> io::Result<Option<()>> {
    let octets = match disk.open(path, Create::Read).and_then(|file| file.read_all(LONGEST)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        octets => octets?,
    };
    let Some((progress, tries)) = parse_state(&octets, message.progress.len()) else { return Ok(None) };
    message.progress = progress;
    message.tries = tries;
    Ok(Some(()))
}

/// The progress and tries of so many recipients.
pub(crate) fn parse_state(octets: &[u8], count: usize) -> Option<(Vec<Progress>, Vec<u32>)> {
    let mut reader = Reader(octets);
    if reader.number()? != crc32fast::hash(reader.0) {
        return None;
    }
    let (mut all, mut tried) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let state = reader.octet()?;
        tried.push(reader.number()?);
        let until = u64::from(reader.number()?) | u64::from(reader.number()?) << 32;
        let reason = reader.text()?.to_owned();
        all.push(match state {
            0 => Progress::Done,
            1 => Progress::Ready,
            2 => Progress::Deferred { until, reason },
            3 => Progress::Held { reason },
            _ => return None,
        });
    }
    reader.0.is_empty().then_some((all, tried))
}

/// The open file of a message.
pub(crate) fn open(disk: &dyn Disk, folder: &Path, id: MessageId) -> Result<Box<dyn File>> {
    let path = path(folder, id, "msg");
    disk.open(&path, Create::Read).map_err(wrong(&path))
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn fill(file: &dyn File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64)? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}
