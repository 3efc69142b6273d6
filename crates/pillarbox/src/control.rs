//! The socket on which `mailctl` speaks with the running daemon: one line of JSON asks, one line of JSON answers.
//! Only the daemon's own user (and root) can open it.
//!
//! That user's programs are also those of rule files, and no confinement keeps them from the socket: Landlock knows files, not
//! whom one connects to. So each request carries a key, made anew at each start, from a file that they cannot read. Without it,
//! the daemon tells where it takes mail, which `sendmail` in a rule has to know, and nothing else.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mail::Secret;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::instance::Layout;

/// The longest request, in octets.
const LONGEST_REQUEST: u64 = 64 << 10;

/// The longest answer that `mailctl` reads, in octets.
const LONGEST_ANSWER: u64 = 64 << 20;

/// How long `mailctl` waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the daemon waits for a request, and for its answer to be read.
const ATTENTION: Duration = Duration::from_secs(10);

/// Connections that are served at a time; further ones wait.
const CONNECTIONS: usize = 64;

/// The key's length in octets, of which the file holds the hexadecimal digits.
const KEY: usize = 32;

/// Answers one request. An error is an answer with the key `error`.
pub(crate) trait Answers: Send + Sync + 'static {
    /// The answer to a request, whose `command` says what is wanted.
    fn answer(&self, request: &Value) -> Value;

    /// The answer to a request without the key, such as a program of a rule file may send.
    fn answer_stranger(&self, request: &Value) -> Value;
}

/// The open socket, and the key that opens it.
pub(crate) struct Door {
    listener: UnixListener,
    key: Secret,
}

/// Opens the socket, replacing what an earlier daemon left there. The caller holds the instance's lock.
///
/// # Errors
/// If the socket or the key's file cannot be made.
pub(crate) fn open(layout: &Layout) -> io::Result<Door> {
    let path = layout.control();
    // The key is there before anybody can connect: who has connected reads the one that counts.
    let key = make_key(&layout.control_key())?;
    remove(&path)?;
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Door { listener, key })
}

fn make_key(path: &Path) -> io::Result<Secret> {
    let mut octets = [0; KEY];
    getrandom::fill(&mut octets).map_err(io::Error::other)?;
    let key: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    remove(path)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.as_bytes())?;
    Ok(Secret::new(key))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Serves requests until the task is dropped.
pub(crate) async fn serve(door: Door, answers: Arc<dyn Answers>) {
    let Door { listener, key } = door;
    let (key, room) = (Arc::new(key), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (answers, key) = (answers.clone(), key.clone());
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &key, answers).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, key: &Secret, answers: Arc<dyn Answers>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::time::timeout(ATTENTION, tokio::io::BufReader::new(read.take(LONGEST_REQUEST)).read_line(&mut line)).await??;
    let answer = match serde_json::from_str::<Value>(&line) {
        Ok(request) => {
            let trusted = request["key"].as_str().is_some_and(|given| given.as_bytes().ct_eq(key.expose()).into());
            let answer = move || if trusted { answers.answer(&request) } else { answers.answer_stranger(&request) };
            tokio::task::spawn_blocking(answer).await.unwrap_or_else(|error| json!({"error": error.to_string()}))
        }
        Err(error) => json!({"error": format!("the request is no JSON: {error}")}),
    };
    tokio::time::timeout(ATTENTION, write.write_all(format!("{answer}\n").as_bytes())).await?
}

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing listens on the socket.
    #[error("the daemon is not running")]
    NotRunning,
    /// The socket is there, but the conversation failed.
    #[error("the daemon does not answer: {0}")]
    Io(#[from] io::Error),
    /// It answered with an error.
    #[error("{0}")]
    Refused(String),
}

/// Asks the daemon of an instance, with the key if it can be read.
///
/// # Errors
/// [`AskError`].
pub fn ask(layout: &Layout, request: &Value) -> Result<Value, AskError> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let stream = std::os::unix::net::UnixStream::connect(layout.control());
    let mut stream = match stream {
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => return Err(AskError::NotRunning),
        other => other?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = request.clone();
    if let (Ok(key), Some(request)) = (std::fs::read_to_string(layout.control_key()), request.as_object_mut()) {
        request.insert("key".to_owned(), key.into());
    }
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_ANSWER)).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(AskError::Refused(error.to_owned())),
        None => Ok(answer),
    }
}
