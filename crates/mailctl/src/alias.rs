//! `mailctl alias`: lists and changes the alias maps, and tells what becomes of an address.

mod settings;
mod show;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use alias::edit::{self, Change, EditError};
use alias::{Resolver, Sender};
use auth::Accounts;
use clap::Subcommand;
use pillarbox::instance::Layout;
use serde_json::json;

use crate::instance::{EX_CONFIG, EX_DATAERR, EX_IOERR, fail, load};

/// sysexits(3): a file is not there.
const EX_NOINPUT: u8 = 66;
/// sysexits(3): a file may not be read or changed.
const EX_NOPERM: u8 = 77;

/// What to do with the aliases.
#[derive(Subcommand)]
pub(crate) enum AliasCommand {
    /// List the lines of the alias maps
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Add targets to an address, in its line or in a new one
    Add {
        /// The map to change, as the configuration names it. Default: the one that has the address, or else the first
        #[arg(long)]
        map: Option<String>,
        /// An address, `@domain` for all others of a domain, a name, or a domain
        address: String,
        /// Who gets its mail. For a domain that is to be taken any word does, such as `-`
        #[arg(required = true, allow_hyphen_values = true)]
        targets: Vec<String>,
    },
    /// Take targets off an address, or its whole line
    Remove {
        /// The map to change, as the configuration names it. Default: the one that has the address
        #[arg(long)]
        map: Option<String>,
        /// The address as it stands in the map
        address: String,
        /// The targets that go. Default: all, with the line
        targets: Vec<String>,
    },
    /// Tell what becomes of mail for an address: the whole expansion, or the reply a stranger would get
    Resolve {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        /// Answer for somebody who is logged in, who may write anywhere
        #[arg(long)]
        member: bool,
        /// Names and maps from a JSON file with Postfix's parameters, in place of the instance's
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// What stands between `<` and `>` in RCPT TO
        #[arg(required = true, allow_hyphen_values = true)]
        addresses: Vec<String>,
    },
}

/// What the commands need of an instance.
struct Instance {
    config: config::Config,
    /// The names of its accounts.
    accounts: Vec<String>,
}

impl Instance {
    fn open(path: &Path) -> Result<Self, Failure> {
        let (config, layout) = load(path).map_err(Failure::Told)?;
        let accounts = accounts(&config, &layout).map_err(|error| Failure::new(EX_IOERR, format!("cannot read the accounts: {error}")))?;
        Ok(Self { config, accounts })
    }

