//! Opening the listening sockets, with errors that say which address and what to do.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Mail from other servers, STARTTLS offered.
    Smtp,
    /// Mail from our users, STARTTLS offered.
    Submission,
    /// Mail from our users, TLS from the start.
    Submissions,
    /// Reading mail, STARTTLS offered.
    Imap,
    /// Reading mail, TLS from the start.
    Imaps,
    /// The OpenMetrics page.
    Metrics,
}

impl Service {
    /// The service's name, as its key in the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Metrics => "metrics",
        }
    }

    /// The service of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Smtp, Self::Submission, Self::Submissions, Self::Imap, Self::Imaps, Self::Metrics];
        all.into_iter().find(|service| service.name() == name)
    }

    /// Whether TLS comes before the first octet.
    #[must_use]
    pub fn is_implicit_tls(self) -> bool {
        matches!(self, Self::Submissions | Self::Imaps)
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    /// What it is for.
    pub service: Service,
    /// Where it listens.
    pub address: SocketAddr,
    /// The socket, not blocking.
    pub socket: TcpListener,
}

/// An address that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {}: {source}{}", service.name(), hint(source, *address))]
pub struct ListenError {
    /// What it was for.
    pub service: Service,
    /// Where.
    pub address: SocketAddr,
    /// What the kernel said.
    pub source: io::Error,
}

impl ListenError {
    /// The exit status: 77 (EX_NOPERM) where a right is missing, 75 (EX_TEMPFAIL) otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.source.kind() == io::ErrorKind::PermissionDenied { 77 } else { 75 }
    }
}

fn hint(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "\n  another program has this port; find it with: ss -ltnp 'sport = :{0}'\n  then stop it (for Postfix: systemctl disable --now postfix) or choose another address",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "\n  port {} needs a right: start with the systemd unit, which gives it, or grant it once with\n  setcap cap_net_bind_service=+ep FILE-OF-THE-PROGRAM, or choose a port above 1023",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => "\n  no interface of this machine has this address; see: ip address".to_owned(),
        _ => String::new(),
    }
}

/// Opens one listening socket.
///
/// # Errors
/// [`ListenError`] with what to do.
pub fn listen(service: Service, address: SocketAddr) -> Result<Listener, ListenError> {
    let wrong = |source| ListenError { service, address, source };
    let socket = open(address).map_err(wrong)?;
    let address = socket.local_addr().map_err(wrong)?;
    Ok(Listener { service, address, socket })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Opens every socket that the configuration names, or says of all that fail.
///
/// # Errors
/// Every address that could not be had; the others are closed again.
pub fn listen_all(server: &config::Server) -> Result<Vec<Listener>, Vec<ListenError>> {
    let wanted = [
        (Service::Smtp, &server.smtp),
        (Service::Submission, &server.submission),
        (Service::Submissions, &server.submissions),
        (Service::Imap, &server.imap),
        (Service::Imaps, &server.imaps),
        (Service::Metrics, &server.metrics),
    ];
    let mut listeners = Vec::new();
    let mut errors = Vec::new();
    for (service, addresses) in wanted {
        for address in addresses {
            match listen(service, *address) {
                Ok(listener) => listeners.push(listener),
                Err(error) => errors.push(error),
            }
        }
    }
    if errors.is_empty() { Ok(listeners) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_a_cure() {
        let first = listen(Service::Imap, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let error = listen(Service::Imap, first.address).unwrap_err();
        assert_eq!(error.exit_code(), 75);
        assert!(error.to_string().contains(&format!("cannot listen on {} for imap", first.address)));
        assert!(error.to_string().contains("another program has this port"));
    }
}
