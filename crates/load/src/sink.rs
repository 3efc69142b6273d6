//! A null sink for SMTP: accepts everything at once and forgets it. It shows how fast the generator is by itself.

use crate::error::Error;
use crate::report::{Report, remark};
use crate::wire::Wire;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a silent client is kept.
const PATIENCE: Duration = Duration::from_secs(300);

/// Arguments of `load smtp-sink`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen, host:port.
    #[arg(long)]
    listen: String,
    /// Stop after this many messages.
    #[arg(long, default_value_t = u64::MAX)]
    messages: u64,
    /// Stop after this many seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// What came in.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    messages: AtomicU64,
    bytes: AtomicU64,
    /// Messages after which the sink stops.
    limit: u64,
    full: Notify,
}

/// What came in, as plain numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Messages accepted.
    pub(crate) messages: u64,
    /// Octets of their data.
    pub(crate) bytes: u64,
}

impl Totals {
    /// The numbers of this moment.
    pub(crate) fn snapshot(&self) -> Counts {
        Counts { messages: self.messages.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.messages.fetch_add(1, Ordering::Relaxed) + 1 >= self.limit {
            self.full.notify_one();
        }
    }
}

/// Listens until enough came in or the time is over.
pub(crate) async fn run(arguments: Arguments) -> Result<Report, Error> {
    let listener = TcpListener::bind(&arguments.listen).await.map_err(|source| Error::io(arguments.listen.clone(), source))?;
    let totals = Arc::new(Totals { limit: arguments.messages, ..Totals::default() });
    let start = Instant::now();
    tokio::select! {
        () = accept(listener, Arc::clone(&totals)) => {}
        () = totals.full.notified() => {}
        () = tokio::time::sleep(Duration::from_secs(arguments.seconds)) => {}
    }
    let counts = totals.snapshot();
    let mut report = Report::of("smtp-sink");
    report.put("messages", json!(counts.messages));
    report.put("bytes", json!(counts.bytes));
    report.put("seconds", json!(start.elapsed().as_secs_f64()));
    Ok(report)
}

async fn accept(listener: TcpListener, totals: Arc<Totals>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&totals)))),
            Err(error) => {
                remark(&format!("smtp-sink: accept: {error}"));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// One client. Its errors end its connection and concern nobody else.
async fn serve(stream: TcpStream, totals: Arc<Totals>) {
    if stream.set_nodelay(true).is_ok() {
        let mut wire = Wire::accepted(stream, PATIENCE);
        if let Ok(Err(error)) = timeout(PATIENCE, talk(&mut wire, &totals)).await
            && !matches!(error, Error::Closed)
        {
            remark(&format!("smtp-sink: {error}"));
        }
    }
}

async fn talk(wire: &mut Wire, totals: &Totals) -> Result<(), Error> {
    wire.send(b"220 sink.example\r\n").await?;
    loop {
        let verb: Vec<u8> = wire.line().await?.iter().take(4).map(u8::to_ascii_uppercase).collect();
        match verb.as_slice() {
            b"EHLO" => wire.send(b"250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n").await?,
            b"DATA" => {
                wire.send(b"354 go on\r\n").await?;
                totals.add(data(wire).await?);
                wire.send(b"250 gone\r\n").await?;
            }
            b"QUIT" => return wire.send(b"221 bye\r\n").await,
            _ => wire.send(b"250 ok\r\n").await?,
        }
    }
}

/// Reads up to the lonely dot. Returns the number of octets before it.
async fn data(wire: &mut Wire) -> Result<u64, Error> {
    let mut bytes = 0;
    loop {
        let line = wire.line().await?;
        if line == b"." {
            return Ok(bytes);
        }
        bytes += line.len() as u64 + 2;
    }
}

/// A sink for the tests of other modules.
#[cfg(test)]
pub(crate) async fn for_test() -> (String, Arc<Totals>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let totals = Arc::new(Totals { limit: u64::MAX, ..Totals::default() });
    drop(tokio::spawn(accept(listener, Arc::clone(&totals))));
    (address, totals)
}
