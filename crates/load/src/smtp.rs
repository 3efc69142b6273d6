//! Sends messages by SMTP over many sessions at once, as `smtp-source` does, and measures each transaction.

use crate::error::Error;
use crate::files::Watch;
use crate::message::{self, Sketch};
use crate::report::{Moved, Report, Tally};
use crate::wire::{Target, Wire};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A session gives up after this many failures in a row, so that a dead server ends the run.
const FAILURES_IN_A_ROW: u32 = 20;
/// Bodies up to this size are copied behind their header, which saves a system call.
const ONE_WRITE: usize = 128 * 1024;

/// Arguments of `load smtp`.
#[derive(clap::Args, Clone)]
pub(crate) struct Arguments {
    /// The server, host:port.
    #[arg(long)]
    to: String,
    /// Sessions at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: u32,
    /// Messages in all.
    #[arg(long, default_value_t = 100)]
    messages: u64,
    /// Begin no further message after this many seconds.
    #[arg(long, default_value_t = 3600.0)]
    seconds: f64,
    /// Octets of each message, headers included.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Messages over one connection; 0 for as many as there are.
    #[arg(long, default_value_t = 1)]
    per_connection: u64,
    /// Envelope sender, and From.
    #[arg(long, default_value = "sender@load.example")]
    from: String,
    /// Envelope recipient, and To. Several are used in turn, one for a message.
    #[arg(long, required = true)]
    rcpt: Vec<String>,
    /// Send MAIL, RCPT and DATA without waiting for their replies.
    #[arg(long)]
    pipelining: bool,
    /// TLS from the first octet.
    #[arg(long)]
    tls: bool,
    /// Seconds to wait for any reply.
    #[arg(long, default_value_t = 120)]
    patience: u64,
    /// Stop the clock only when all messages are files of these Maildirs (or plain folders).
    #[arg(long)]
    until_in: Vec<PathBuf>,
    /// With --until-in: how many new files to wait for, if not one for each message.
    #[arg(long)]
    until_count: Option<u64>,
    /// Seed of the message texts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What all sessions share.
struct Job {
    arguments: Arguments,
    target: Target,
    next: AtomicU64,
    until: Instant,
    body: Vec<u8>,
    tally: Tally,
}

/// Sends the messages, and waits for their files if asked to.
pub(crate) async fn run(arguments: Arguments) -> Result<Report, Error> {
    let patience = Duration::from_secs(arguments.patience);
    let target = Target { address: arguments.to.clone(), tls: arguments.tls, patience };
    let watch = if arguments.until_in.is_empty() { None } else { Some(Watch::start(&arguments.until_in)?) };
    let body = body(&arguments);
    let (sessions, expected) = (arguments.sessions, arguments.until_count.unwrap_or(arguments.messages));
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds.clamp(0.0, 86_400.0));
    let job = Arc::new(Job { arguments, target, next: AtomicU64::new(0), until, body, tally: Tally::start() });
    let arrival = watch.map(|watch| tokio::task::spawn_blocking(move || watch.wait(expected, patience)));
    let running: Vec<_> = (0..sessions).map(|_| tokio::spawn(session(Arc::clone(&job)))).collect();
    for session in running {
        session.await.map_err(|error| Error::Usage(error.to_string()))?;
    }
    if arrival.is_none() {
        job.tally.stop();
    }
    let accepted = Instant::now();
    let mut late = None;
    if let Some(arrival) = arrival {
        let last = arrival.await.map_err(|error| Error::Usage(error.to_string()))??;
        // Counting the files in the end takes time in a large folder.
        job.tally.stop_at(last.max(accepted));
        late = Some(last);
    }
    let mut report = job.tally.report("smtp");
    if let Some(last) = late {
        report.put("last_file_after_last_reply_seconds", json!(last.saturating_duration_since(accepted).as_secs_f64()));
    }
    Ok(report)
}

/// The text that every message carries below its own header: made once, so that the generator has little to do.
fn body(arguments: &Arguments) -> Vec<u8> {
    let mut whole = Vec::new();
    let sketch = Sketch { number: 0, seed: arguments.seed, size: arguments.size, from: &arguments.from, to: first(arguments), plain: true };
    message::write(&sketch, &mut whole);
    let end = memchr::memmem::find(&whole, b"\r\n\r\n").map_or(0, |position| position + 4);
    whole.split_off(end)
}

fn first(arguments: &Arguments) -> &str {
    arguments.rcpt.first().map_or("", String::as_str)
}

impl Job {
    /// The number of the next message, or None when all are taken or the time is over.
    fn ticket(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.arguments.messages && Instant::now() < self.until).then_some(number)
    }

    /// Header and, if it is small, the body and the final dot.
    fn data(&self, number: u64, rcpt: &str) -> Vec<u8> {
        let Arguments { seed, from, .. } = &self.arguments;
        let mut data = Vec::new();
        message::write(&Sketch { number, seed: *seed, size: 0, from, to: rcpt, plain: true }, &mut data);
        // The made-up message of size 0 ends with an empty body; the shared one takes its place.
        let end = memchr::memmem::find(&data, b"\r\n\r\n").map_or(data.len(), |position| position + 4);
        data.truncate(end);
        if self.body.len() <= ONE_WRITE {
            data.extend_from_slice(&self.body);
            data.extend_from_slice(b".\r\n");
        }
        data
    }
}

