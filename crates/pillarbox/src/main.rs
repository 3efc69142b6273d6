//! The daemon's short main: arguments, configuration, log, sockets, signals. Everything else is in the library.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pillarbox::listen::listen_all;
use pillarbox::{inline, instance};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// sysexits(3): the configuration is wrong.
const EX_CONFIG: u8 = 78;
/// sysexits(3): try again later.
const EX_TEMPFAIL: u8 = 75;

/// How long threads have to notice the end.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// Runs a Pillarbox mail server in the foreground.
#[derive(Parser)]
#[command(name = "pillarbox", version, about, max_term_width = 100)]
struct Cli {
    /// The configuration file
    #[arg(long, env = "PILLARBOX_CONFIG", default_value = "/etc/pillarbox/pillarbox.toml", value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    if let Some(code) = filter::confine::take_over() {
        return code;
    }
    let cli = Cli::parse();
    let config = match instance::load(&cli.config) {
        Ok(config) => config,
        Err(error) => return fail(EX_CONFIG, &error),
    };
    start_log();
    raise_file_limit();
    let listeners = match listen_all(&config.server) {
        Ok(listeners) => listeners,
        Err(errors) => {
            let code = errors.iter().map(pillarbox::listen::ListenError::exit_code).max().unwrap_or(EX_TEMPFAIL);
            errors.iter().for_each(|error| eprintln!("pillarbox: {error}"));
            return ExitCode::from(code);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(inline::threads()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EX_TEMPFAIL, &error),
    };
    let ended = runtime.block_on(async { pillarbox::run(cli.config, config, listeners, stop_signal()?).await });
    // Work that a disk holds up is left behind; what it was for is in the journal.
    runtime.shutdown_timeout(LAST_MOMENT);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("pillarbox: {error}");
    ExitCode::from(code)
}

/// Ready when SIGTERM or SIGINT comes. Whoever sends another is in a hurry, and gets what a crash would leave, which is safe.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            eprintln!("pillarbox: told twice to stop; what is not finished is finished at the next start");
            std::process::exit(EX_TEMPFAIL.into());
        });
    })
}

/// Every connection and open mailbox takes a file descriptor; the usual soft limit of 1,024 is for programs that use select(2).
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files cannot be raised");
    }
}

/// Logs to journald if that is where standard error goes, otherwise to standard error. `RUST_LOG` chooses what.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let journald = if stderr_is_journal() { tracing_journald::layer().ok() } else { None };
    match journald {
        Some(layer) => registry.with(layer).init(),
        None => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false)).init(),
    }
}

/// `JOURNAL_STREAM` names the device and inode of the stream (systemd.exec(5)). Programs that a service starts inherit the
/// variable also where their standard error goes elsewhere.
fn stderr_is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let is = rustix::fs::fstat(std::io::stderr()).ok().map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    named.is_some() && named == is
}
