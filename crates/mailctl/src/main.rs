//! The admin's command, and the stand-ins for commands of other mail systems, by the name it is called.
//!
//! Each subcommand has its module; this file only finds the right one. Data goes to standard output, remarks to standard
//! error, and exit codes follow sysexits(3).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod account;
mod alias;
mod config_command;
mod daemon;
mod filter;
mod formail;
mod init;
mod instance;
mod procmail;
mod queue;
mod sendmail;
mod trace;

/// Where the instance of a machine has its configuration.
const CONFIG: &str = "/etc/pillarbox/pillarbox.toml";

/// Administers a Pillarbox mail server.
#[derive(Parser)]
#[command(name = "mailctl", version, about, max_term_width = 100)]
struct Cli {
    /// The configuration file of the instance
    #[arg(long, global = true, env = "PILLARBOX_CONFIG", default_value = CONFIG, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a self-contained instance under a folder
    Init(init::InitArgs),
    /// Accounts: who may log in here
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Aliases: which addresses mean which others
    #[command(subcommand)]
    Alias(alias::AliasCommand),
    /// Check the configuration, or show it with every default
    #[command(subcommand)]
    Config(config_command::ConfigCommand),
    /// Make the running daemon read its configuration, maps and certificate anew
    Reload(daemon::Listing),
    /// Tell whether the daemon runs and where it listens
    Status(daemon::Listing),
    /// Look at the journal of accepted mail
    #[command(subcommand)]
    Journal(daemon::JournalCommand),
    /// Look after mail that is on its way
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Tell the story of a message, by its id, Message-ID or an address
    Trace(trace::TraceArgs),
    /// Filter the message on standard input, with the command line of procmail(1)
    #[command(disable_help_flag = true)]
    Procmail(Rest),
    /// Explain, check and try rule files
    #[command(subcommand)]
    Filter(filter::FilterCommand),
    /// Edit the message on standard input, with the command line of formail(1)
    #[command(disable_help_flag = true)]
    Formail(Rest),
    /// Send the message on standard input, with the command line of sendmail(8)
    #[command(disable_help_flag = true)]
    Sendmail(Rest),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// The command line of another program, taken as it is.
#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    if let Some(code) = ::filter::confine::take_over() {
        return code;
    }
    let mut arguments = std::env::args_os();
    let called = arguments.next().and_then(|name| Path::new(&name).file_name().map(OsString::from)).unwrap_or_default();
    match called.to_str() {
        Some(name) if name.starts_with("procmail") => procmail::main(arguments),
        Some("formail") => formail::main(arguments),
        Some("sendmail") => sendmail::run(&config_path(), &texts(arguments)),
        _ => run(Cli::parse()),
    }
}

fn run(cli: Cli) -> ExitCode {
    let config = cli.config;
    match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Account(command) => account::run(&config, command),
        Command::Alias(command) => alias::run(&config, command),
        Command::Config(command) => config_command::run(&config, &command),
        Command::Reload(listing) => daemon::reload(&config, &listing),
        Command::Status(listing) => daemon::status(&config, &listing),
        Command::Journal(command) => daemon::journal(&config, &command),
        Command::Queue(command) => queue::run(&config, &command),
        Command::Trace(args) => trace::run(&config, &args),
        Command::Procmail(rest) => procmail::main(rest.arguments),
        Command::Filter(command) => filter::run(&config, &command),
        Command::Formail(rest) => formail::main(rest.arguments),
        Command::Sendmail(rest) => sendmail::run(&config, &texts(rest.arguments)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "mailctl", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// The configuration where no option can name it.
fn config_path() -> PathBuf {
    std::env::var_os("PILLARBOX_CONFIG").map_or_else(|| PathBuf::from(CONFIG), PathBuf::from)
}

fn texts(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}
