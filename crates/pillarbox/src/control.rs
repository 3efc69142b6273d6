//! The socket on which `mailctl` speaks with the running daemon: one line of JSON asks, one line of JSON answers.
//! Only the daemon's own user (and root) can open it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// The longest request, in octets.
const LONGEST_REQUEST: u64 = 64 << 10;

/// The longest answer that `mailctl` reads, in octets.
const LONGEST_ANSWER: u64 = 64 << 20;

/// How long `mailctl` waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers one request. An error is an answer with the key `error`.
pub trait Answers: Send + Sync + 'static {
    /// The answer to a request, whose `command` says what is wanted.
    fn answer(&self, request: &Value) -> Value;
}

/// Opens the socket, replacing what an earlier daemon left there. The caller holds the instance's lock.
///
/// # Errors
/// If the socket cannot be made.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves requests until the task is dropped.
pub async fn serve(listener: UnixListener, answers: Arc<dyn Answers>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answers = answers.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, answers).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, answers: Arc<dyn Answers>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(LONGEST_REQUEST)).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Value>(&line) {
        Ok(request) => {
            tokio::task::spawn_blocking(move || answers.answer(&request)).await.unwrap_or_else(|error| json!({"error": error.to_string()}))
        }
        Err(error) => json!({"error": format!("the request is no JSON: {error}")}),
    };
    write.write_all(format!("{answer}\n").as_bytes()).await
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

/// Asks the daemon behind the socket at `path`.
///
/// # Errors
/// [`AskError`].
pub fn ask(path: &Path, request: &Value) -> Result<Value, AskError> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let stream = std::os::unix::net::UnixStream::connect(path);
    let mut stream = match stream {
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => return Err(AskError::NotRunning),
        other => other?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_ANSWER)).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(AskError::Refused(error.to_owned())),
        None => Ok(answer),
    }
}
