//! The certificate: read at start, and again when its files change.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The largest certificate or key file that is read, in octets.
const LARGEST_PEM: u64 = 1 << 20;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file holds nothing of the wanted kind.
    #[error("{path} holds no {what} in PEM form")]
    Empty {
        /// Which file.
        path: String,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Certificate and key do not fit together or are not usable.
    #[error("certificate {path} cannot be used: {source}")]
    Unusable {
        /// The certificate's file.
        path: String,
        /// Why.
        source: rustls::Error,
    },
}

/// The acceptor in force. Sessions take a clone when they need it, so a new certificate serves the next handshake.
#[derive(Clone, Default)]
pub(crate) struct Tls(Arc<RwLock<Option<TlsAcceptor>>>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("available", &self.acceptor().is_some()).finish()
    }
}

impl Tls {
    /// The acceptor in force; `None` where no certificate is configured.
    #[must_use]
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Reads the files and puts them in force. On an error the old certificate stays.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn load(&self, server: &config::Server) -> Result<(), TlsError> {
        let acceptor = if server.tls_certificate.as_os_str().is_empty() { None } else { Some(acceptor(server)?) };
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = acceptor;
        Ok(())
    }
}

fn acceptor(server: &config::Server) -> Result<TlsAcceptor, TlsError> {
    let path = server.tls_certificate.display().to_string();
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&read(&server.tls_certificate)?).collect::<Result<_, _>>().unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::Empty { path, what: "certificate" });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&server.tls_key)?)
        .map_err(|_| TlsError::Empty { path: server.tls_key.display().to_string(), what: "private key" })?;
    let unusable = |source| TlsError::Unusable { path: path.clone(), source };
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let wrong = |source| TlsError::Read { path: path.display().to_string(), source };
    let mut octets = Vec::new();
    let file = File::open(path).map_err(wrong)?;
    BufReader::new(file).take(LARGEST_PEM).read_to_end(&mut octets).map_err(wrong)?;
    Ok(octets)
}
