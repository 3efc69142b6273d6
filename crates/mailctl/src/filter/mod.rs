//! `mailctl filter`: what a rule file does with messages, and what is suspicious in it.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

mod check;
mod explain;
mod landing;
mod replay;
mod subject;

const DATA_ERROR: u8 = 65;
const NO_INPUT: u8 = 66;

/// Subcommands of `mailctl filter`.
#[derive(Subcommand)]
pub(crate) enum FilterCommand {
    /// Show, recipe by recipe, what a rule file does with the message on standard input; nothing is delivered
    Explain(explain::ExplainArgs),
    /// Find what is suspicious in rule files
    Check(check::CheckArgs),
    /// Run a rule file over the messages of a mailbox and list those that it would put elsewhere; nothing is touched without --apply
    Replay(replay::ReplayArgs),
}

/// Runs the command.
pub(crate) fn run(config: &Path, command: &FilterCommand) -> ExitCode {
    match command {
        FilterCommand::Explain(args) => explain::run(config, args),
        FilterCommand::Check(args) => check::run(args),
        FilterCommand::Replay(args) => replay::run(config, args),
    }
}

fn print(text: &str) -> ExitCode {
    // A reader that went away wants no more.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The text as it can be shown on a terminal: control characters are written out (`\r`), but for those in `kept`. Names and
/// messages are strangers'.
fn visible(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && !kept.contains(&letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}
