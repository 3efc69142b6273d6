//! `mailctl queue`: mail that is on its way.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::daemon::{Listing, ask_daemon, text};
use crate::instance::{fail, print, print_json};
use crate::trace::time;

/// What to do with the queue.
#[derive(Subcommand)]
pub(crate) enum QueueCommand {
    /// List the messages that are on their way
    List(Listing),
    /// Show one message with each recipient's state
    Show {
        /// The message's id
        id: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Try a message again at once
    Retry {
        /// The message's id
        id: String,
    },
    /// Put a message off until it is released
    Hold {
        /// The message's id
        id: String,
    },
    /// Let a message that was held go on
    Release {
        /// The message's id
        id: String,
    },
    /// Forget a message: nobody gets it, nobody is told
    Delete {
        /// The message's id
        id: String,
    },
}

pub(crate) fn run(path: &Path, command: &QueueCommand) -> ExitCode {
    match command {
        QueueCommand::List(listing) => list(path, None, listing),
        QueueCommand::Show { id, listing } => list(path, Some(id), listing),
        QueueCommand::Retry { id } => act(path, "queue-retry", id, "is tried again"),
        QueueCommand::Release { id } => act(path, "queue-release", id, "goes on"),
        QueueCommand::Hold { id } => act(path, "queue-hold", id, "is held"),
        QueueCommand::Delete { id } => act(path, "queue-delete", id, "is deleted"),
    }
}

fn act(path: &Path, command: &str, id: &str, done: &str) -> ExitCode {
    match ask_daemon(path, &json!({"command": command, "id": id})) {
        Ok(_) => {
            print(format_args!("{id} {done}"));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn list(path: &Path, only: Option<&String>, listing: &Listing) -> ExitCode {
    let answer = match ask_daemon(path, &json!({"command": "queue-list"})) {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let messages = answer["messages"].as_array().into_iter().flatten();
    let wanted: Vec<_> = messages.filter(|message| only.is_none_or(|id| message["id"] == **id)).collect();
    if let (Some(id), true) = (only, wanted.is_empty()) {
        return fail(1, format!("there is no message {id} in the queue"));
    }
    for message in wanted {
        if listing.json { print_json(message) } else { show(message) }
    }
    ExitCode::SUCCESS
}

fn show(message: &Value) {
    let at = json!(message["accepted"].as_u64().unwrap_or_default() * 1_000_000);
    print(format_args!("{} {} from <{}>", text(&message["id"]), time(&at), text(&message["sender"])));
    for recipient in message["recipients"].as_array().into_iter().flatten() {
        let reason = recipient["reason"].as_str().unwrap_or_default();
        print(format_args!("  {} {} after {} tries {reason}", text(&recipient["address"]), text(&recipient["state"]), recipient["tries"]));
    }
}
