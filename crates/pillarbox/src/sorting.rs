//! Moves messages that new rules want elsewhere, for `mailctl filter replay --apply`: through the running daemon, or without one on the
//! instance as it lies there. Either way they move as over IMAP: by the journal, with their flags, keywords and dates.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use config::Config;
use serde_json::Value;

use crate::house::House;
use crate::open::{self, StartError};

/// Moves, on an instance on which no daemon runs. `requests` are those that the daemon would be asked with; gives the number of
/// messages that were moved.
///
/// # Errors
/// [`StartError`] if the instance cannot be opened, such as when a daemon has been started meanwhile.
pub fn without_daemon(config_path: PathBuf, config: Config, requests: &[Value]) -> Result<u64, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _inside = runtime.enter();
    let opened = open::open(config_path, config)?;
    // What a crash has cut short comes first. Mail that waits in the queue stays there.
    open::replay(&opened.house, opened.unfinished);
    let mut moved = 0;
    let outcome = requests.iter().try_for_each(|request| {
        moved += carry_out(&opened.house, request).map_err(|error| StartError::Io(std::io::Error::other(error)))?;
        Ok(())
    });
    opened.house.close(true);
    outcome.map(|()| moved)
}

/// Moves messages of one mailbox into another, which is made if it is missing; gives how many there were. Those that are gone
/// meanwhile are passed over.
pub(crate) fn carry_out(house: &Arc<House>, request: &Value) -> Result<u64, String> {
    let text = |key: &str| request[key].as_str().ok_or_else(|| format!("{key} is missing"));
    let (account, from, to) = (text("account")?, text("from")?, text("to")?);
    let files: HashSet<&[u8]> =
        request["files"].as_array().into_iter().flatten().filter_map(|file| Some(file.as_str()?.as_bytes())).collect();
    let record = house.authenticator.accounts().find(account).ok_or_else(|| format!("there is no account {account}"))?;
    let agent = house.agent_blocking(&record).map_err(|error| error.to_string())?;
    let mail = agent.account();
    if !mail.mailboxes().map_err(|error| error.to_string())?.iter().any(|listed| listed.selectable && listed.name == to) {
        mail.create(to, None).map_err(|error| format!("{to}: {error}"))?;
    }
    let mut view = mail.view(from, false).map_err(|error| format!("{from}: {error}"))?;
    let uids = view.named(&files).map_err(|error| error.to_string())?;
    let (copied, pending) = view.relocate(&uids, to).map_err(|error| format!("{to}: {error}"))?;
    pending.wait().map_err(|error| error.to_string())?;
    agent.tell("moved", from, &copied.from, Some((to, &copied.to)));
    Ok(copied.from.len() as u64)
}
