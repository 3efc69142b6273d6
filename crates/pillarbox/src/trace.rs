//! The story of each message: one JSON line a step, kept for `mailctl trace` and told to the log.
//!
//! Lines are written behind by one thread, so that no step waits for a disk. A line lost with the machine's power is a
//! line of history, never mail. Files are `DAY-NUMBER.jsonl`, the oldest removed when the sum of all exceeds the limit.
//!
//! What sessions do to messages (moves, copies, expunges) has one line a command, which names account, mailbox and UIDs;
//! [`find`] follows a message through them.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mail::MessageId;
use serde_json::{Value, json};
use system::Clock;

use crate::details::Details;
use crate::lines::Lines;

/// The most that all files hold together, in octets.
const MOST_OCTETS: u64 = 256 << 20;

/// A file that is longer is followed by another.
const FILE_OCTETS: u64 = 16 << 20;

/// Takes the steps of all messages.
#[derive(Clone, Debug)]
pub struct Trace {
    lines: Arc<Lines>,
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
    clock: Arc<dyn Clock>,
}

impl Trace {
    /// Opens the trace in `folder`, which is made if missing.
    ///
    /// # Errors
    /// If the folder cannot be made or the thread not started.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lines = Arc::new(Lines::default());
        let source = lines.clone();
        let mut files = Files { folder: folder.to_owned(), open: None, longest: FILE_OCTETS, most: MOST_OCTETS, clock: clock.clone() };
        let writer = std::thread::Builder::new().name("trace".to_owned()).spawn(move || files.write_all_of(&source))?;
        let writer = Arc::new(Mutex::new(Some(writer)));
        Ok(Self { lines, writer, clock })
    }

    /// Notes one step of a message: its name, which needs no quoting in JSON, and what belongs to it as a JSON object.
    pub(crate) fn step(&self, id: MessageId, step: &str, details: Details) {
        let details = details.end();
        tracing::info!(id = %id, %details, "{step}");
        self.write(format_args!("\"id\":\"{id}\","), step, &details);
    }

    /// Notes what a session did to messages of an account.
    pub(crate) fn event(&self, step: &str, details: Details) {
        let details = details.end();
        tracing::info!(%details, "{step}");
        self.write(format_args!(""), step, &details);
    }

    fn write(&self, id: std::fmt::Arguments<'_>, step: &str, details: &str) {
        let more = details.strip_prefix('{').filter(|more| *more != "}");
        let (comma, more) = more.map_or(("", "}"), |more| (",", more));
        if !self.lines.add(format_args!("{{\"at\":{},{id}\"step\":\"{step}\"{comma}{more}\n", self.clock.micros())) {
            tracing::warn!(step, "the trace falls behind; a line of it is lost");
        }
    }

    /// Writes out what waits and ends the writer.
    pub fn close(&self) {
        self.lines.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = writer.map(JoinHandle::join) {
            tracing::error!("the trace's writer had stopped");
        }
    }
}

/// The writer's side.
struct Files {
    folder: PathBuf,
    open: Option<Open>,
    longest: u64,
    most: u64,
    clock: Arc<dyn Clock>,
}

/// The file that is written to.
struct Open {
    day: u64,
    file: File,
    length: u64,
}

impl Files {
    fn write_all_of(&mut self, lines: &Lines) {
        while let Some(text) = lines.take() {
            if let Err(error) = self.write(text.as_bytes()) {
                tracing::warn!(%error, "the trace could not be written");
            }
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let day = self.clock.seconds() / 86_400;
        let mut open = match self.open.take().filter(|open| open.day == day && open.length < self.longest) {
            Some(open) => open,
            None => self.next_file(day)?,
        };
        open.file.write_all(octets)?;
        open.length += octets.len() as u64;
        self.open = Some(open);
        Ok(())
    }

    /// Goes on with the day's last file, or begins another if that is long enough.
    fn next_file(&self, day: u64) -> io::Result<Open> {
        prune(&self.folder, self.most)?;
        let number_of = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix(&format!("{day:06}-"))?.parse::<u32>().ok();
        let mut number = files(&self.folder)?.iter().filter_map(number_of).max().unwrap_or(0);
        loop {
            let file = OpenOptions::new().append(true).create(true).open(self.folder.join(format!("{day:06}-{number:05}.jsonl")))?;
            let length = file.metadata()?.len();
            if length < self.longest {
                return Ok(Open { day, file, length });
            }
            number += 1;
        }
    }
}

/// The trace's files, oldest first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<_> = std::fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    found.sort();
    Ok(found)
}

