//! Drives an IMAP server: many clients, one kind of work or the mix of a day, for a time or a number of operations.

mod idle;
mod session;
mod work;

pub(crate) use session::{Login, Session, quoted};

use crate::error::Error;
use crate::report::{Moved, Report, Tally};
use crate::wire::Target;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use work::{Client, Plan, Work};

/// A client gives up after this many failures in a row.
const FAILURES_IN_A_ROW: u32 = 20;
/// Clients that log in at the same time before the clock starts.
const PREPARING: usize = 32;

/// Arguments of `load imap`.
#[derive(clap::Args, Clone)]
pub(crate) struct Arguments {
    /// The server, host:port.
    #[arg(long)]
    to: String,
    /// Account; `{}` stands for the client's number modulo --users.
    #[arg(long)]
    user: String,
    /// Its password.
    #[arg(long)]
    password: String,
    /// Accounts that `{}` in --user ranges over.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    users: u64,
    /// Clients at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: u64,
    /// What to do.
    #[arg(long, value_enum)]
    work: Work,
    /// The mailbox.
    #[arg(long, default_value = "INBOX")]
    mailbox: String,
    /// Where COPY and MOVE go; made if missing.
    #[arg(long, default_value = "load-other")]
    other: String,
    /// Stop after this many operations of all clients together.
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    /// Stop after this many seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Messages of one FETCH; 0 for the whole mailbox.
    #[arg(long, default_value_t = 0)]
    chunk: u64,
    /// Octets of an appended message.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// TLS from the first octet; the certificate is not checked.
    #[arg(long)]
    tls: bool,
    /// Seconds to wait for any answer.
    #[arg(long, default_value_t = 120)]
    patience: u64,
    /// Seed of the choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For idle-latency: the SMTP server, host:port.
    #[arg(long)]
    smtp: Option<String>,
    /// For idle-latency: the recipient whose mailbox is watched.
    #[arg(long)]
    rcpt: Option<String>,
}

impl Arguments {
    fn target(&self) -> Target {
        Target { address: self.to.clone(), tls: self.tls, patience: Duration::from_secs(self.patience) }
    }

    fn plan(&self) -> Plan {
        let Self { mailbox, other, chunk, size, seed, .. } = self.clone();
        Plan { target: self.target(), mailbox, other, chunk, size, seed }
    }

    fn login(&self, client: u64) -> Login {
        let user = self.user.replace("{}", &(client % self.users).to_string());
        Login { user, password: self.password.clone() }
    }
}

/// The operations that are left, in number and time.
struct Budget {
    left: AtomicU64,
    until: Instant,
}

impl Budget {
    fn take(&self) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.is_ok() && Instant::now() < self.until
    }
}

/// Runs the work.
pub(crate) async fn run(arguments: Arguments) -> Result<Report, Error> {
    match arguments.work {
        Work::IdleLatency => idle::latency(&arguments).await,
        Work::IdleMemory => idle::hold(&arguments).await,
        work => {
            let clients = prepare(&arguments, work).await?;
            drive(&arguments, work, clients).await
        }
    }
}

/// Logs all clients in, some at a time. The first goes ahead of the rest, since it makes the mailboxes.
async fn prepare(arguments: &Arguments, work: Work) -> Result<Vec<Client>, Error> {
    let plan = arguments.plan();
    let mut ready = vec![Client::prepare(&plan, work, arguments.login(0), 0..arguments.clients).await?];
    let mut next = 1;
    while next < arguments.clients {
        let batch = next..arguments.clients.min(next + PREPARING as u64);
        next = batch.end;
        let mut starting = Vec::with_capacity(PREPARING);
        for index in batch {
            let (plan, login, place) = (plan.clone(), arguments.login(index), index..arguments.clients);
            starting.push(tokio::spawn(async move { Client::prepare(&plan, work, login, place).await }));
        }
        for client in starting {
            ready.push(client.await.map_err(|error| Error::Usage(error.to_string()))??);
        }
    }
    Ok(ready)
}

async fn drive(arguments: &Arguments, work: Work, clients: Vec<Client>) -> Result<Report, Error> {
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds.clamp(0.0, 86_400.0));
    let budget = Arc::new(Budget { left: AtomicU64::new(arguments.count), until });
    let tally = Arc::new(Tally::start());
    let spawn = |client| tokio::spawn(labour(client, work, Arc::clone(&budget), Arc::clone(&tally)));
    let running: Vec<_> = clients.into_iter().map(spawn).collect();
    let mut clients = Vec::with_capacity(running.len());
    for client in running {
        clients.push(client.await.map_err(|error| Error::Usage(error.to_string()))?);
    }
    tally.stop();
    for client in &mut clients {
        if let Err(error) = client.leave().await {
            tally.fail("logout", &error);
        }
    }
    Ok(tally.report(work.name()))
}

/// One client works until the budget is used up.
async fn labour(mut client: Client, work: Work, budget: Arc<Budget>, tally: Arc<Tally>) -> Client {
    let mut failures = 0;
    while failures < FAILURES_IN_A_ROW && budget.take() {
        let before = client.session().ok().map(|session| session.totals());
        let start = Instant::now();
        match client.perform(work).await {
            Ok(None) => break,
            Ok(Some(done)) => {
                let latency = start.elapsed();
                failures = 0;
                tally.record(done.name(), latency, moved(&mut client, before));
            }
            Err(error) => {
                tally.fail(work.name(), &error);
                failures += 1;
            }
        }
    }
    client
}

/// What the session has moved since `before`. A whole visit (log-in work) is two commands.
fn moved(client: &mut Client, before: Option<session::Totals>) -> Moved {
    match (before, client.session().ok().map(|session| session.totals())) {
        (Some(before), Some(now)) => {
            Moved { commands: now.commands - before.commands, items: now.answers - before.answers, bytes: now.received - before.received }
        }
        _ => Moved { commands: 2, items: 1, bytes: 0 },
    }
}
