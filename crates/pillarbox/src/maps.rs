//! The alias maps in force, and the last good state while a file is being edited.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use alias::{Destination, Loaded, Resolver, Sender, Severity};
use auth::{Account, Accounts};
use config::Config;
use mail::{Address, Verdict};
use serde_json::{Value, json};

use crate::check::Findings;
use crate::instance::Layout;

/// The maps in force.
#[derive(Debug)]
pub(crate) struct Maps(RwLock<Arc<Resolver>>);

/// What an address became.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) targets: Vec<Address>,
    /// The lines that did it, for the trace.
    pub(crate) steps: Vec<Value>,
}

impl Maps {
    /// Reads the maps. Lines that cannot be used are logged; mail that they may concern is put off until they are mended.
    pub(crate) fn open(config: &Config) -> Self {
        let loaded = read(config);
        loaded.problems().iter().for_each(|problem| tracing::error!("{problem}"));
        let resolver = match loaded.problems().iter().any(|problem| problem.severity == Severity::Error) {
            true => loaded.deferring(),
            false => loaded.lenient(),
        };
        Self(RwLock::new(Arc::new(resolver)))
    }

    /// Reads the maps again. With an error in them the last good state stays.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), Vec<String>> {
        let text = |problems: Vec<alias::Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (resolver, _) = read(config).strict().map_err(text)?;
        let loops: Vec<_> = resolver.lint(&[]).iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect();
        if !loops.is_empty() {
            return Err(loops);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(resolver);
        Ok(())
    }

    fn resolver(&self) -> Arc<Resolver> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What an address becomes; an error is the reply for the client.
    pub(crate) fn expand(&self, address: &Address, member: bool, accounts: &Accounts) -> Result<Resolved, Verdict> {
        let sender = if member { Sender::Member } else { Sender::Stranger };
        let resolution = self.resolver().resolve_address(address, sender, &|name| accounts.exists(name)).map_err(|rejection| {
            tracing::info!(%address, cause = rejection.cause, "recipient refused: {}", rejection.reply);
            if rejection.reply.code < 500 { Verdict::Defer(rejection.reply) } else { Verdict::Reject(rejection.reply) }
        })?;
        let steps = resolution
            .steps
            .iter()
            .map(|step| json!({"address": step.address, "map": format!("{}:{}", step.map, step.line), "targets": step.targets}));
        let steps = steps.collect();
        // The resolver writes addresses as SMTP does, and refuses what is none.
        let targets = resolution.recipients.iter().filter_map(|recipient| recipient.address.parse().ok()).collect();
        Ok(Resolved { targets, steps })
    }

    /// The account whose mailbox a final address is, and what stood behind the delimiter.
    pub(crate) fn account_of(&self, address: &Address, accounts: &Accounts) -> Option<(Arc<Account>, String)> {
        let plain = format!("{}@{}", address.local(), address.domain());
        match self.resolver().destination(&plain, &|name| accounts.exists(name))? {
            Destination::Account { name, extension } => Some((accounts.find(&name)?, extension.unwrap_or_default())),
            // Whoever set the machine up is its postmaster until an alias or account says otherwise.
            Destination::Postmaster => Some((accounts.list().into_iter().min_by_key(|account| account.created)?, String::new())),
            Destination::Elsewhere(_) => None,
        }
    }

    /// Whether the address is in one of our domains.
    pub(crate) fn is_own(&self, address: &Address) -> bool {
        self.resolver().is_own_domain(address.domain().as_str())
    }
}

fn read(config: &Config) -> Loaded {
    let interfaces: Vec<IpAddr> = config.server.smtp.iter().map(|a| a.ip()).filter(|ip| !ip.is_unspecified()).collect();
    Resolver::load(&config.alias, &config.server.hostname, &interfaces, &alias::read_file)
}

/// The files of the maps.
pub(crate) fn files(config: &Config) -> Vec<PathBuf> {
    config.alias.maps.iter().map(|map| PathBuf::from(alias::path(map))).collect()
}

/// Adds what is wrong or odd about the maps.
pub(crate) fn check(config: &Config, layout: &Layout, findings: &mut Findings) {
    let loaded = read(config);
    let mut problems = loaded.problems().to_vec();
    if let Some(accounts) = accounts(config, layout) {
        problems.extend(loaded.lenient().lint(&accounts));
    }
    for problem in problems {
        match problem.severity {
            Severity::Error => findings.map_errors.push(problem.to_string()),
            Severity::Warning => findings.remarks.push(problem.to_string()),
        }
    }
}

/// The names of the accounts, if there are any yet.
fn accounts(config: &Config, layout: &Layout) -> Option<Vec<String>> {
    if !layout.accounts().exists() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let accounts = runtime.block_on(Accounts::open(&layout.accounts(), &config.auth)).ok()?;
    Some(accounts.list().iter().map(|account| account.name.to_string()).collect())
}
