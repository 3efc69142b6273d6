//! Who may connect: limits in total and per client, and who has to go when all places are taken. No sockets here either;
//! the driver asks when a connection comes, and tells when it goes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A connection's activity is noted no more often than this.
const GRAIN: Duration = Duration::from_millis(250);
/// So many clients that wait for the greeting are remembered, twice over.
const KNOWN: usize = 10_000;
/// A client is remembered for one to two of these.
const KNOWN_FOR: Duration = Duration::from_secs(12 * 3600);

/// What to do with a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Serve it.
    Serve {
        /// The connection's number, for the other calls.
        number: u64,
        /// Close this one: it has been idle longest. It counts no more.
        instead_of: Option<u64>,
        /// The client is known to wait for the greeting, see [`crate::Peer`].
        known: bool,
    },
    /// Write this, and close.
    Refuse(&'static str),
}

/// The connections of one or more listeners.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    most_per_client: u32,
    connections: HashMap<u64, Connection>,
    clients: HashMap<IpAddr, u32>,
    /// Connections that wait for their client, the longest first.
    idle: BTreeSet<(Instant, u64)>,
    last: u64,
    known: HashSet<IpAddr>,
    known_before: HashSet<IpAddr>,
    known_since: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    /// Its entry in `idle`, if it has one.
    idle_since: Option<Instant>,
}

impl Admission {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(limits: &config::Smtp) -> Self {
        Self {
            most: limits.max_connections as usize,
            most_per_client: limits.max_connections_per_client,
            connections: HashMap::new(),
            clients: HashMap::new(),
            idle: BTreeSet::new(),
            last: 0,
            known: HashSet::new(),
            known_before: HashSet::new(),
            known_since: None,
        }
    }

    /// New limits, for connections from now on.
    pub fn set_limits(&mut self, limits: &config::Smtp) {
        self.most = limits.max_connections as usize;
        self.most_per_client = limits.max_connections_per_client;
    }

    /// Connections being served.
    #[must_use]
    pub fn count(&self) -> usize {
        self.connections.len()
    }

    /// Somebody connects.
    pub fn admit(&mut self, peer: IpAddr, now: Instant) -> Admitted {
        let client = client_of(peer);
        if self.clients.get(&client).is_some_and(|count| *count >= self.most_per_client) {
            return Admitted::Refuse("421 4.7.0 Too many connections from your network\r\n");
        }
        let mut instead_of = None;
        if self.connections.len() >= self.most {
            let Some(&(_, longest)) = self.idle.first() else {
                return Admitted::Refuse("421 4.3.2 Too many connections, try again later\r\n");
            };
            self.remove(longest);
            instead_of = Some(longest);
        }
        self.last += 1;
        self.connections.insert(self.last, Connection { client, idle_since: Some(now) });
        self.idle.insert((now, self.last));
        *self.clients.entry(client).or_default() += 1;
        let known = self.known.contains(&client) || self.known_before.contains(&client);
        Admitted::Serve { number: self.last, instead_of, known }
    }

    /// The connection's client did something; it is idle from now on.
    pub fn active(&mut self, number: u64, now: Instant) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.idle_since.is_some_and(|since| now.saturating_duration_since(since) < GRAIN) {
            return;
        }
        if let Some(since) = connection.idle_since.replace(now) {
            self.idle.remove(&(since, number));
        }
        self.idle.insert((now, number));
    }

    /// The connection waits for this server, to commit a message say, and is not to be closed.
    pub fn busy(&mut self, number: u64) {
        let since = self.connections.get_mut(&number).and_then(|connection| connection.idle_since.take());
        if let Some(since) = since {
            self.idle.remove(&(since, number));
        }
    }

    /// The connection is closed. `well_behaved`: its client waited for the greeting and spoke SMTP.
    pub fn leave(&mut self, number: u64, well_behaved: bool, now: Instant) {
        if let Some(client) = self.remove(number).filter(|_| well_behaved) {
            self.remember(client, now);
        }
    }

    fn remove(&mut self, number: u64) -> Option<IpAddr> {
        let Connection { client, idle_since } = self.connections.remove(&number)?;
        if let Some(since) = idle_since {
            self.idle.remove(&(since, number));
        }
        if let Some(count) = self.clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&client);
            }
        }
        Some(client)
    }

    /// Two generations bound both how many clients are remembered and for how long.
    fn remember(&mut self, client: IpAddr, now: Instant) {
        let since = *self.known_since.get_or_insert(now);
        if self.known.len() >= KNOWN || now.saturating_duration_since(since) >= KNOWN_FOR {
            self.known_before = std::mem::take(&mut self.known);
            self.known_since = Some(now);
        }
        self.known.insert(client);
    }
}

