//! The joined libraries: everything that a session, a worker or a command may ask for.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use auth::{Account, Authenticator, Outcome};
use config::Config;
use journal::Journal;
use mail::{Address, Domain, Enhanced, Envelope, Reply, ReversePath, Secret, Verdict};
use queue::Queue;
use smtp::Admission;
use system::Clock;
use tokio::sync::watch;

use crate::agent::{Agent, AgentError};
use crate::agents::Agents;
use crate::details::Details;
use crate::instance::{self, Layout};
use crate::intake::Incoming;
use crate::maps::{Maps, Resolved};
use crate::metrics::{Metrics, count};
use crate::pipeline::Lanes;
use crate::server::Places;
use crate::tls::Tls;
use crate::trace::Trace;
use crate::watch::Watcher;

/// Everything that the parts of the daemon share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) config_path: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tls: Tls,
    pub(crate) metrics: Metrics,
    pub(crate) trace: Trace,
    pub(crate) maps: Maps,
    pub(crate) authenticator: Authenticator,
    pub(crate) journal: Journal,
    pub(crate) queue: Queue,
    pub(crate) places: Places,
    pub(crate) watcher: Watcher,
    pub(crate) orders: watch::Sender<Orders>,
    /// The daemon waits no longer for what is being delivered: nothing more is put into mailboxes.
    pub(crate) aborted: AtomicBool,
    /// What sessions did before the start could not all be done again.
    pub(crate) unfinished: AtomicBool,
    pub(crate) agents: Agents,
    pub(crate) lanes: Lanes,
    pub(crate) environment: mailbox::Environment,
    config: RwLock<Arc<Config>>,
    started_with: Config,
    /// Held by whoever reads the configuration again.
    reloading: Mutex<()>,
    admission: Mutex<Admission>,
}

/// What sessions are told while they wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    /// The daemon stops.
    pub(crate) stop: bool,
    /// Counts how often the accounts were read again.
    accounts: u64,
}

/// What [`House::new`] is made of.
pub(crate) struct Parts {
    pub(crate) config_path: PathBuf,
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tls: Tls,
    pub(crate) trace: Trace,
    pub(crate) maps: Maps,
    pub(crate) authenticator: Authenticator,
    pub(crate) journal: Journal,
    pub(crate) queue: Queue,
    pub(crate) environment: mailbox::Environment,
}

