//! From the queue into mailboxes: workers take one recipient at a time, find his account's agent, and say what became of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mail::Recipient;
use queue::Job;
use serde_json::json;

use crate::agent::{Content, Delivery, Report};
use crate::house::House;
use crate::metrics::count;

/// How long a worker waits for work before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// The workers; they end when they are told, each after the delivery at hand.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Workers {
    /// Starts as many as `queue.deliveries` says.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn start(house: &Arc<House>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |number| {
            let (house, stop) = (house.clone(), stop.clone());
            std::thread::Builder::new().name(format!("deliver-{number}")).spawn(move || work(&house, &stop))
        };
        let threads = (0..house.config().queue.deliveries.max(1)).map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { threads, stop })
    }

    /// Waits until each has finished what it does.
    pub(crate) fn finish(self, house: &House) {
        self.stop.store(true, Ordering::Relaxed);
        house.queue.close();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a delivery worker had stopped");
            }
        }
    }
}

fn work(house: &Arc<House>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Some(job) = house.queue.take(PATIENCE) else { continue };
        let id = job.envelope().id;
        // A defect that one message brings out must not stop the mail of all.
        let outcome = catch_unwind(AssertUnwindSafe(|| attempt(house, &job)));
        let outcome = outcome.unwrap_or_else(|_| Err(Trouble { reason: "internal error, see the log".to_owned(), lasting: false }));
        if let Err(error) = settle(house, job, outcome) {
            tracing::error!(%id, %error, "the queue could not write down what became of a message");
        }
    }
}

/// Why a recipient did not get his message.
pub(crate) struct Trouble {
    pub(crate) reason: String,
    /// It will be no better later.
    pub(crate) lasting: bool,
}

fn attempt(house: &Arc<House>, job: &Job) -> Result<Report, Trouble> {
    let later = |reason: String| Trouble { reason, lasting: false };
    let recipient = &job.recipient().address;
    let Some((account, extension)) = house.account_of(recipient) else {
        let reason = if house.maps.is_own(recipient) {
            "there is no such account any more"
        } else {
            "this server does not send mail on to other servers"
        };
        return Err(Trouble { reason: reason.to_owned(), lasting: true });
    };
    let agent = house.agent_blocking(&account).map_err(|error| later(error.to_string()))?;
    let content = Queued(job.open().map_err(|error| later(error.to_string()))?);
    let delivery = Delivery {
        id: job.envelope().id,
        number: job.number(),
        sender: job.envelope().reverse_path.to_string(),
        extension,
        doubtful: job.doubtful,
        head: head(job),
        content: &content,
    };
    agent.deliver(&delivery, &house.config()).map_err(later)
}

/// A message in the queue.
struct Queued(queue::Content);

impl Content for Queued {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(buffer, offset).map_err(std::io::Error::other)
    }
}

/// The lines that final delivery puts above a message (RFC 5321 section 4.4), and those that Postfix's users rely on.
fn head(job: &Job) -> Vec<u8> {
    let Recipient { address, original, .. } = job.recipient();
    let mut head = format!("Return-Path: <{}>\n", job.envelope().reverse_path);
    if let Some(original) = original.as_deref().and_then(|original| original.strip_prefix("rfc822;")) {
        head.push_str(&format!("X-Original-To: {original}\n"));
    }
    head.push_str(&format!("Delivered-To: {address}\n"));
    head.into_bytes()
}

fn settle(house: &House, job: Job, outcome: Result<Report, Trouble>) -> queue::Result<()> {
    let id = job.envelope().id;
    let recipient = job.recipient().address.clone();
    match outcome {
        Ok(report) => {
            count(&house.metrics.recipients_delivered);
            for line in report.log.lines() {
                tracing::info!(%id, %recipient, "rules: {line}");
            }
            house.trace.step(id, "delivered", json!({
                "recipient": recipient.to_string(),
                "mailboxes": report.stored.iter().map(|s| json!({"mailbox": s.mailbox, "uid": s.uid, "file": s.file})).collect::<Vec<_>>(),
                "rule": report.rule,
                "outside": report.outside,
            }));
            job.delivered()
        }
        Err(trouble) => {
            house.tell_defer(id, &recipient, &trouble.reason);
            if trouble.lasting { job.failed(&trouble.reason) } else { job.deferred(&trouble.reason) }
        }
    }
}
