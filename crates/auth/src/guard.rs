//! What guessing costs: after some different wrong passwords an account (as seen from one network) or a whole network has
//! to wait, longer each time. The same wrong password again, as from a phone with an old one, costs nothing more.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Different wrong passwords of one record that are told apart; more only count.
const REMEMBERED_GUESSES: usize = 16;

/// A client's network: one address of IPv4, a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let prefix = u128::from(v6) >> 64 << 64;
                Self(IpAddr::V6(prefix.into()))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

#[derive(Debug)]
struct Record {
    guesses: Vec<u64>,
    count: u32,
    last: Instant,
    until: Instant,
}

/// Remembers wrong passwords and says who has to wait. Time is passed in; memory is bounded.
#[derive(Debug)]
pub struct Guard {
    settings: config::Auth,
    pairs: HashMap<(String, Network), Record>,
    networks: HashMap<Network, Record>,
}

impl Guard {
    /// A guard that has seen nothing.
    #[must_use]
    pub fn new(settings: config::Auth) -> Self {
        Self { settings, pairs: HashMap::new(), networks: HashMap::new() }
    }

    /// How long a log-in to `name` from `address` has to wait; `None` if it may be tried now.
    #[must_use]
    pub fn delay(&self, name: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let network = Network::from(address);
        let pair = self.pairs.get(&(name.to_owned(), network));
        let until = [pair, self.networks.get(&network)].into_iter().flatten().map(|record| record.until).max()?;
        (until > now).then(|| until - now)
    }

    /// Notes a wrong password, told from others by `guess`, a keyed hash of it.
    pub fn failed(&mut self, name: &str, address: IpAddr, guess: u64, now: Instant) {
        let network = Network::from(address);
        let settings = &self.settings;
        note(&mut self.pairs, (name.to_owned(), network), guess, settings.free_guesses, settings, now);
        note(&mut self.networks, network, guess, settings.free_network_guesses, settings, now);
    }

    /// Notes a right password: what the account did wrong from this network is forgotten. The network's own record stays,
    /// or one account of his would let a stranger guess for ever.
    pub fn succeeded(&mut self, name: &str, address: IpAddr) {
        self.pairs.remove(&(name.to_owned(), Network::from(address)));
    }
}

fn note<K: Eq + Hash + Clone>(records: &mut HashMap<K, Record>, key: K, guess: u64, free: u32, settings: &config::Auth, now: Instant) {
    // Who was quiet for twice the longest delay starts anew.
    let forget = settings.longest_delay * 2;
    if records.len() >= settings.guard_entries && !records.contains_key(&key) {
        records.retain(|_, record| now.saturating_duration_since(record.last) < forget);
        if records.len() >= settings.guard_entries {
            let oldest = records.iter().min_by_key(|(_, record)| record.last).map(|(key, _)| key.clone());
            oldest.map(|oldest| records.remove(&oldest));
        }
    }
    let fresh = || Record { guesses: Vec::new(), count: 0, last: now, until: now };
    let record = records.entry(key).or_insert_with(fresh);
    if now.saturating_duration_since(record.last) >= forget {
        *record = fresh();
    }
    record.last = now;
    if record.guesses.contains(&guess) {
        return;
    }
    if record.guesses.len() < REMEMBERED_GUESSES {
        record.guesses.push(guess);
    }
    record.count = record.count.saturating_add(1);
    if record.count > free {
        let doubled = 1u64.checked_shl(record.count - free - 1).unwrap_or(u64::MAX);
        record.until = now + Duration::from_secs(doubled).min(settings.longest_delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn guard() -> (Guard, Instant) {
        (Guard::new(config::Auth { guard_entries: 8, ..config::Auth::default() }), Instant::now())
    }

    #[test]
    fn delays_grow_with_different_guesses_only() {
        let (mut guard, now) = guard();
        for guess in [1, 2, 3, 3, 3, 3] {
            guard.failed("joe", HERE, guess, now);
        }
        assert_eq!(guard.delay("joe", HERE, now), None);
        guard.failed("joe", HERE, 4, now);
        assert_eq!(guard.delay("joe", HERE, now), Some(Duration::from_secs(1)));
        guard.failed("joe", HERE, 5, now);
        assert_eq!(guard.delay("joe", HERE, now), Some(Duration::from_secs(2)));
        assert_eq!(guard.delay("joe", THERE, now), None, "the owner elsewhere is not shut out");
        assert_eq!(guard.delay("joe", HERE, now + Duration::from_secs(3)), None);
        guard.succeeded("joe", HERE);
        assert_eq!(guard.delay("joe", HERE, now), None);
    }

    #[test]
    fn a_network_that_tries_many_accounts_waits_for_all() {
        let (mut guard, now) = guard();
        for guess in 0..100 {
            guard.failed(&format!("user{guess}"), HERE, guess, now);
        }
        assert_eq!(guard.delay("somebody", HERE, now), Some(Duration::from_secs(900)));
        assert!(guard.pairs.len() <= 8);
        assert_eq!(guard.delay("somebody", THERE, now), None);
    }

    #[test]
    fn ipv6_counts_by_its_64_bit_network() {
        let (mut guard, now) = guard();
        for guess in 0..50u64 {
            let address = format!("2001:db8::{guess:x}").parse().unwrap();
            guard.failed("joe", address, guess, now);
        }
        assert!(guard.delay("joe", "2001:db8::ffff".parse().unwrap(), now).is_some());
        assert!(guard.delay("joe", "2001:db8:0:1::1".parse().unwrap(), now).is_none());
    }
}