/// Removes the oldest files while all together are too large.
fn prune(folder: &Path, most: u64) -> io::Result<()> {
    let mut found = Vec::new();
    for path in files(folder)? {
        found.push((std::fs::metadata(&path)?.len(), path));
    }
    let mut sum: u64 = found.iter().map(|(size, _)| size).sum();
    for (size, path) in found {
        if sum <= most {
            break;
        }
        std::fs::remove_file(path)?;
        sum -= size;
    }
    Ok(())
}

/// The lines of every message whose id, Message-ID or an address equals `wanted`, oldest first, with what sessions did to it.
///
/// # Errors
/// If a file cannot be read.
pub fn find(folder: &Path, wanted: &str) -> io::Result<Vec<Value>> {
    let wanted = wanted.trim().trim_start_matches('<').trim_end_matches('>').to_lowercase();
    // As it stands in a line, so that most lines need not be parsed.
    let quoted = Value::from(wanted.as_str()).to_string();
    let quoted = quoted.trim_matches('"');
    let mut ids = HashSet::new();
    each_line(folder, |line| {
        if let Some(id) = id_in(line).filter(|_| line.to_lowercase().contains(quoted))
            && serde_json::from_str(line).is_ok_and(|line| mentions(&line, &wanted))
        {
            ids.insert(id.to_owned());
        }
    })?;
    let (mut found, mut places) = (Vec::new(), Places::default());
    each_line(folder, |line| match id_in(line) {
        Some(id) if !ids.contains(id) => {}
        // A line that was cut off by a crash is no line.
        id => {
            if let Ok(line) = serde_json::from_str::<Value>(line) {
                match id {
                    Some(id) => places.enter(id, &line),
                    None => found.extend(places.follow(&line)),
                }
                found.extend(id.map(|_| line));
            }
        }
    })?;
    Ok(found)
}

/// The id of the message that a line is about, without parsing it. Quotes within texts stand behind a backslash.
fn id_in(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("\"id\":\"")?;
    rest.split_once('"').map(|(id, _)| id)
}

fn each_line(folder: &Path, mut each: impl FnMut(&str)) -> io::Result<()> {
    for path in files(folder)? {
        let mut lines = BufReader::new(File::open(path)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            if let Ok(line) = std::str::from_utf8(&line) {
                each(line);
            }
            line.clear();
        }
    }
    Ok(())
}

/// Where messages are at some moment of their stories: account, mailbox and UID, with the message's id.
#[derive(Default)]
struct Places(HashMap<(String, String, u64), String>);

impl Places {
    /// Takes a line of a message in.
    fn enter(&mut self, id: &str, line: &Value) {
        let account = line["account"].as_str().unwrap_or_default();
        for stored in line["mailboxes"].as_array().into_iter().flatten() {
            if let (Some(mailbox), Some(uid)) = (stored["mailbox"].as_str(), stored["uid"].as_u64()) {
                self.0.insert((account.to_owned(), mailbox.to_owned(), uid), id.to_owned());
            }
        }
    }

    /// The lines that an event means for messages that are followed.
    fn follow(&mut self, event: &Value) -> Vec<Value> {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let (account, mailbox, to) = (text("account"), text("mailbox"), text("to"));
        let (uids, to_uids) = (ranges(&text("uids")), ranges(&text("to_uids")));
        let of = |(of, from, uid): &(String, String, u64)| (*of == account && *from == mailbox).then(|| place_of(&uids, *uid)).flatten();
        let mut hits: Vec<_> = self.0.iter().filter_map(|(place, id)| Some((of(place)?, place.clone(), id.clone()))).collect();
        hits.sort_unstable();
        let mut lines = Vec::new();
        for (at, place, id) in hits {
            let mut line =
                json!({"at": event["at"], "id": id, "step": event["step"], "account": account, "mailbox": mailbox, "uid": place.2});
            if event["step"] != "copied" {
                self.0.remove(&place);
            }
            if let Some(to_uid) = nth(&to_uids, at) {
                line["to"] = json!(to);
                line["to_uid"] = json!(to_uid);
                self.0.insert((account.clone(), to.clone(), to_uid), id);
            }
            lines.push(line);
        }
        lines
    }
}

/// Ranges such as `1:3,7`.
fn ranges(text: &str) -> Vec<(u64, u64)> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.split(',').filter_map(range).collect()
}

