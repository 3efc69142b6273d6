//! Checking a name and a password: bounded in memory and time, the same for names that do not exist.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mail::Secret;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::account::{Account, Accounts};
use crate::guard::Guard;
use crate::password::PasswordHash;

/// A hash of the usual setting that no password has: what a name that does not exist is checked against.
const NOBODY: &str = "$argon2id$v=19$m=65536,t=3,p=4$cGlsbGFyYm94Lm5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The longest password that is looked at, in octets.
const LONGEST_PASSWORD: usize = 1024;

/// How a log-in ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Name and password belong together.
    Granted(Arc<Account>),
    /// They do not, or there is no such account, or it is disabled: the peer is not told which.
    Refused,
    /// Too many wrong ones before, or too many log-ins at once: nothing was checked.
    TryLater {
        /// When it may be tried again.
        after: Duration,
    },
}

/// A keyed hash of an account's hash and a password that went with it.
type Memory = [u8; 32];

/// Checks log-ins. Shared by all sessions.
#[derive(Debug)]
pub struct Authenticator {
    accounts: Accounts,
    settings: config::Auth,
    guard: Mutex<Guard>,
    remembered: Mutex<HashMap<Memory, Instant>>,
    turns: Semaphore,
    waiting: Semaphore,
    key: [u8; 32],
}

/// The slow comparison.
async fn compare(stored: String, password: Secret) -> bool {
    let compare = move || {
        let fits = password.expose().len() <= LONGEST_PASSWORD;
        let matched = stored.parse::<PasswordHash>().is_ok_and(|hash| hash.matches(&password));
        matched && fits
    };
    tokio::task::spawn_blocking(compare).await.unwrap_or(false)
}

