//! The story of each message: one JSON line a step, kept for `mailctl trace` and told to the log.
//!
//! Lines are written behind by one thread, so that no step waits for a disk. A line lost with the machine's power is a
//! line of history, never mail. Files are `DAY.jsonl`, removed when the sum of all exceeds the limit.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mail::MessageId;
use serde_json::{Map, Value, json};
use system::Clock;

/// How many lines may wait for the writer; beyond that the oldest habit of logs applies and a line is dropped.
const WAITING_LINES: usize = 65_536;

/// The most that all files hold together, in octets.
const MOST_OCTETS: u64 = 256 << 20;

/// Takes the steps of all messages.
#[derive(Clone, Debug)]
pub struct Trace {
    lines: Arc<Mutex<Option<SyncSender<String>>>>,
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
        let (sender, receiver) = sync_channel(WAITING_LINES);
        let mut files = Files { folder: folder.to_owned(), open: None, clock: clock.clone() };
        let writer = std::thread::Builder::new().name("trace".to_owned()).spawn(move || files.write_all_of(&receiver))?;
        let writer = Arc::new(Mutex::new(Some(writer)));
        Ok(Self { lines: Arc::new(Mutex::new(Some(sender))), writer, clock })
    }

    /// Notes one step of a message: its name, and what belongs to it as a JSON object.
    pub fn step(&self, id: MessageId, step: &str, details: Value) {
        tracing::info!(id = %id, %details, "{step}");
        let mut line = Map::new();
        line.insert("at".to_owned(), json!(self.clock.micros()));
        line.insert("id".to_owned(), json!(id.to_string()));
        line.insert("step".to_owned(), json!(step));
        if let Value::Object(details) = details {
            line.extend(details);
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(TrySendError::Full(_))) = lines.as_ref().map(|sender| sender.try_send(text)) {
            tracing::warn!(%id, "the trace falls behind; a line of it is lost");
        }
    }

    /// Writes out what waits and ends the writer.
    pub fn close(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = writer.map(JoinHandle::join) {
            tracing::error!("the trace's writer had stopped");
        }
    }
}

/// The writer's side.
struct Files {
    folder: PathBuf,
    open: Option<(u64, File)>,
    clock: Arc<dyn Clock>,
}

impl Files {
    fn write_all_of(&mut self, lines: &Receiver<String>) {
        let mut batch = String::new();
        while let Ok(first) = lines.recv() {
            batch.push_str(&first);
            while batch.len() < 1 << 20 {
                let Ok(next) = lines.try_recv() else { break };
                batch.push_str(&next);
            }
            if let Err(error) = self.write(batch.as_bytes()) {
                tracing::warn!(%error, "the trace could not be written");
            }
            batch.clear();
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let day = self.clock.seconds() / 86_400;
        let file = match &mut self.open {
            Some((open_day, file)) if *open_day == day => file,
            open => {
                prune(&self.folder)?;
                let path = self.folder.join(format!("{day:06}.jsonl"));
                let file = OpenOptions::new().append(true).create(true).open(path)?;
                &mut open.insert((day, file)).1
            }
        };
        file.write_all(octets)
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
fn prune(folder: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    for path in files(folder)? {
        found.push((std::fs::metadata(&path)?.len(), path));
    }
    let mut sum: u64 = found.iter().map(|(size, _)| size).sum();
    for (size, path) in found {
        if sum <= MOST_OCTETS {
            break;
        }
        std::fs::remove_file(path)?;
        sum -= size;
    }
    Ok(())
}

/// The lines of every message whose id, Message-ID or an address equals `wanted`, oldest first.
///
/// # Errors
/// If a file cannot be read.
pub fn find(folder: &Path, wanted: &str) -> io::Result<Vec<Value>> {
    let wanted = wanted.trim().trim_start_matches('<').trim_end_matches('>').to_lowercase();
    let mut ids = std::collections::HashSet::new();
    each_line(folder, |line| {
        if let Some(id) = line.get("id").and_then(Value::as_str)
            && mentions(line, &wanted)
        {
            ids.insert(id.to_owned());
        }
    })?;
    let mut found = Vec::new();
    each_line(folder, |line| {
        if line.get("id").and_then(Value::as_str).is_some_and(|id| ids.contains(id)) {
            found.push(line.clone());
        }
    })?;
    Ok(found)
}

fn each_line(folder: &Path, mut each: impl FnMut(&Value)) -> io::Result<()> {
    for path in files(folder)? {
        for line in BufReader::new(File::open(path)?).lines() {
            // A line that was cut off by a crash is no line.
            if let Ok(value) = serde_json::from_str(&line?) {
                each(&value);
            }
        }
    }
    Ok(())
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
        trace.step(one, "accepted", json!({"from": "A@b.example", "to": ["c@d.example"], "message_id": "<x@y>"}));
        trace.step(two, "accepted", json!({"from": "e@f.example"}));
        trace.step(one, "delivered", json!({"folder": "INBOX", "uid": 7}));
        trace.close();
        for wanted in [one.to_string().as_str(), "a@b.example", "c@d.example", "x@y", "<x@y>"] {
            let steps: Vec<_> = find(folder.path(), wanted).unwrap().iter().map(|l| l["step"].clone()).collect();
            assert_eq!(steps, ["accepted", "delivered"], "{wanted}");
        }
        assert!(find(folder.path(), "nobody@d.example").unwrap().is_empty());
    }
}