/// How many numbers of the ranges come before this one, if it is among them.
fn place_of(ranges: &[(u64, u64)], number: u64) -> Option<u64> {
    let mut before = 0;
    for (first, last) in ranges {
        if (*first..=*last).contains(&number) {
            return Some(before + number - first);
        }
        before += last.saturating_sub(*first) + 1;
    }
    None
}

fn nth(ranges: &[(u64, u64)], at: u64) -> Option<u64> {
    let mut left = at;
    for (first, last) in ranges {
        let count = last.saturating_sub(*first) + 1;
        if left < count {
            return Some(first + left);
        }
        left -= count;
    }
    None
}

/// Whether a value holds the text as a whole string, somewhere within.
fn mentions(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text.to_lowercase().trim_start_matches('<').trim_end_matches('>') == wanted,
        Value::Array(entries) => entries.iter().any(|entry| mentions(entry, wanted)),
        Value::Object(entries) => entries.values().any(|entry| mentions(entry, wanted)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use system::FixedClock;

    #[test]
    fn a_message_is_found_by_id_message_id_and_address() {
        let folder = tempfile::tempdir().unwrap();
        let trace = Trace::open(folder.path(), Arc::new(FixedClock::at(1_000_000))).unwrap();
        let (one, two) = (MessageId::from_number(1), MessageId::from_number(2));
        trace.step(one, "accepted", Details::new().text("from", "A@b.example").texts("to", ["c@d.example"]).text("message_id", "<x@y>"));
        trace.step(two, "accepted", Details::new().text("from", "e@f.example"));
        trace.step(one, "delivered", Details::new().text("folder", "INBOX").plain("uid", 7));
        trace.close();
        for wanted in [one.to_string().as_str(), "a@b.example", "c@d.example", "x@y", "<x@y>"] {
            let steps: Vec<_> = find(folder.path(), wanted).unwrap().iter().map(|l| l["step"].clone()).collect();
            assert_eq!(steps, ["accepted", "delivered"], "{wanted}");
        }
        assert!(find(folder.path(), "nobody@d.example").unwrap().is_empty());
    }
    #[test]
    fn a_message_is_followed_through_mailboxes() {
        let folder = tempfile::tempdir().unwrap();
        let trace = Trace::open(folder.path(), Arc::new(FixedClock::at(1_000_000))).unwrap();
        let (one, two) = (MessageId::from_number(1), MessageId::from_number(2));
        for (id, uid) in [(one, 7), (two, 8)] {
            let stored = Details::new().text("mailbox", "INBOX").plain("uid", uid).end();
            trace.step(id, "delivered", Details::new().text("account", "joe").plains("mailboxes", [stored]));
        }
        let told = |members: &[(&str, &str)]| members.iter().fold(Details::new(), |details, (key, value)| details.text(key, value));
        trace.event("moved", told(&[("account", "jim"), ("mailbox", "INBOX"), ("uids", "1:9"), ("to", "x"), ("to_uids", "1:9")]));
        trace.event("moved", told(&[("account", "joe"), ("mailbox", "INBOX"), ("uids", "3,6:8"), ("to", "a"), ("to_uids", "20:23")]));
        trace.event("copied", told(&[("account", "joe"), ("mailbox", "a"), ("uids", "22"), ("to", "b"), ("to_uids", "1")]));
        trace.event("expunged", told(&[("account", "joe"), ("mailbox", "a"), ("uids", "20:22")]));
        trace.event("expunged", told(&[("account", "joe"), ("mailbox", "a"), ("uids", "22")]));
        trace.close();
        let story = find(folder.path(), &one.to_string()).unwrap();
        let told = |line: &Value| (line["step"].to_string(), line["uid"].as_u64(), line["to_uid"].as_u64());
        let expected = [("moved", Some(7), Some(22)), ("copied", Some(22), Some(1)), ("expunged", Some(22), None)];
        let expected: Vec<_> = expected.iter().map(|(step, uid, to)| (format!("\"{step}\""), *uid, *to)).collect();
        assert_eq!(story[1..].iter().map(told).collect::<Vec<_>>(), expected);
        assert!(story.iter().all(|line| line["id"] == one.to_string()));
    }

    #[test]
    fn old_files_make_room_for_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::at(1_000_000));
        let mut files = Files { folder: folder.path().to_owned(), open: None, longest: 100, most: 1_000, clock };
        (0..100).for_each(|_| files.write(&[b'x'; 60]).unwrap());
        let left = super::files(folder.path()).unwrap();
        assert!((5..=12).contains(&left.len()), "{left:?}");
        assert!(left.iter().any(|path| path.ends_with("000000-00049.jsonl")), "{left:?}");
    }
}