impl House {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config_path, config, clock, tls, trace, maps, authenticator, journal, queue, environment } = parts;
        Self {
            config_path,
            layout: Layout::of(&config),
            clock,
            environment,
            tls,
            metrics: Metrics::default(),
            trace,
            maps,
            authenticator,
            journal,
            queue,
            places: Places::default(),
            watcher: Watcher::new(&config),
            orders: watch::Sender::default(),
            aborted: AtomicBool::new(false),
            unfinished: AtomicBool::new(false),
            agents: Agents::default(),
            lanes: Lanes::default(),
            admission: Mutex::new(Admission::new(&config.smtp)),
            config: RwLock::new(Arc::new(config.clone())),
            started_with: config,
            reloading: Mutex::default(),
        }
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The name of this host. The configuration was checked to hold one.
    pub(crate) fn hostname(&self) -> Domain {
        host_domain(&self.config())
    }

    pub(crate) fn smtp_admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the accounts again, and has sessions look whether theirs is still there.
    pub(crate) async fn refresh_accounts(&self) -> Result<(), auth::AccountsError> {
        self.authenticator.accounts().refresh().await?;
        self.orders.send_modify(|orders| orders.accounts += 1);
        Ok(())
    }

    /// Whether something from before the start is still to be done again.
    pub(crate) fn has_doubts(&self) -> bool {
        self.queue.has_doubts() || self.unfinished.load(Ordering::Relaxed)
    }

    /// Whether the account may be used, with the same home as when the session began.
    pub(crate) fn is_open(&self, account: &Account) -> bool {
        let now = self.authenticator.accounts().find(account.name.as_str());
        now.is_some_and(|now| !now.disabled && now.home == account.home)
    }

    pub(crate) async fn log_in(&self, name: &str, password: Secret, address: IpAddr) -> Outcome {
        let outcome = self.authenticator.check(name, password, address, Instant::now()).await;
        match &outcome {
            Outcome::Granted(_) => count(&self.metrics.logins),
            Outcome::Refused | Outcome::TryLater { .. } => {
                count(&self.metrics.logins_refused);
                tracing::warn!(%address, name, ?outcome, "log-in refused");
            }
        }
        outcome
    }

    /// The agent of an account, made when it is first asked for.
    pub(crate) async fn agent(self: &Arc<Self>, account: &Arc<Account>) -> Result<Arc<Agent>, AgentError> {
        if let Some(agent) = self.agents.ready(account) {
            return Ok(agent);
        }
        let turn = self.agents.turn(account).await;
        if let Some(agent) = self.agents.ready(account) {
            return Ok(agent);
        }
        let (house, account) = (self.clone(), account.clone());
        let open = move || {
            // Whoever gave up waiting leaves the turn to the next only when it is open.
            let _turn = turn;
            house.agent_blocking(&account)
        };
        tokio::task::spawn_blocking(open).await.map_err(AgentError::task)?
    }

    /// The same from a thread that may block.
    pub(crate) fn agent_blocking(self: &Arc<Self>, account: &Arc<Account>) -> Result<Arc<Agent>, AgentError> {
        self.agents.get(self, account)
    }

    /// Closes the accounts that nobody uses, and watches their folders no longer.
    pub(crate) fn tidy(&self) {
        let doubts = self.has_doubts();
        self.agents.close_idle(self.environment.mailbox.idle_time, doubts, || self.journal.covered().wait().is_ok());
        self.watcher.tidy();
    }

    /// Writes everything out at the end; `quiet` says that nothing writes into accounts any more. The journal's last checkpoint
    /// comes first: the accounts say durably that they were closed in order, and a power cut right after that must find all
    /// on disk that they vouch for.
    pub(crate) fn close(&self, quiet: bool) {
        let covered = self.journal.covered();
        self.journal.close();
        let doubts = self.has_doubts();
        self.agents.close(quiet && matches!(covered.outcome(), Some(Ok(()))), doubts);
        self.trace.close();
    }

    /// A user may send as any address that leads to him; a stranger as whoever he likes, for now.
    pub(crate) fn check_sender(&self, sender: &ReversePath, account: Option<&str>) -> Verdict {
        let Some(account) = account else { return Verdict::Accept };
        if self.authenticator.accounts().find(account).is_none_or(|account| account.disabled) {
            return Verdict::Reject(Reply::new(550, Enhanced(5, 7, 1), "This account may not send mail any more"));
        }
        let ReversePath::Address(address) = sender else { return Verdict::Accept };
        let leads_to = |target: &Address| self.account_of(target).is_some_and(|(owner, _)| owner.name.as_str() == account);
        if self.expand(address, true).is_ok_and(|resolved| resolved.targets.iter().any(leads_to)) {
            return Verdict::Accept;
        }
        Verdict::Reject(Reply::new(553, Enhanced(5, 7, 1), "This sender address is not yours"))
    }

    pub(crate) fn check_recipient(&self, recipient: &Address, account: Option<&str>) -> Verdict {
        match self.expand(recipient, account.is_some()) {
            Err(verdict) => verdict,
            Ok(resolved) if resolved.targets.iter().any(|target| self.account_of(target).is_some()) => Verdict::Accept,
            // There is no way out yet: the sender's server keeps the message, and its user learns of it.
            Ok(_) => Verdict::Reject(Reply::new(550, Enhanced(5, 4, 4), "This server does not send mail on to other servers")),
        }
    }

    /// What the alias maps make of an address; an error is the reply for the client.
    pub(crate) fn expand(&self, address: &Address, member: bool) -> Result<Resolved, Verdict> {
        self.maps.expand(address, member, self.authenticator.accounts())
    }

    /// The account whose mailbox a final address is, and what stood behind the delimiter in it.
    pub(crate) fn account_of(&self, address: &Address) -> Option<(Arc<Account>, String)> {
        self.maps.account_of(address, self.authenticator.accounts())
    }

    /// Opens a journal entry for a message that begins.
    pub(crate) fn open_message(&self, envelope: Envelope) -> Result<Incoming, Verdict> {
        Incoming::open(self, envelope)
    }

    /// Reads configuration, maps and certificate anew. What is wrong leaves the old state in force. Gives the keys whose new
    /// values count after a restart only.
    ///
    /// # Errors
    /// Everything that is wrong, for people.
    pub(crate) fn reload(&self) -> Result<Vec<String>, String> {
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        crate::notify::reloading();
        let result = self.read_again();
        crate::notify::tell("READY=1");
        result
    }

    fn read_again(&self) -> Result<Vec<String>, String> {
        let config = instance::load(&self.config_path).map_err(|error| error.to_string())?;
        let findings = crate::check::all(&config, &self.layout);
        if !findings.errors.is_empty() {
            return Err(findings.errors.join("\n"));
        }
        self.maps.reload(&config).map_err(|problems| problems.join("\n"))?;
        // It was found good a moment ago: this cannot leave the maps alone in force, short of a race with its editor.
        self.tls.load(&config.server).map_err(|error| error.to_string())?;
        self.smtp_admission().set_limits(&config.smtp);
        let later = crate::reload::after_restart(&self.started_with, &config);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.watcher.arm(&self.config());
        tracing::info!(file = %self.config_path.display(), "configuration reloaded");
        if !later.is_empty() {
            tracing::warn!("these new values count after a restart: {}", later.join(", "));
        }
        Ok(later)
    }

    /// Notes an account whose mail cannot be reached.
    pub(crate) fn tell_defer(&self, id: mail::MessageId, recipient: &Address, reason: &str) {
        count(&self.metrics.recipients_deferred);
        self.trace.step(id, "deferred", Details::new().text("reason", reason).text("recipient", recipient));
    }
}

/// The host's name as a domain; `localhost` where the configuration's is none, which its check refuses.
pub(crate) fn host_domain(config: &Config) -> Domain {
    let parse = |name: &str| name.parse::<Domain>();
    parse(&config.server.hostname).or_else(|_| parse("localhost")).unwrap_or_else(|_| unreachable!("localhost is a domain"))
}

/// Makes the folders of an instance that are missing, with room for their owner alone.
pub(crate) fn make_folders(layout: &Layout) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    for folder in [layout.data().to_owned(), layout.journal(), layout.queue(), layout.indexes(), layout.trace(), layout.programs()] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    link_sendmail(layout)
}

/// Makes the link that rules forward mail with. It points to the `mailctl` beside this program, or to the first in the usual places.
fn link_sendmail(layout: &Layout) -> io::Result<()> {
    let beside = std::env::current_exe().ok().map(|me| me.with_file_name("mailctl"));
    let usual = ["/usr/local/bin/mailctl", "/usr/bin/mailctl"].map(PathBuf::from);
    let Some(mailctl) = beside.into_iter().chain(usual).find(|path| path.is_file()) else { return Ok(()) };
    let link = layout.sendmail();
    if std::fs::read_link(&link).is_ok_and(|target| target == mailctl) {
        return Ok(());
    }
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(mailctl, link)
}