/// One session: connections one after another until no message is left.
async fn session(job: Arc<Job>) {
    let mut failures = 0;
    let mut pending = job.ticket();
    while pending.is_some() && failures < FAILURES_IN_A_ROW {
        match connection(&job, &mut pending).await {
            Ok(()) => failures = 0,
            Err(error) => {
                job.tally.fail("session", &error);
                failures += 1;
                pending = job.ticket();
            }
        }
    }
}

/// One connection: greeting, its share of the messages, QUIT. `pending` is the message to send next.
async fn connection(job: &Job, pending: &mut Option<u64>) -> Result<(), Error> {
    let begun = Instant::now();
    let mut wire = greet(&job.target).await?;
    let mut first = Some(begun);
    let mut sent = 0;
    while let Some(number) = *pending {
        let start = first.take().unwrap_or_else(Instant::now);
        transaction(job, &mut wire, number).await?;
        let bytes = job.arguments.size as u64;
        job.tally.record("message", start.elapsed(), Moved { commands: 4, items: 1, bytes });
        *pending = job.ticket();
        sent += 1;
        if sent == job.arguments.per_connection {
            break;
        }
    }
    command(&mut wire, "QUIT\r\n", b'2').await
}

/// Connects and says EHLO.
pub(crate) async fn greet(target: &Target) -> Result<Wire, Error> {
    let mut wire = Wire::connect(target).await?;
    reply(&mut wire, "greeting", b'2').await?;
    command(&mut wire, "EHLO load.example\r\n", b'2').await?;
    Ok(wire)
}

async fn transaction(job: &Job, wire: &mut Wire, number: u64) -> Result<(), Error> {
    let recipients = &job.arguments.rcpt;
    let rcpt = &recipients[usize::try_from(number).unwrap_or(0) % recipients.len()];
    envelope(wire, &job.arguments.from, rcpt, job.arguments.pipelining).await?;
    wire.send(&job.data(number, rcpt)).await?;
    if job.body.len() > ONE_WRITE {
        wire.send(&job.body).await?;
        wire.send(b".\r\n").await?;
    }
    reply(wire, "end of data", b'2').await
}

/// MAIL, RCPT and DATA with their replies.
pub(crate) async fn envelope(wire: &mut Wire, from: &str, rcpt: &str, pipelining: bool) -> Result<(), Error> {
    let (mail, rcpt) = (format!("MAIL FROM:<{from}>\r\n"), format!("RCPT TO:<{rcpt}>\r\n"));
    if pipelining {
        wire.send(format!("{mail}{rcpt}DATA\r\n").as_bytes()).await?;
        reply(wire, &mail, b'2').await?;
        reply(wire, &rcpt, b'2').await?;
        return reply(wire, "DATA", b'3').await;
    }
    command(wire, &mail, b'2').await?;
    command(wire, &rcpt, b'2').await?;
    command(wire, "DATA\r\n", b'3').await
}

async fn command(wire: &mut Wire, line: &str, class: u8) -> Result<(), Error> {
    wire.send(line.as_bytes()).await?;
    reply(wire, line, class).await
}

/// Reads one reply of any number of lines; anything but the wanted class (its first digit) is a refusal.
pub(crate) async fn reply(wire: &mut Wire, command: &str, class: u8) -> Result<(), Error> {
    loop {
        let line = wire.line().await?;
        if line.get(3) == Some(&b'-') {
            continue;
        }
        return if line.first() == Some(&class) { Ok(()) } else { Err(Error::refused(command, line)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    async fn drive(extra: &[&str]) -> (Report, sink::Counts) {
        let (address, counts) = sink::for_test().await;
        let mut line = vec!["smtp", "--to", &address, "--rcpt", "a@b.example"];
        line.extend_from_slice(extra);
        let report = run(Line::parse_from(line).arguments).await.unwrap();
        (report, counts.snapshot())
    }

    #[tokio::test]
    async fn every_message_arrives_whole() {
        for extra in [
            &["--messages", "25", "--sessions", "4"][..],
            &["--messages", "25", "--sessions", "4", "--per-connection", "0"],
            &["--messages", "25", "--sessions", "3", "--per-connection", "4", "--pipelining"],
            &["--messages", "3", "--size", "1000000", "--per-connection", "2"],
        ] {
            let (report, counts) = drive(extra).await;
            assert!(report.good(), "{extra:?}");
            assert_eq!(counts.messages.to_string(), extra[1], "{extra:?}");
            let size: u64 = extra.iter().position(|word| *word == "--size").map_or(4096, |at| extra[at + 1].parse().unwrap());
            assert!((counts.bytes / counts.messages).abs_diff(size) < 200, "{extra:?}: {}", counts.bytes / counts.messages);
        }
    }

    #[tokio::test]
    async fn a_dead_server_ends_the_run() {
        let line = ["smtp", "--to", "127.0.0.1:1", "--rcpt", "a@b.example", "--messages", "1000000"];
        let report = run(Line::parse_from(line).arguments).await.unwrap();
        assert!(!report.good());
    }
}
