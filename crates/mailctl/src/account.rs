//! `mailctl account`: who may log in here. Passwords come from a prompt or from standard input, never from the command line.

use std::io::{self, BufRead, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use auth::{AccountName, Accounts, AccountsError};
use clap::{Args, Subcommand};
use mail::Secret;
use pillarbox::control::ask;
use pillarbox::instance::Layout;
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use serde_json::json;

use crate::daemon::Listing;
use crate::instance::{EX_DATAERR, EX_IOERR, EX_TEMPFAIL, fail, load, print, print_json};

/// What to do with the accounts.
#[derive(Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account
    Add {
        /// Its name: what is logged in with, and the local part of its address at this host
        name: String,
        /// The folder that holds its Maildir and .procmailrc; by default a new one in the instance's data folder
        #[arg(long, value_name = "FOLDER")]
        home: Option<PathBuf>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the accounts
    List(Listing),
    /// Give an account a new password
    Passwd {
        /// Its name
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Remove an account; its home and mail stay
    Remove {
        /// Its name
        name: String,
    },
}

/// Where the password comes from.
#[derive(Args)]
pub(crate) struct PasswordSource {
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) fn run(path: &Path, command: AccountCommand) -> ExitCode {
    let (config, layout) = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EX_TEMPFAIL, error),
    };
    let done = runtime.block_on(async {
        let accounts = Accounts::open(&layout.accounts(), &config.auth).await?;
        carry_out(&accounts, &layout, command).await
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Home(error)) => fail(EX_DATAERR, error),
        Err(Failure::Input(error)) => fail(EX_IOERR, format!("the password: {error}")),
        Err(Failure::Accounts(error)) if error.is_temporary() => fail(EX_TEMPFAIL, error),
        Err(Failure::Accounts(error)) => fail(EX_DATAERR, error),
    }
}

/// A home belongs to one account, and to the user that the daemon runs as: that of the instance's data folder.
fn check_home(accounts: &Accounts, layout: &Layout, home: &Path) -> Result<(), String> {
    let shown = home.display();
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(other) = accounts.list().iter().find(|other| real(&other.home) == real(home)) {
        return Err(format!("{shown} is the home of {} already: two accounts on one Maildir would be in each other's way", other.name));
    }
    let owner = |path: &Path| path.metadata().map(|meta| meta.uid());
    match (owner(home), owner(layout.data())) {
        (Ok(theirs), Ok(ours)) if theirs != ours => Err(format!(
            "{shown} belongs to user {theirs}, and the daemon of this instance runs as user {ours}, as which it would write and run \
             rules there\n  give it the folder first, with: chown -R {ours} {shown}"
        )),
        _ => Ok(()),
    }
}

/// Why a command failed.
enum Failure {
    Home(String),
    Input(io::Error),
    Accounts(AccountsError),
}

impl From<AccountsError> for Failure {
    fn from(error: AccountsError) -> Self {
        Self::Accounts(error)
    }
}

async fn carry_out(accounts: &Accounts, layout: &Layout, command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Add { name, home, password } => {
            let name: AccountName = name.parse()?;
            if accounts.exists(name.as_str()) {
                return Err(AccountsError::Exists(name.to_string()).into());
            }
            let home = home.map_or_else(|| layout.home(name.as_str()), |home| std::path::absolute(&home).unwrap_or(home));
            check_home(accounts, layout, &home).map_err(Failure::Home)?;
            accounts.add(&name, password.read().map_err(Failure::Input)?, &home).await?;
            print(format_args!("added {name}, home {}", home.display()));
        }
        AccountCommand::Passwd { name, password } => {
            let name: AccountName = name.parse()?;
            if !accounts.exists(name.as_str()) {
                return Err(AccountsError::Missing(name.to_string()).into());
            }
            accounts.set_password(&name, password.read().map_err(Failure::Input)?).await?;
            print(format_args!("changed the password of {name}"));
        }
        AccountCommand::Remove { name } => {
            accounts.remove(&name.parse()?).await?;
            print(format_args!("removed {name}; its home and mail stay"));
        }
        AccountCommand::List(listing) => {
            list(accounts, &listing);
            return Ok(());
        }
    }
    // A daemon that is not running has nothing to hear.
    let _ = ask(layout, &json!({"command": "refresh-accounts"}));
    Ok(())
}

fn list(accounts: &Accounts, listing: &Listing) {
    for account in accounts.list() {
        if listing.json {
            print_json(&json!({
                "name": account.name.as_str(), "home": account.home, "created": account.created, "disabled": account.disabled,
            }));
        } else {
            let remark = if account.disabled { "  (disabled)" } else { "" };
            print(format_args!("{:<20} {}{remark}", account.name.as_str(), account.home.display()));
        }
    }
}

impl PasswordSource {
    fn read(&self) -> io::Result<Secret> {
        let stdin = io::stdin();
        if self.password_stdin || !isatty(&stdin) {
            if !self.password_stdin {
                return Err(io::Error::other("there is no terminal to ask on; use --password-stdin"));
            }
            return read_line();
        }
        let first = prompt("Password: ")?;
        let second = prompt("Again: ")?;
        if first.expose() != second.expose() {
            return Err(io::Error::other("the two differ"));
        }
        Ok(first)
    }
}

fn read_line() -> io::Result<Secret> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let password = Secret::new(line.trim_end_matches(['\r', '\n']));
    zeroize::Zeroize::zeroize(&mut line);
    Ok(password)
}

/// Asks on the terminal without showing what is typed.
fn prompt(text: &str) -> io::Result<Secret> {
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    eprint!("{text}");
    io::stderr().flush()?;
    tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let password = read_line();
    tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
    eprintln!();
    password
}
