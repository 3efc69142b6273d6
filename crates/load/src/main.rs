//! Load generator for the benchmarks: drives any SMTP or IMAP server, and knows nothing of Pillarbox.
//!
//! Each subcommand is one module with its own arguments. What they share is small: `wire` (a buffered connection that reads lines),
//! `message` (made-up but realistic mail), `report` (counts, latencies, and the generator's own CPU time, so that a reader can see
//! that it was not the bottleneck). Every run is bounded in count and time. Results are one line of text, or of JSON with `--json`.

mod error;
mod files;
mod fill;
mod imap;
mod limits;
mod message;
mod random;
mod report;
mod sink;
mod smtp;
mod wire;

use clap::{Parser, Subcommand};
use error::Error;
use std::process::ExitCode;

/// Drive a mail server and measure what it answers.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Threads of the generator. One is enough for most servers; the report shows its CPU share.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand)]
enum Command {
    /// Send messages by SMTP.
    Smtp(smtp::Arguments),
    /// Accept messages by SMTP and forget them.
    SmtpSink(sink::Arguments),
    /// Work on a mailbox by IMAP.
    Imap(imap::Arguments),
    /// Fill mailboxes with made-up mail.
    Fill(fill::Arguments),
    /// Wait until a Maildir holds a number of messages.
    MaildirWait(files::Arguments),
    /// Measure what this machine can do at all.
    Limits(limits::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            report::remark(&format!("load: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Runs the subcommand. False if some of the work failed.
fn run(arguments: Arguments) -> Result<bool, Error> {
    raise_file_limit();
    let json = arguments.json;
    let runtime = runtime(arguments.threads)?;
    let report = match arguments.command {
        Command::Smtp(smtp) => runtime.block_on(smtp::run(smtp))?,
        Command::SmtpSink(sink) => runtime.block_on(sink::run(sink))?,
        Command::Imap(imap) => runtime.block_on(imap::run(imap))?,
        Command::Fill(fill) => runtime.block_on(fill::run(fill))?,
        Command::MaildirWait(wait) => files::run(&wait)?,
        Command::Limits(limits) => limits::run(&limits)?,
    };
    report.print(json)?;
    Ok(report.good())
}

fn runtime(threads: u8) -> Result<tokio::runtime::Runtime, Error> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(usize::from(threads));
    }
    builder.enable_all().build().map_err(|source| Error::io("runtime", source))
}

/// Thousands of sessions need more descriptors than the usual soft limit. A failure shows up later as a failed connection.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        report::remark(&format!("load: cannot raise the limit of open files: {error}"));
    }
}
