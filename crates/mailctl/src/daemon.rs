//! What is asked of the running daemon: reload, status, journal.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pillarbox::control::{AskError, ask};
use serde_json::{Value, json};

use crate::instance::{EX_IOERR, EX_TEMPFAIL, EX_UNAVAILABLE, fail, load, print, print_json};

/// How a listing is printed.
#[derive(Args)]
pub(crate) struct Listing {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with the journal.
#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// How full the journal is and what it waits for
    Status(Listing),
    /// Read every record and say what is damaged; works with and without the daemon
    Verify(Listing),
}

/// Asks the daemon of the instance, with the exit status of its refusal.
pub(crate) fn ask_daemon(path: &Path, request: &Value) -> Result<Value, ExitCode> {
    let (_, layout) = load(path)?;
    ask(&layout, request).map_err(|error| match error {
        AskError::NotRunning => fail(EX_UNAVAILABLE, format!("{error}; start it with: pillarbox --config {}", path.display())),
        AskError::Io(_) => fail(EX_TEMPFAIL, error),
        AskError::Refused(_) => fail(EX_UNAVAILABLE, error),
    })
}

/// Asks, and prints the answer as JSON or by `human`.
fn show(path: &Path, request: &Value, listing: &Listing, human: impl Fn(&Value)) -> ExitCode {
    match ask_daemon(path, request) {
        Ok(answer) if listing.json => print_json(&answer),
        Ok(answer) => human(&answer),
        Err(code) => return code,
    }
    ExitCode::SUCCESS
}

pub(crate) fn reload(path: &Path, listing: &Listing) -> ExitCode {
    show(path, &json!({"command": "reload"}), listing, |answer| {
        print("reloaded");
        let later: Vec<_> = answer["after_restart"].as_array().into_iter().flatten().map(text).collect();
        if !later.is_empty() {
            eprintln!("these new values count after a restart: {}", later.join(", "));
        }
    })
}

pub(crate) fn status(path: &Path, listing: &Listing) -> ExitCode {
    show(path, &json!({"command": "status"}), listing, |answer| {
        print(format_args!("pillarbox {} runs as process {}", text(&answer["version"]), answer["pid"]));
        for listener in answer["listeners"].as_array().into_iter().flatten() {
            print(format_args!("{:<12} {}", text(&listener["service"]), text(&listener["address"])));
        }
    })
}

pub(crate) fn journal(path: &Path, command: &JournalCommand) -> ExitCode {
    match command {
        JournalCommand::Status(listing) => show(path, &json!({"command": "journal-status"}), listing, print_pairs),
        JournalCommand::Verify(listing) => verify(path, listing),
    }
}

fn verify(path: &Path, listing: &Listing) -> ExitCode {
    let layout = match load(path) {
        Ok((_, layout)) => layout,
        Err(code) => return code,
    };
    let report = match pillarbox::check::journal(&layout) {
        Ok(report) => report,
        Err(error) => return fail(EX_IOERR, format!("{}: {error}", layout.journal().display())),
    };
    if listing.json {
        print_json(&report)
    } else {
        print_pairs(&report)
    }
    if report["damage"].as_array().is_none_or(Vec::is_empty) { ExitCode::SUCCESS } else { ExitCode::from(EX_IOERR) }
}

/// One `key: value` a line.
fn print_pairs(answer: &Value) {
    for (key, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Array(entries) => {
                print(format_args!("{key}: {}", entries.len()));
                entries.iter().for_each(|entry| print(format_args!("  {}", text(entry))));
            }
            _ => print(format_args!("{key}: {}", text(value))),
        }
    }
}

/// A value without the quotes that JSON puts around text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