/// Whom an address stands for: itself, or its /64 network with IPv6, where a client has a whole one.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(most: u32, per_client: u32) -> Admission {
        Admission::new(&config::Smtp { max_connections: most, max_connections_per_client: per_client, ..config::Smtp::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The number of a connection that has to be served.
    fn serve(admission: &mut Admission, peer: &str, now: Instant) -> (u64, Option<u64>, bool) {
        match admission.admit(ip(peer), now) {
            Admitted::Serve { number, instead_of, known } => (number, instead_of, known),
            Admitted::Refuse(reply) => panic!("{peer}: {reply}"),
        }
    }

    fn is_refused(admission: &mut Admission, peer: &str, now: Instant) -> bool {
        matches!(admission.admit(ip(peer), now), Admitted::Refuse(_))
    }

    #[test]
    fn one_client_cannot_take_all_places() {
        let (mut all, now) = (admission(100, 2), Instant::now());
        let (first, ..) = serve(&mut all, "192.0.2.1", now);
        serve(&mut all, "::ffff:192.0.2.1", now);
        assert!(is_refused(&mut all, "192.0.2.1", now));
        serve(&mut all, "192.0.2.2", now);
        all.leave(first, true, now);
        serve(&mut all, "192.0.2.1", now);
        serve(&mut all, "2001:db8::1", now);
        serve(&mut all, "2001:db8::2", now);
        assert!(is_refused(&mut all, "2001:db8::ffff:3", now));
        serve(&mut all, "2001:db8:0:1::3", now);
    }

    #[test]
    fn the_longest_idle_makes_room() {
        let (mut all, start) = (admission(2, 10), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (first, ..) = serve(&mut all, "192.0.2.1", at(0));
        let (second, ..) = serve(&mut all, "192.0.2.2", at(1));
        all.active(first, at(2));
        let (third, instead_of, _) = serve(&mut all, "192.0.2.3", at(3));
        assert_eq!(instead_of, Some(second));
        all.leave(second, true, at(3));
        assert_eq!(all.count(), 2);
        all.busy(first);
        let (fourth, instead_of, _) = serve(&mut all, "192.0.2.4", at(4));
        assert_eq!(instead_of, Some(third));
        all.busy(fourth);
        assert!(is_refused(&mut all, "192.0.2.5", at(5)));
        all.active(first, at(6));
        assert_eq!(serve(&mut all, "192.0.2.5", at(7)).1, Some(first));
    }

    #[test]
    fn who_waited_once_is_known_for_a_while() {
        let (mut all, start) = (admission(10, 10), Instant::now());
        let at = |hours: u64| start + Duration::from_secs(hours * 3600);
        let mut visit = |peer, hours, well_behaved| {
            let (number, _, known) = serve(&mut all, peer, at(hours));
            all.leave(number, well_behaved, at(hours));
            known
        };
        assert!(!visit("192.0.2.1", 0, false));
        assert!(!visit("192.0.2.1", 0, true));
        assert!(visit("192.0.2.1", 1, false));
        assert!(!visit("192.0.2.2", 13, true));
        assert!(visit("192.0.2.1", 13, false));
        visit("192.0.2.3", 26, true);
        assert!(!visit("192.0.2.1", 26, false));
    }

    #[test]
    fn nothing_is_left_of_those_who_went() {
        let (mut all, now) = (admission(10, 10), Instant::now());
        let numbers: Vec<_> = (0..10).map(|n| serve(&mut all, &format!("192.0.2.{n}"), now).0).collect();
        numbers.iter().for_each(|number| all.leave(*number, false, now));
        numbers.iter().for_each(|number| all.leave(*number, false, now));
        all.active(numbers[0], now);
        assert!(all.connections.is_empty() && all.clients.is_empty() && all.idle.is_empty() && all.known.is_empty());
    }
}