impl Authenticator {
    /// An authenticator for these accounts.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new(accounts: Accounts, settings: config::Auth) -> std::io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        Ok(Self {
            accounts,
            guard: Mutex::new(Guard::new(settings.clone())),
            remembered: Mutex::default(),
            turns: Semaphore::new(settings.concurrent_checks.max(1)),
            waiting: Semaphore::new(settings.waiting_checks.max(1)),
            settings,
            key,
        })
    }

    /// The accounts behind it.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Checks a log-in from `address`.
    pub async fn check(&self, name: &str, password: Secret, address: IpAddr, now: Instant) -> Outcome {
        let account = self.accounts.find(name);
        let stored = account.as_ref().map_or(NOBODY, |account| account.password.as_str());
        let memory = self.memory(stored, &password);
        if let Some(account) = account.as_ref().filter(|account| !account.disabled && self.remembers(&memory, now)) {
            return Outcome::Granted(account.clone());
        }
        // As accounts are found: in any case of letters.
        let name = name.to_ascii_lowercase();
        if let Some(after) = self.guard().delay(&name, address, now) {
            return Outcome::TryLater { after };
        }
        let Some((_place, _turn)) = self.turn().await else { return Outcome::TryLater { after: Duration::from_secs(1) } };
        // Others of them may have been right or wrong meanwhile.
        if let Some(account) = account.as_ref().filter(|account| !account.disabled && self.remembers(&memory, now)) {
            return Outcome::Granted(account.clone());
        }
        if let Some(after) = self.guard().delay(&name, address, now) {
            return Outcome::TryLater { after };
        }
        let guess = self.guess(&name, &password);
        let matched = compare(stored.to_owned(), password).await;
        match account {
            Some(account) if matched && !account.disabled => {
                self.guard().succeeded(&name, address);
                self.remember(memory, now);
                Outcome::Granted(account)
            }
            _ => {
                self.guard().failed(&name, address, guess, now);
                Outcome::Refused
            }
        }
    }

    /// Waits for the turn to compare; `None` if too many wait already.
    async fn turn(&self) -> Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let place = self.waiting.try_acquire().ok()?;
        Some((place, self.turns.acquire().await.ok()?))
    }

    /// Tells wrong passwords apart, the same for names that are known and that are not.
    fn guess(&self, name: &str, password: &Secret) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(password.expose());
        let octets = <[u8; 32]>::from(hash.finalize());
        octets.iter().take(8).fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    /// The stored hash is part of it, so a changed password is forgotten at once.
    fn memory(&self, stored: &str, password: &Secret) -> Memory {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(stored.as_bytes());
        hash.update([0]);
        hash.update(password.expose());
        hash.finalize().into()
    }

    fn remembers(&self, memory: &Memory, now: Instant) -> bool {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(memory).is_some_and(|since| now.saturating_duration_since(*since) < self.settings.remember)
    }

    fn remember(&self, memory: Memory, now: Instant) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= self.settings.accounts {
            remembered.retain(|_, since| now.saturating_duration_since(*since) < self.settings.remember);
        }
        remembered.insert(memory, now);
    }

    fn guard(&self) -> std::sync::MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn authenticator(folder: &Path) -> Authenticator {
        let settings = config::Auth::default();
        let accounts = Accounts::open(&folder.join("accounts.db"), &settings).await.unwrap();
        accounts.add(&"joe".parse().unwrap(), Secret::new("tea"), Path::new("/home/joe")).await.unwrap();
        Authenticator::new(accounts, settings).unwrap()
    }

    #[tokio::test]
    async fn right_wrong_and_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let authenticator = authenticator(folder.path()).await;
        let now = Instant::now();
        assert!(matches!(authenticator.check("joe", Secret::new("tea"), HERE, now).await, Outcome::Granted(_)));
        assert!(matches!(authenticator.check("joe", Secret::new("coffee"), HERE, now).await, Outcome::Refused));
        assert!(matches!(authenticator.check("nobody", Secret::new("tea"), HERE, now).await, Outcome::Refused));
    }

    #[tokio::test]
    async fn a_remembered_password_needs_no_turn_and_is_forgotten_when_changed() {
        let folder = tempfile::tempdir().unwrap();
        let authenticator = authenticator(folder.path()).await;
        let now = Instant::now();
        let check = || authenticator.check("joe", Secret::new("tea"), HERE, now);
        assert!(matches!(check().await, Outcome::Granted(_)));
        authenticator.turns.close();
        assert!(matches!(check().await, Outcome::Granted(_)), "no full check is needed");
        authenticator.accounts.set_password(&"joe".parse().unwrap(), Secret::new("coffee")).await.unwrap();
        assert!(matches!(check().await, Outcome::TryLater { .. }), "a full check is needed again");
    }

    #[tokio::test]
    async fn guessing_is_put_off() {
        let folder = tempfile::tempdir().unwrap();
        let authenticator = authenticator(folder.path()).await;
        let now = Instant::now();
        for guess in ["1", "2", "3", "4"] {
            assert!(matches!(authenticator.check("joe", Secret::new(guess), HERE, now).await, Outcome::Refused));
        }
        assert!(matches!(authenticator.check("joe", Secret::new("5"), HERE, now).await, Outcome::TryLater { .. }));
    }
    #[tokio::test]
    async fn names_in_any_case_and_unknown_ones_cost_guesses_alike() {
        let folder = tempfile::tempdir().unwrap();
        let authenticator = authenticator(folder.path()).await;
        let now = Instant::now();
        for name in ["joe", "Joe", "jOe", "JOE"] {
            assert!(matches!(authenticator.check(name, Secret::new(name), HERE, now).await, Outcome::Refused));
        }
        assert!(matches!(authenticator.check("joe", Secret::new("5"), HERE, now).await, Outcome::TryLater { .. }));
        let there = IpAddr::from([192, 0, 2, 9]);
        let free = config::Auth::default().free_network_guesses;
        for number in 0..=free {
            let name = if number == 0 { "joe".to_owned() } else { format!("nobody{number}") };
            assert!(matches!(authenticator.check(&name, Secret::new("same"), there, now).await, Outcome::Refused), "{name}");
        }
        assert!(matches!(authenticator.check("another", Secret::new("same"), there, now).await, Outcome::TryLater { .. }));
    }

    #[tokio::test]
    async fn guesses_at_the_same_time_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let authenticator = std::sync::Arc::new(authenticator(folder.path()).await);
        let now = Instant::now();
        let tries: Vec<_> = (0..24)
            .map(|number| {
                let authenticator = authenticator.clone();
                tokio::spawn(async move { authenticator.check("joe", Secret::new(format!("{number}")), HERE, now).await })
            })
            .collect();
        let mut checked = 0;
        for outcome in tries {
            checked += u32::from(matches!(outcome.await.unwrap(), Outcome::Refused));
        }
        let settings = config::Auth::default();
        assert!(checked <= settings.free_guesses + 1 + settings.concurrent_checks as u32, "{checked}");
    }
}
