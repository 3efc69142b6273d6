//! The daemon: sockets, TLS, timers, and the pipeline that joins the libraries.
//!
//! [`run`] is the whole life of it. `server` takes connections, `smtp` and `imap` drive sessions, `intake` puts mail into the
//! queue and `pipeline` takes it out again; `agent` is the one place that touches an account's files. What all of them share
//! is in `house`. `control` answers `mailctl`, `trace` keeps each message's story.

mod agent;
mod agents;
pub mod check;
mod checkpoint;
mod commands;
pub mod control;
mod details;
mod gate;
mod house;
mod imap;
pub mod inline;
pub mod instance;
mod intake;
mod lines;
pub mod listen;
mod maps;
mod metrics;
mod notify;
mod open;
mod pipeline;
mod reload;
pub mod rules;
mod server;
mod smtp;
pub mod sorting;
mod store;
mod stream;
mod tls;
pub mod trace;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use config::Config;
use journal::Recovered;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::house::House;
use crate::listen::Listener;
use crate::open::Opened;
pub use crate::open::StartError;
use crate::pipeline::Workers;
pub use crate::tls::TlsError;

/// How long what was accepted before a crash is waited for at the start, before copies and moves of it are done again.
const REPLAY: Duration = Duration::from_secs(60);

/// How long sessions have to say goodbye when the daemon stops.
const GOODBYE: Duration = Duration::from_millis(500);

/// How long writing everything out may take at the end.
const CLOSE: Duration = Duration::from_secs(10);

/// How long the messages that were accepted have to be delivered when the daemon stops; the rest is delivered at the next start.
const FINISH: Duration = Duration::from_secs(1);

/// How often agents that nobody uses are looked for.
const TIDY: Duration = Duration::from_secs(60);

/// Runs until `shutdown` is ready, then finishes what was accepted and stops. An order that comes while the instance is still
/// being opened is obeyed at once: what was not finished is left as a crash would leave it.
///
/// # Errors
/// [`StartError`] if the instance cannot be opened; nothing was changed then.
pub async fn run(
    config_path: PathBuf,
    config: Config,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let mut shutdown = std::pin::pin!(shutdown);
    // From here on a SIGHUP is an order to reload and no end.
    let hangup = signal(SignalKind::hangup())?;
    let opened = tokio::task::spawn_blocking(move || open::open(config_path, config));
    let opened = tokio::select! {
        opened = opened => opened.map_err(std::io::Error::other)??,
        () = &mut shutdown => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
    };
    let Opened { house, lock, unfinished } = opened;
    tell_confinement(&house.config().filter);
    let started = tokio::select! {
        workers = recover(&house, unfinished) => Some(workers?),
        () = &mut shutdown => None,
    };
    let Some(workers) = started else {
        house.aborted.store(true, Ordering::Relaxed);
        tracing::info!("stopped before the start was complete");
        return Ok(());
    };
    let tasks = start_tasks(&house, listeners, hangup)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), hostname = %house.hostname(), "pillarbox is ready");
    notify::tell("READY=1");
    shutdown.await;
    tracing::info!("stopping");
    notify::tell("STOPPING=1");
    stop(house, workers, tasks).await;
    drop(lock);
    Ok(())
}

/// Says once what programs of rule files are not kept from.
fn tell_confinement(filter: &config::Filter) {
    if !filter.confine_children {
        tracing::warn!("filter.confine_children is off: programs of rule files may do all that this daemon may");
    } else if let Err(reason) = filter::confine::available() {
        tracing::warn!("programs of rule files are not confined to their account's files: {reason}");
    }
}

/// Does again what a crash cut short: first deliveries that mail programs may have been told of, then all others, then what
/// sessions did with messages, which may be those.
async fn recover(house: &Arc<House>, unfinished: Vec<Recovered>) -> Result<Workers, StartError> {
    let again = house.clone();
    tokio::task::spawn_blocking(move || pipeline::deliver_again(&again)).await.map_err(std::io::Error::other)?;
    let workers = Workers::start(house)?;
    if !unfinished.is_empty() {
        wait_until(REPLAY, || house.queue.busy() == 0).await;
        let replayed = house.clone();
        let replay = tokio::task::spawn_blocking(move || open::replay(&replayed, unfinished));
        replay.await.map_err(std::io::Error::other)?;
    }
    Ok(workers)
}

fn start_tasks(house: &Arc<House>, listeners: Vec<Listener>, mut hangup: Signal) -> Result<Vec<tokio::task::JoinHandle<()>>, StartError> {
    let status = commands::Commands::new(house.clone(), &listeners);
    let control = control::open(&house.layout)?;
    let mut tasks = vec![tokio::spawn(control::serve(control, Arc::new(status)))];
    let reloaded = house.clone();
    tasks.push(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let house = reloaded.clone();
            let result = tokio::task::spawn_blocking(move || house.reload()).await;
            if let Ok(Err(problems)) = result {
                tracing::error!("the configuration was not reloaded, the old one stays in force:\n{problems}");
            }
        }
    }));
    tasks.push(tokio::spawn(watch::run(house.clone())));
    tasks.push(tokio::spawn(tidy(house.clone())));
    for listener in listeners {
        tasks.push(tokio::spawn(server::accept(house.clone(), listener)));
    }
    Ok(tasks)
}

/// Closes what nobody uses.
async fn tidy(house: Arc<House>) {
    loop {
        tokio::time::sleep(TIDY).await;
        let tidied = house.clone();
        if tokio::task::spawn_blocking(move || tidied.tidy()).await.is_err() {
            tracing::error!("closing idle accounts failed");
        }
    }
}

/// No new work; goodbye to sessions; what was accepted is delivered as far as time allows; everything is written out.
async fn stop(house: Arc<House>, workers: Workers, tasks: Vec<tokio::task::JoinHandle<()>>) {
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    house.orders.send_modify(|orders| orders.stop = true);
    let sessions = wait_until(GOODBYE, || house.metrics.sessions_open.load(Ordering::Relaxed) == 0);
    let deliveries = wait_until(FINISH, || house.queue.busy() == 0);
    tokio::join!(sessions, deliveries);
    let finished = tokio::task::spawn_blocking(move || {
        let ended = workers.finish(&house);
        house.close(ended);
    });
    // A disk that hangs must not hold up the end: the journal has what was accepted.
    match tokio::time::timeout(CLOSE, finished).await {
        Ok(Ok(())) => {}
        _ => tracing::error!("the end was not clean; the journal has what was accepted"),
    }
}

async fn wait_until(longest: Duration, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // When time is over, the journal has what is not done.
    let _ = tokio::time::timeout(longest, wait).await;
}
