//! The daemon's short main: arguments, configuration, log, sockets, signals. Everything else is in the library.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pillarbox::instance;
use pillarbox::listen::listen_all;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// sysexits(3): the configuration is wrong.
const EX_CONFIG: u8 = 78;
/// sysexits(3): try again later.
const EX_TEMPFAIL: u8 = 75;

/// Runs a Pillarbox mail server in the foreground.
#[derive(Parser)]
#[command(name = "pillarbox", version, about, max_term_width = 100)]
struct Cli {
    /// The configuration file
    #[arg(long, env = "PILLARBOX_CONFIG", default_value = "/etc/pillarbox/pillarbox.toml", value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match instance::load(&cli.config) {
        Ok(config) => config,
        Err(error) => return fail(EX_CONFIG, &error),
    };
    start_log();
    let listeners = match listen_all(&config.server) {
        Ok(listeners) => listeners,
        Err(errors) => {
            let code = errors.iter().map(pillarbox::listen::ListenError::exit_code).max().unwrap_or(EX_TEMPFAIL);
            errors.iter().for_each(|error| eprintln!("pillarbox: {error}"));
            return ExitCode::from(code);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EX_TEMPFAIL, &error),
    };
    match runtime.block_on(async { pillarbox::run(cli.config, config, listeners, stop_signal()?).await }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("pillarbox: {error}");
    ExitCode::from(code)
}

/// Ready when SIGTERM or SIGINT comes.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Logs to journald if that is where standard error goes, otherwise to standard error. `RUST_LOG` chooses what.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let journald = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journald {
        Some(layer) => registry.with(layer).init(),
        None => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false)).init(),
    }
}
