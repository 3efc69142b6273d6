//! Idle sessions: how soon they hear of new mail, and what it costs to hold many of them.

use super::session::Session;
use super::work::{Client, Work};
use super::{Arguments, quoted};
use crate::error::Error;
use crate::message::{self, Sketch};
use crate::report::{Moved, Report, Tally, remark};
use crate::smtp;
use crate::wire::{Target, Wire};
use std::io::Read;
use std::time::{Duration, Instant};

/// Sends messages by SMTP one after another, and measures from the end of each to its notice.
pub(crate) async fn latency(arguments: &Arguments) -> Result<Report, Error> {
    let missing = || Error::Usage("idle-latency needs --smtp and --rcpt".into());
    let (smtp, rcpt) = (arguments.smtp.clone().ok_or_else(missing)?, arguments.rcpt.clone().ok_or_else(missing)?);
    let mut client = Client::prepare(&arguments.plan(), Work::IdleLatency, arguments.login(0), 0..1).await?;
    let mut known = client.messages();
    let tag = client.session()?.idle().await?;
    let target = Target { address: smtp, tls: false, patience: Duration::from_secs(arguments.patience) };
    let mut sender = smtp::greet(&target).await?;
    let tally = Tally::start();
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds.clamp(0.0, 86_400.0));
    let mut number = 0;
    while number < arguments.count && Instant::now() < until {
        let end = submit(&mut sender, &rcpt, number, arguments).await?;
        let reply = smtp::reply(&mut sender, "end of data", b'2');
        let (reply, notice) = tokio::join!(reply, client.session()?.more_than(known));
        reply?;
        known = notice?;
        tally.record("idle-latency", end.elapsed(), Moved { commands: 1, items: 1, bytes: arguments.size as u64 });
        number += 1;
    }
    tally.stop();
    client.session()?.done(&tag).await?;
    client.leave().await?;
    Ok(tally.report("idle-latency"))
}

/// Sends one message. Returns the moment at which its final dot went out.
async fn submit(sender: &mut Wire, rcpt: &str, number: u64, arguments: &Arguments) -> Result<Instant, Error> {
    let from = "sender@load.example";
    smtp::envelope(sender, from, rcpt, false).await?;
    let mut data = Vec::new();
    message::write(&Sketch { number, seed: arguments.seed, size: arguments.size, from, to: rcpt, plain: true }, &mut data);
    data.extend_from_slice(b".\r\n");
    let end = Instant::now();
    sender.send(&data).await?;
    Ok(end)
}

/// Opens the sessions, lets them idle in the mailbox, says `ready` on standard error, and holds them until standard input ends.
pub(crate) async fn hold(arguments: &Arguments) -> Result<Report, Error> {
    let tally = Tally::start();
    let target = arguments.target();
    let mut held = Vec::new();
    for index in 0..arguments.clients {
        let start = Instant::now();
        match settle(&target, arguments, index).await {
            Ok(session) => {
                tally.record("idle-memory", start.elapsed(), Moved { commands: 3, items: 1, bytes: 0 });
                held.push(session);
            }
            Err(error) => tally.fail("idle-memory", &error),
        }
    }
    tally.stop();
    remark(&format!("ready {}", held.len()));
    let until = Duration::from_secs_f64(arguments.seconds.clamp(0.0, 86_400.0));
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().lock().read(&mut [0]));
    // The time is over or the input has ended: either way the sessions go.
    drop(tokio::time::timeout(until, ended).await);
    Ok(tally.report("idle-memory"))
}

async fn settle(target: &Target, arguments: &Arguments, index: u64) -> Result<Session, Error> {
    let mut session = Session::log_in(target, &arguments.login(index)).await?;
    session.command(&format!("SELECT {}", quoted(&arguments.mailbox))).await?;
    session.idle().await?;
    Ok(session)
}
