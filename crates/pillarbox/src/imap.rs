//! Drives IMAP sessions: sockets, TLS, log-ins, notices and waiting for the disk on one side, the session's steps on the other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::{Account, Outcome};
use imap::{Attempt, LoginRefused, Peer, Remark, Session, Settings, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{timeout, timeout_at};

use crate::house::{House, Orders};
use crate::listen::Service;
use crate::stream::Stream;

/// How much is read from a socket at once while an upload comes in.
const READ_SIZE: usize = 64 << 10;

/// How much room an idle session keeps for its next command.
const IDLE_SIZE: usize = 1 << 10;

/// How long a client may take nothing of what it asked for.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// Serves one connection until it ends.
pub(crate) async fn serve(house: Arc<House>, mut stream: Stream, peer: SocketAddr, service: Service) {
    if service.is_implicit_tls() {
        let Some(acceptor) = house.tls.acceptor() else { return };
        match timeout(house.config().imap.login_timeout, stream.into_tls(&acceptor)).await {
            Ok(Ok(encrypted)) => stream = encrypted,
            _ => return,
        }
    }
    let stirred = Arc::new(Notify::new());
    let notice = stirred.clone();
    let settings = Settings { limits: house.config().imap.clone(), tls: house.tls.acceptor().is_some() };
    let who = Peer { ip: peer.ip(), tls: service.is_implicit_tls(), loopback: peer.ip().is_loopback() };
    let session = Session::new(Arc::new(settings), who, Arc::new(move || notice.notify_one()), Instant::now());
    let orders = house.orders.subscribe();
    let mut driver = Driver { house, stream: Some(stream), peer, session, stirred, orders, account: None, places: None };
    if let Err(error) = driver.run().await {
        tracing::debug!(%peer, account = driver.name(), %error, "imap connection lost");
    }
}

struct Driver {
    house: Arc<House>,
    /// Only taken during a handshake.
    stream: Option<Stream>,
    peer: SocketAddr,
    session: Session,
    stirred: Arc<Notify>,
    orders: watch::Receiver<Orders>,
    account: Option<Arc<Account>>,
    /// Places for those of the account's sessions that work.
    places: Option<Arc<Semaphore>>,
}

impl Driver {
    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; IDLE_SIZE];
        loop {
            let step = match &self.places {
                Some(places) => {
                    let _place = places.acquire().await.ok();
                    crate::inline::run(|| self.session.advance(Instant::now())).await
                }
                // Before the log-in there are no files to wait for, and there may be hundreds that come at once.
                None => self.session.advance(Instant::now()),
            };
            match step {
                Step::Write => self.write().await?,
                Step::Read => self.read(&mut buffer).await?,
                Step::StartTls => self.start_tls().await?,
                Step::Authenticate(attempt) => self.authenticate(attempt).await,
                Step::Await(pending) => {
                    let result = pending.0.await;
                    self.session.resume(result);
                }
                Step::Remark(remark) => self.remark(remark),
                Step::Close => {
                    let Some(stream) = &mut self.stream else { return Ok(()) };
                    // The peer may be gone; it was told all that there was to say.
                    let _ = timeout(Duration::from_secs(2), stream.shutdown()).await;
                    return Ok(());
                }
            }
        }
    }

    async fn write(&mut self) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        // All of it before the session says more: what is left would have to be moved to the front.
        while !self.session.output().is_empty() {
            let written = timeout(WRITE_TIMEOUT, stream.write(self.session.output())).await.map_err(late)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.session.written(written);
        }
        timeout(WRITE_TIMEOUT, stream.flush()).await.map_err(late)?
    }

    /// Waits for octets, a notice, the deadline, or the order to stop.
    async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let deadline = self.session.deadline().into();
        let read = tokio::select! {
            read = timeout_at(deadline, stream.read(buffer)) => read,
            () = self.stirred.notified() => {
                self.session.notice();
                return Ok(());
            }
            // The sender lives in the house: there is always an order to come.
            _ = self.orders.changed() => {
                self.obey();
                return Ok(());
            }
        };
        let Ok(read) = read else { return Ok(()) };
        let length = read?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.session.receive(&buffer[..length]);
        // A full buffer means that there is more to come; idle sessions are many and keep a small one.
        let wanted = if length == buffer.len() {
            READ_SIZE
        } else if length < IDLE_SIZE {
            IDLE_SIZE
        } else {
            buffer.len()
        };
        if wanted != buffer.len() {
            *buffer = vec![0; wanted];
        }
        Ok(())
    }

    fn obey(&mut self) {
        let stop = self.orders.borrow_and_update().stop;
        if stop {
            self.session.end("Server is shutting down");
        } else if self.account.as_ref().is_some_and(|account| !self.house.is_open(account)) {
            self.session.end("This account was closed");
        }
    }

    fn name(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.name.as_str())
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let (Some(stream), Some(acceptor)) = (self.stream.take(), self.house.tls.acceptor()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let deadline = self.session.deadline().into();
        let handshake = timeout_at(deadline, stream.into_tls(&acceptor)).await;
        self.stream = Some(handshake.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??);
        self.session.secured();
        Ok(())
    }

    async fn authenticate(&mut self, attempt: Attempt) {
        let Attempt { name, authorization, secret, mechanism } = attempt;
        if authorization.is_some_and(|other| other != name) {
            return self.session.authenticated(Err(LoginRefused::Authorization));
        }
        let result = match self.house.log_in(&name, secret, self.peer.ip()).await {
            Outcome::Refused => Err(LoginRefused::Credentials),
            Outcome::TryLater { .. } => Err(LoginRefused::Limit),
            Outcome::Granted(account) => match self.house.agent(&account).await {
                Ok(agent) => {
                    tracing::info!(peer = %self.peer, account = account.name.as_str(), ?mechanism, "imap log-in");
                    self.account = Some(account);
                    self.places = Some(agent.places());
                    Ok(agent.store())
                }
                Err(error) => {
                    tracing::error!(account = account.name.as_str(), %error, "the account cannot be opened");
                    Err(LoginRefused::Unavailable)
                }
            },
        };
        self.session.authenticated(result);
    }

    fn remark(&self, remark: Remark) {
        let (peer, account) = (self.peer, self.name());
        match remark {
            Remark::Client(client) => tracing::info!(%peer, account, client, "imap client"),
            Remark::Ended(reason) => tracing::info!(%peer, account, reason, "imap session ended"),
            Remark::BrokenMessage { mailbox, uid } => {
                tracing::warn!(%peer, account, mailbox, uid, "a message could not be read to its end")
            }
        }
    }
}
