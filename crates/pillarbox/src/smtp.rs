//! Drives SMTP sessions: sockets, TLS, log-ins, look-ups and the queue on one side, the session's effects on the other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::{Exchange, Outcome, Step};
use mail::{Enhanced, Envelope, Reply, Secret, Verdict};
use smtp::{Answer, Closing, Effect, Now, Peer, Role, Session, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use crate::details::Details;
use crate::house::{House, Orders};
use crate::listen::Service;
use crate::metrics::count;
use crate::stream::Stream;

/// How much is read from a socket at once while a long message comes in.
const READ_SIZE: usize = 64 << 10;

/// The same for the beginning of a message. Most are not much longer.
const BODY_SIZE: usize = 8 << 10;

/// How much room an idle session keeps for its next command.
const IDLE_SIZE: usize = 2 << 10;

/// How long a client that was told goodbye may go on talking.
const GOODBYE: Duration = Duration::from_secs(2);

/// Who is connected, and how.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The port it came to.
    pub(crate) service: Service,
    /// Its number with the admission.
    pub(crate) number: u64,
    /// It is known to wait for the greeting.
    pub(crate) known: bool,
    /// Notified when the connection has to make room for another.
    pub(crate) leave: Arc<Notify>,
}

/// Serves one connection until it ends; gives whether the client behaved well.
pub(crate) async fn serve(house: Arc<House>, mut stream: Stream, connection: Connection) -> bool {
    let tls = connection.service.is_implicit_tls();
    if tls {
        let Some(acceptor) = house.tls.acceptor() else { return false };
        let limit = house.config().smtp.command_timeout;
        match tokio::time::timeout(limit, stream.into_tls(&acceptor)).await {
            Ok(Ok(encrypted)) => stream = encrypted,
            _ => return false,
        }
    }
    let peer = Peer { address: connection.peer.ip(), tls: tls_of(&stream), known: connection.known };
    let session = Session::new(settings(&house, connection.service), peer, now(&house));
    let orders = house.orders.subscribe();
    let mut driver = Driver { house, stream: Some(stream), connection, session, orders, incoming: None, exchange: None, account: None };
    match driver.run().await {
        Ok(closing) => tracing::debug!(peer = %driver.connection.peer, %closing, "smtp session ended"),
        Err(error) => tracing::debug!(peer = %driver.connection.peer, %error, "smtp connection lost"),
    }
    driver.session.is_well_behaved()
}

fn settings(house: &House, service: Service) -> Arc<Settings> {
    let config = house.config();
    let role = if service == Service::Smtp { Role::Relay } else { Role::Submission };
    let mut settings = Settings::new(config.smtp.clone(), house.hostname(), role);
    settings.starttls = !service.is_implicit_tls() && house.tls.acceptor().is_some();
    settings.reports = false;
    Arc::new(settings)
}

fn now(house: &House) -> Now {
    Now { instant: Instant::now(), micros: house.clock.micros() }
}

fn tls_of(stream: &Stream) -> Option<smtp::Tls> {
    stream.cipher().map(|cipher| smtp::Tls { cipher })
}

struct Driver {
    house: Arc<House>,
    /// Only taken during a handshake.
    stream: Option<Stream>,
    connection: Connection,
    session: Session,
    orders: watch::Receiver<Orders>,
    incoming: Option<crate::intake::Incoming>,
    exchange: Option<Exchange>,
    account: Option<String>,
}

impl Driver {
    async fn run(&mut self) -> io::Result<Closing> {
        let (mut buffer, mut filled) = (vec![0; IDLE_SIZE], 0);
        loop {
            while let Some(effect) = self.session.next(now(&self.house)) {
                if let Some(closing) = self.carry_out(effect).await? {
                    return Ok(closing);
                }
            }
            // Only a message in progress is worth a large buffer: idle sessions are many.
            let wanted = match (self.incoming.is_some(), filled == buffer.len()) {
                (true, true) => READ_SIZE,
                (true, false) => buffer.len().max(BODY_SIZE),
                (false, _) => IDLE_SIZE,
            };
            if buffer.len() != wanted {
                buffer = vec![0; wanted];
            }
            filled = self.read(&mut buffer).await;
        }
    }