    fn resolver(&self) -> alias::Loaded {
        let server = &self.config.server;
        let interfaces: Vec<_> = server.smtp.iter().map(std::net::SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
        Resolver::load(&self.config.alias, &server.hostname, &interfaces, &alias::read_file)
    }

    /// The map that a change is for: the one that is named, the one that has the address, or the first that can be edited.
    fn map_for(&self, named: Option<String>, address: &str) -> Result<String, Failure> {
        let maps = &self.config.alias.maps;
        if let Some(named) = named {
            // The configuration's paths are absolute by now; the name may be as it stands in the file.
            let kind = |map: &str| map.split_once(':').map(|(kind, _)| kind.to_owned());
            let is_named = |map: &&String| kind(map) == kind(&named) && Path::new(alias::path(map)).ends_with(alias::path(&named));
            let unknown = || Failure::new(EX_DATAERR, format!("the configuration names no map {named}; it has {}", maps.join(", ")));
            return maps.iter().find(is_named).cloned().ok_or_else(unknown);
        }
        let listed: Vec<_> = maps.iter().filter_map(|map| Some((map, listed(map)?))).collect();
        let same = |entry: &edit::Entry| entry.key.to_lowercase() == address.to_lowercase();
        let having = listed.iter().find(|(_, entries)| entries.iter().any(same)).or(listed.first());
        let none = "the configuration names no map that can be edited; put one into alias.maps, such as \"hash:virtual\"";
        having.map(|(map, _)| (*map).clone()).ok_or_else(|| Failure::new(EX_CONFIG, none))
    }
}

/// The lines of a map that can be edited; a file that is still to be made has none.
fn listed(map: &str) -> Option<Vec<edit::Entry>> {
    match edit::list(map) {
        Ok(entries) => Some(entries),
        Err(EditError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Some(Vec::new()),
        Err(_) => None,
    }
}

/// The names of the accounts; there are none before the database is made.
fn accounts(config: &config::Config, layout: &Layout) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    if !layout.accounts().exists() {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accounts = runtime.block_on(Accounts::open(&layout.accounts(), &config.auth))?;
    Ok(accounts.list().iter().map(|account| account.name.to_string()).collect())
}

/// Why a command ended.
enum Failure {
    /// With this exit status and message.
    Now(u8, String),
    /// It has been told already.
    Told(ExitCode),
}

impl Failure {
    fn new(status: u8, message: impl Into<String>) -> Self {
        Self::Now(status, message.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(EX_IOERR, error.to_string())
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        let status = match &error {
            EditError::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => EX_NOINPUT,
                io::ErrorKind::PermissionDenied => EX_NOPERM,
                _ => EX_IOERR,
            },
            _ => EX_DATAERR,
        };
        Self::new(status, error.to_string())
    }
}

/// Carries a command out on the instance whose configuration is at `path`.
pub(crate) fn run(path: &Path, command: AliasCommand) -> ExitCode {
    match carry_out(path, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told(code)) => code,
        Err(Failure::Now(status, message)) => fail(status, message),
    }
}

fn carry_out(path: &Path, command: AliasCommand) -> Result<(), Failure> {
    match command {
        AliasCommand::List { json } => list(&Instance::open(path)?, json),
        AliasCommand::Add { map, address, targets } => add(&Instance::open(path)?, map, &address, &targets),
        AliasCommand::Remove { map, address, targets } => remove(&Instance::open(path)?, map, &address, &targets),
        AliasCommand::Resolve { json, member, settings, addresses } => {
            let sender = if member { Sender::Member } else { Sender::Stranger };
            let (resolver, accounts) = match settings {
                Some(file) => settings::load(&file).map_err(|message| Failure::new(EX_CONFIG, message))?,
                None => resolver(Instance::open(path)?),
            };
            Ok(show::answers(&resolver, sender, &accounts, &addresses, json)?)
        }
    }
}

/// The instance's resolver as the daemon has it at its start, and the accounts.
fn resolver(instance: Instance) -> (Resolver, Vec<String>) {
    let loaded = instance.resolver();
    loaded.problems().iter().for_each(remark);
    (loaded.deferring(), instance.accounts)
}

fn list(instance: &Instance, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for map in &instance.config.alias.maps {
        let entries = match edit::list(map) {
            Ok(entries) => entries,
            Err(error @ EditError::Kind { .. }) => {
                remark(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let width = entries.iter().map(|entry| entry.key.chars().count()).max().unwrap_or(0);
        for entry in entries {
            match json {
                true => writeln!(out, "{}", json!({"map": map, "line": entry.line, "address": entry.key, "targets": entry.targets()}))?,
                false => writeln!(out, "{:width$}  {}", entry.key, entry.value)?,
            }
        }
    }
    Ok(())
}

fn add(instance: &Instance, map: Option<String>, address: &str, targets: &[String]) -> Result<(), Failure> {
    let map = instance.map_for(map, address)?;
    let change = edit::add(&map, address, targets)?;
    report(&map, address, change)?;
    if let Change::Added(line) | Change::Changed(line) = change {
        remarks(instance, &map, line);
    }
    Ok(())
}

fn remove(instance: &Instance, map: Option<String>, address: &str, targets: &[String]) -> Result<(), Failure> {
    let map = instance.map_for(map, address)?;
    let change = edit::remove(&map, address, targets)?;
    report(&map, address, change)
}

fn report(map: &str, address: &str, change: Change) -> Result<(), Failure> {
    let file = alias::path(map);
    let mut out = io::stdout().lock();
    match change {
        Change::Nothing => writeln!(out, "{file}: {address} has these targets already")?,
        Change::Changed(line) => writeln!(out, "{file}:{line}: changed the line of {address}")?,
        Change::Added(line) => writeln!(out, "{file}:{line}: added a line for {address}")?,
        Change::Removed(line) => writeln!(out, "{file}:{line}: removed the line of {address}")?,
    }
    Ok(())
}

/// What is odd about the line that was written.
fn remarks(instance: &Instance, map: &str, line: u32) {
    let loaded = instance.resolver();
    let mut problems = loaded.problems().to_vec();
    problems.extend(loaded.lenient().lint(&instance.accounts));
    for problem in problems.iter().filter(|problem| problem.map == map && problem.line == line) {
        remark(problem);
    }
}

/// Tells something beside the data; if standard error is gone, nobody wants to hear it.
fn remark(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "mailctl: {text}");
}
