//! What a session is told when it begins.

use std::net::IpAddr;
use std::time::Instant;

use mail::Domain;

/// A point in time by both clocks: one for limits, one for what is written down.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For time limits.
    pub instant: Instant,
    /// Microseconds since 1970, UTC: for message ids and Received headers.
    pub micros: u64,
}

/// Whom a port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Strangers: other mail servers on port 25. There is a pause before the greeting and no log-in.
    Relay,
    /// Our own users (RFC 6409): log-in is offered under TLS, and MAIL needs it.
    Submission,
}

/// What all sessions of a port have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The limits.
    pub limits: config::Smtp,
    /// The name of this server in its greeting and in Received headers, and the domain of a bare `postmaster`.
    pub hostname: Domain,
    /// Whom the port serves.
    pub role: Role,
    /// Whether STARTTLS can be offered: there is a certificate.
    pub starttls: bool,
    /// SASL mechanisms, in capitals. They are offered under TLS, on a submission port only.
    pub mechanisms: Vec<String>,
    /// Whether the DSN parameters (RFC 3461) are offered: whoever takes the envelope has to honour them.
    pub reports: bool,
}

impl Settings {
    /// Settings with the usual mechanisms (PLAIN and LOGIN), without a certificate, with reports.
    #[must_use]
    pub fn new(limits: config::Smtp, hostname: Domain, role: Role) -> Self {
        let mechanisms = vec!["PLAIN".to_owned(), "LOGIN".to_owned()];
        Self { limits, hostname, role, starttls: false, mechanisms, reports: true }
    }
}

/// What is known of an encrypted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The cipher suite's registered name, such as `TLS_AES_128_GCM_SHA256`; it stands in the Received header.
    pub cipher: String,
}

/// Who has connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address.
    pub address: IpAddr,
    /// Set where TLS came before the first octet.
    pub tls: Option<Tls>,
    /// The client is known to wait for the greeting (see [`crate::Admission`]): no pause is made for it.
    pub known: bool,
}
