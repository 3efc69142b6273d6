//! A connection to a server: plain or TLS, read line by line with a time limit.

use crate::error::{Error, short};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Octets asked for in one read.
const READ: usize = 64 * 1024;
/// The longest line that is taken: a SEARCH answer of a mailbox of a million messages fits.
const LINE_LIMIT: usize = 64 * 1024 * 1024;

/// Both directions of a connection.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    /// TLS from the first octet; the certificate is not checked.
    pub(crate) tls: bool,
    /// How long to wait for any answer.
    pub(crate) patience: Duration,
}

/// One buffered connection.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    start: usize,
    patience: Duration,
    received: u64,
}

impl Wire {
    /// Connects, with a TLS handshake if the target wants it.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Error> {
        let connecting = timeout(target.patience, open(target));
        let stream = connecting.await.map_err(|_| Error::Timeout(target.patience))??;
        Ok(Self::over(stream, target.patience))
    }

    /// Takes an accepted connection.
    pub(crate) fn accepted(stream: TcpStream, patience: Duration) -> Self {
        Self::over(Box::new(stream), patience)
    }

    fn over(stream: Box<dyn Stream>, patience: Duration) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, patience, received: 0 }
    }

    /// All octets that came in so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Sends all of it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(self.patience, sending).await {
            Ok(sent) => sent.map_err(|source| Error::io("send", source)),
            Err(_) => Err(Error::Timeout(self.patience)),
        }
    }

    /// The next line without its line end.
    pub(crate) async fn line(&mut self) -> Result<&[u8], Error> {
        let mut searched = self.start;
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let (start, end) = (self.start, searched + length);
                self.start = end + 1;
                let line = &self.buffer[start..end];
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            let pending = self.buffer.len() - self.start;
            if pending > LINE_LIMIT {
                return Err(Error::Protocol(format!("a line of more than {LINE_LIMIT} octets: {}", short(&self.buffer[self.start..]))));
            }
            self.fill().await?;
            searched = self.start + pending;
        }
    }

    /// Passes over octets, such as those of a literal.
    pub(crate) async fn skip(&mut self, mut count: u64) -> Result<(), Error> {
        loop {
            let pending = (self.buffer.len() - self.start) as u64;
            if count <= pending {
                self.start += usize::try_from(count).unwrap_or(0);
                return Ok(());
            }
            count -= pending;
            self.start = self.buffer.len();
            self.fill().await?;
        }
    }

    /// Waits until the peer has closed the connection, at most as long as for any answer.
    pub(crate) async fn closed(&mut self) {
        while self.fill().await.is_ok() {
            self.start = self.buffer.len();
        }
    }

    /// Reads more behind what is still unread, which moves to the front of the buffer.
    async fn fill(&mut self) -> Result<(), Error> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(READ);
        match timeout(self.patience, self.stream.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) => Err(Error::Closed),
            Ok(Ok(count)) => {
                self.received += count as u64;
                Ok(())
            }
            Ok(Err(source)) => Err(Error::io("receive", source)),
            Err(_) => Err(Error::Timeout(self.patience)),
        }
    }

    /// Gives back the memory of an empty buffer, for sessions that idle in thousands.
    pub(crate) fn rest(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer = Vec::new();
            self.start = 0;
        }
    }
}

async fn open(target: &Target) -> Result<Box<dyn Stream>, Error> {
    let stream = TcpStream::connect(&target.address).await.map_err(|source| Error::io(target.address.clone(), source))?;
    stream.set_nodelay(true).map_err(|source| Error::io("TCP_NODELAY", source))?;
    if !target.tls {
        return Ok(Box::new(stream));
    }
    let name = rustls::pki_types::ServerName::try_from("localhost").map_err(|error| Error::Usage(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(trusting()?);
    let secured = connector.connect(name, stream).await.map_err(|source| Error::io("TLS", source))?;
    Ok(Box::new(secured))
}

/// A TLS configuration that takes any certificate: the servers under test have self-signed ones.
fn trusting() -> Result<Arc<rustls::ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Usage(error.to_string()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth();
    // Full handshakes only, so that each log-in costs the same on every server.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Checks signatures but believes every certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

mod any_certificate {
    use super::AnyCertificate;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    impl ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A wire whose other end sends these pieces, each in a write of its own, and closes.
    async fn wire(pieces: &'static [&'static str]) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target { address: listener.local_addr().unwrap().to_string(), tls: false, patience: Duration::from_secs(5) };
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        Wire::connect(&target).await.unwrap()
    }

    #[tokio::test]
    async fn lines_and_literals_in_pieces() {
        let mut wire = wire(&["* OK he", "llo\r", "\n* 1 FETCH {6}\r\nab\r", "\nc\n)\r\nplain\n", "cut"]).await;
        assert_eq!(wire.line().await.unwrap(), b"* OK hello");
        assert_eq!(wire.line().await.unwrap(), b"* 1 FETCH {6}");
        wire.skip(6).await.unwrap();
        assert_eq!(wire.line().await.unwrap(), b")");
        assert_eq!(wire.line().await.unwrap(), b"plain");
        assert!(matches!(wire.line().await, Err(Error::Closed)));
        assert_eq!(wire.received(), 45);
    }

    #[tokio::test]
    async fn no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut wire = Wire::connect(&Target { address, tls: false, patience: Duration::from_millis(20) }).await.unwrap();
        assert!(matches!(wire.line().await, Err(Error::Timeout(_))));
    }
}
