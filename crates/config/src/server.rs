//! The daemon itself: its name, folders and listeners.

use std::net::SocketAddr;
use std::path::PathBuf;

section! {
    /// The daemon: its name, its folders, and where it listens.
    pub struct Server in "server" {
        /// The name this machine has in the mail world: in the SMTP greeting, in Received headers, as the domain of bare
        /// addresses, and one of the domains whose mail is for accounts here. Example: "mail.example.net".
        pub hostname: String = "localhost".to_owned(),
        /// Where accounts, the journal, the queue and the index live. Must be on a local disk.
        pub data: PathBuf = PathBuf::from("/var/lib/pillarbox"),
        /// Addresses for mail from other servers. Port 25 in production.
        pub smtp: Vec<SocketAddr> = vec![SocketAddr::from(([0, 0, 0, 0], 25))],
        /// Addresses for IMAP with STARTTLS. Empty: none.
        pub imap: Vec<SocketAddr> = vec![SocketAddr::from(([0, 0, 0, 0], 143))],
        /// Addresses for IMAP with TLS from the start. Empty: none.
        pub imaps: Vec<SocketAddr> = vec![SocketAddr::from(([0, 0, 0, 0], 993))],
        /// Addresses where mail is handed in after log-in, with STARTTLS. Empty: none.
        pub submission: Vec<SocketAddr> = Vec::new(),
        /// Addresses where mail is handed in after log-in, with TLS from the start. Empty: none.
        pub submissions: Vec<SocketAddr> = Vec::new(),
        /// Addresses of the OpenMetrics page, loopback only. Empty: none. Example: ["127.0.0.1:9925"].
        pub metrics: Vec<SocketAddr> = Vec::new(),
        /// The certificate chain in PEM. Read again when the file changes. Empty: no TLS.
        pub tls_certificate: PathBuf = PathBuf::new(),
        /// The certificate's private key in PEM.
        pub tls_key: PathBuf = PathBuf::new(),
    }
}