    /// Waits for octets, the deadline, or the order to leave.
    /// Gives how many octets came.
    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(stream) = &mut self.stream else {
            self.session.hang_up();
            return 0;
        };
        let deadline = self.session.deadline().into();
        let amid = self.incoming.is_some();
        let read = tokio::select! {
            read = timeout_at(deadline, stream.read(buffer)) => read,
            () = self.connection.leave.notified() => {
                self.dismiss("Too many connections").await;
                return 0;
            }
            // A message that is coming in has its chance until the daemon's patience ends.
            () = stopping(&mut self.orders), if !amid => {
                self.dismiss("Service shutting down").await;
                return 0;
            }
        };
        match read {
            Ok(Ok(0) | Err(_)) => self.session.hang_up(),
            Ok(Ok(length)) => {
                self.house.smtp_admission().active(self.connection.number, Instant::now());
                self.session.receive(&buffer[..length]);
                return length;
            }
            Err(_) => {}
        }
        0
    }

    /// Says that the connection closes (RFC 5321 section 3.8), and ends the session. All replies before were sent.
    async fn dismiss(&mut self, reason: &str) {
        let reply = format!("421 4.3.2 {} {reason}\r\n", self.house.hostname());
        if let Some(stream) = &mut self.stream {
            let write = async {
                stream.write_all(reply.as_bytes()).await?;
                stream.shutdown().await
            };
            // The peer may be gone.
            let _ = tokio::time::timeout(GOODBYE, write).await;
        }
        self.session.hang_up();
    }

    /// Does what the session wants; gives the reason when it is over.
    async fn carry_out(&mut self, effect: Effect) -> io::Result<Option<Closing>> {
        match effect {
            Effect::Write(octets) => self.write(&octets).await,
            Effect::StartTls => self.start_tls().await?,
            Effect::CheckSender { sender, account, .. } => {
                let verdict = self.house.check_sender(&sender, account.as_deref());
                self.verdict(verdict);
            }
            Effect::CheckRecipient { recipient, account, .. } => {
                let verdict = self.house.check_recipient(&recipient, account.as_deref());
                self.verdict(verdict);
            }
            Effect::LoginStart { mechanism, initial } => {
                let started = Exchange::start(&mechanism, initial.as_ref());
                let (exchange, step) = started.map_or((None, Step::Malformed), |(exchange, step)| (Some(exchange), step));
                self.exchange = exchange;
                self.login(step).await;
            }
            Effect::LoginAnswer(answer) => self.login_answer(&answer).await,
            Effect::Begin(envelope) => self.begin(*envelope),
            Effect::Body(octets) => self.body(&octets).await,
            Effect::Commit { size } => self.commit(size).await,
            Effect::Abort(refusal) => self.abort(&refusal.to_string()),
            Effect::Close(closing) => {
                self.close().await;
                return Ok(Some(closing));
            }
        }
        Ok(None)
    }

    fn verdict(&mut self, verdict: Verdict) {
        self.session.answer(Answer::Verdict(verdict), now(&self.house));
    }

    /// Sends a reply. A client that is gone, or does not take it in time, still has its complete message accepted.
    async fn write(&mut self, octets: &[u8]) {
        let deadline = self.session.deadline().into();
        let Some(stream) = &mut self.stream else { return self.session.hang_up() };
        let write = async {
            stream.write_all(octets).await?;
            stream.flush().await
        };
        if !matches!(timeout_at(deadline, write).await, Ok(Ok(()))) {
            self.session.hang_up();
        }
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let (Some(stream), Some(acceptor)) = (self.stream.take(), self.house.tls.acceptor()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let deadline = self.session.deadline().into();
        let stream = timeout_at(deadline, stream.into_tls(&acceptor)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if let Some(tls) = tls_of(&stream) {
            self.session.tls_started(tls);
        }
        self.stream = Some(stream);
        Ok(())
    }

    /// Ends the connection. What the client still sends is read away for a moment: closing on unread octets would make the
    /// kernel throw away our last reply.
    async fn close(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let goodbye = async {
            stream.shutdown().await?;
            let mut rest = [0; 4096];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // The peer may be gone; it was told all that there was to say.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    async fn login_answer(&mut self, answer: &Secret) {
        let step = self.exchange.as_mut().map_or(Step::Malformed, |exchange| exchange.answer(answer));
        self.login(step).await;
    }

    async fn login(&mut self, step: Step) {
        let answer = match step {
            Step::Challenge(challenge) => Answer::Challenge(challenge.to_vec()),
            Step::Malformed => Answer::Verdict(reject(501, Enhanced(5, 5, 2), "Malformed authentication message")),
            Step::Complete(credentials) => {
                let name = credentials.name;
                match self.house.log_in(&name, credentials.password, self.connection.peer.ip()).await {
                    Outcome::Granted(account) => {
                        self.account = Some(account.name.to_string());
                        Answer::LoggedIn(account.name.to_string())
                    }
                    Outcome::Refused => Answer::Verdict(reject(535, Enhanced(5, 7, 8), "Authentication failed")),
                    Outcome::TryLater { .. } => {
                        let text = "Too many log-in attempts, try again later";
                        Answer::Verdict(Verdict::Defer(Reply::new(454, Enhanced(4, 7, 0), text)))
                    }
                }
            }
        };
        self.session.answer(answer, now(&self.house));
    }

    fn begin(&mut self, envelope: Envelope) {
        let verdict = match self.house.open_message(envelope) {
            Ok(incoming) => {
                self.incoming = Some(incoming);
                Verdict::Accept
            }
            Err(refusal) => refusal,
        };
        self.verdict(verdict);
    }

    async fn body(&mut self, octets: &[u8]) {
        if let Some(incoming) = &mut self.incoming {
            incoming.write(octets).await;
        }
    }

    async fn commit(&mut self, size: u64) {
        let Some(incoming) = self.incoming.take() else {
            return self.verdict(Verdict::Defer(Reply::new(451, Enhanced(4, 3, 0), "Local error, try again later")));
        };
        self.house.smtp_admission().busy(self.connection.number);
        let verdict = incoming.accept(&self.house).await;
        self.house.smtp_admission().active(self.connection.number, Instant::now());
        if verdict_is_accept(&verdict) {
            count(&self.house.metrics.messages_accepted);
            self.house.metrics.octets_accepted.fetch_add(size, std::sync::atomic::Ordering::Relaxed);
        } else {
            count(&self.house.metrics.messages_refused);
        }
        self.verdict(verdict);
    }

    fn abort(&mut self, reason: &str) {
        if let Some(incoming) = self.incoming.take() {
            count(&self.house.metrics.messages_refused);
            self.house.trace.step(incoming.id(), "refused", Details::new().text("reason", reason));
        }
    }
}

/// Ready when the daemon is told to stop.
async fn stopping(orders: &mut watch::Receiver<Orders>) {
    // The sender lives in the house, so the wait ends only with the order.
    let _ = orders.wait_for(|orders| orders.stop).await;
}

fn verdict_is_accept(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accept)
}

fn reject(code: u16, enhanced: Enhanced, text: &str) -> Verdict {
    Verdict::Reject(Reply::new(code, enhanced, text))
}
