//! Takes connections in, within the limits, and hands each to the driver of its protocol.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smtp::Admitted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::house::House;
use crate::listen::{Listener, Service};
use crate::metrics::count;
use crate::stream::Stream;
use crate::{imap, smtp as smtp_driver};

/// How long is waited after the system gave no connection, as when it has no file descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// The open connections that can be told to leave.
#[derive(Debug, Default)]
pub(crate) struct Places {
    leave: Mutex<HashMap<u64, Arc<Notify>>>,
    clients: Mutex<HashMap<IpAddr, u32>>,
}

/// Takes connections from one socket until the task is dropped.
pub(crate) async fn accept(house: Arc<House>, listener: Listener) {
    let service = listener.service;
    let socket = match TcpListener::from_std(listener.socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, service = service.name(), "cannot listen"),
    };
    loop {
        match socket.accept().await {
            Ok((tcp, peer)) => take(&house, service, tcp, peer),
            Err(error) => {
                tracing::warn!(%error, service = service.name(), "no connection could be taken");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

fn take(house: &Arc<House>, service: Service, tcp: TcpStream, peer: SocketAddr) {
    // Only speed depends on it.
    let _ = tcp.set_nodelay(true);
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    match service {
        Service::Smtp | Service::Submission | Service::Submissions => take_smtp(house, service, tcp, peer),
        Service::Imap | Service::Imaps => take_imap(house, service, tcp, peer),
        Service::Metrics => drop(tokio::spawn(show_metrics(house.clone(), tcp))),
    }
}

fn take_smtp(house: &Arc<House>, service: Service, tcp: TcpStream, peer: SocketAddr) {
    let admitted = house.smtp_admission().admit(peer.ip(), Instant::now());
    let (number, instead_of, known) = match admitted {
        Admitted::Refuse(reply) => return refuse(house, &tcp, reply),
        Admitted::Serve { number, instead_of, known } => (number, instead_of, known),
    };
    let leave = Arc::new(Notify::new());
    house.places.enter(number, leave.clone());
    if let Some(other) = instead_of {
        house.places.send_away(other);
    }
    count(&house.metrics.connections_smtp);
    let connection = smtp_driver::Connection { peer, service, number, known, leave };
    let house = house.clone();
    tokio::spawn(async move {
        let _open = house.metrics.open_session();
        let mut place = SmtpPlace { house: &house, number, well_behaved: false };
        place.well_behaved = smtp_driver::serve(house.clone(), Stream::Plain(tcp), connection).await;
    });
}

/// The place of an SMTP connection. It is given back also if a defect ends the session.
struct SmtpPlace<'a> {
    house: &'a House,
    number: u64,
    well_behaved: bool,
}

impl Drop for SmtpPlace<'_> {
    fn drop(&mut self) {
        self.house.places.go(self.number);
        self.house.smtp_admission().leave(self.number, self.well_behaved, Instant::now());
    }
}

fn take_imap(house: &Arc<House>, service: Service, tcp: TcpStream, peer: SocketAddr) {
    let limits = &house.config().imap;
    let network = network_of(peer.ip());
    if !house.places.client_enters(network, limits.max_connections_per_client, limits.max_connections) {
        return refuse(house, &tcp, "* BYE [UNAVAILABLE] Too many connections\r\n");
    }
    count(&house.metrics.connections_imap);
    let house = house.clone();
    tokio::spawn(async move {
        let _open = house.metrics.open_session();
        let _place = ImapPlace { house: &house, network };
        imap::serve(house.clone(), Stream::Plain(tcp), peer, service).await;
    });
}

/// The place of an IMAP connection. It is given back also if a defect ends the session.
struct ImapPlace<'a> {
    house: &'a House,
    network: IpAddr,
}

impl Drop for ImapPlace<'_> {
    fn drop(&mut self) {
        self.house.places.client_leaves(self.network);
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64, which is what one customer has.
fn network_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// Says no as far as the socket takes it at once, and closes.
fn refuse(house: &House, tcp: &TcpStream, reply: &str) {
    count(&house.metrics.connections_refused);
    let _ = tcp.try_write(reply.as_bytes());
}

impl Places {
    fn enter(&self, number: u64, leave: Arc<Notify>) {
        self.leave.lock().unwrap_or_else(PoisonError::into_inner).insert(number, leave);
    }

    fn go(&self, number: u64) {
        self.leave.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn send_away(&self, number: u64) {
        if let Some(leave) = self.leave.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
            leave.notify_one();
        }
    }

    /// Counts a connection of this client, unless it or all together have too many.
    fn client_enters(&self, client: IpAddr, most_per_client: u32, most: u32) -> bool {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = clients.values().sum();
        let count = clients.get(&client).copied().unwrap_or(0);
        let enters = count < most_per_client && all < most;
        if enters {
            clients.insert(client, count + 1);
        }
        enters
    }

    fn client_leaves(&self, client: IpAddr) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&client);
            }
        }
    }
}

/// Answers one HTTP request, whatever it asks, with the page of counters.
async fn show_metrics(house: Arc<House>, mut tcp: TcpStream) {
    let answer = async {
        let mut request = [0; 4096];
        if tcp.read(&mut request).await? == 0 {
            return Ok(());
        }
        let page = house.metrics.page();
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
        tcp.write_all((head + &page).as_bytes()).await?;
        tcp.shutdown().await
    };
    if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(10), answer).await {
        tracing::debug!(%error, "metrics connection lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_an_ipv6_network_is_one_client() {
        let places = Places::default();
        let check = |client: &str, expected: bool| {
            let client = network_of(client.parse().unwrap());
            assert_eq!(places.client_enters(client, 2, 3), expected, "{client}");
        };
        check("2001:db8::1", true);
        check("2001:db8::2", true);
        check("2001:db8::3", false);
        check("192.0.2.1", true);
        check("192.0.2.2", false);
        places.client_leaves(network_of("2001:db8::9".parse().unwrap()));
        check("192.0.2.2", true);
        assert_eq!(places.clients.lock().unwrap().len(), 3, "who was refused is not remembered");
    }
}
