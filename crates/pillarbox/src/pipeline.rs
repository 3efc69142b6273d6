//! From the queue into mailboxes: workers take one recipient at a time, find his account's agent, and say what became of it.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail::Recipient;
use queue::Job;

use crate::agent::{Content, Delivery, Report, Stored};
use crate::details::Details;
use crate::gate::Gate;
use crate::house::House;
use crate::metrics::count;

/// How long a worker waits for work before it looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long workers have to come to an end when the daemon stops, their programs ended.
const LAST_MOMENT: Duration = Duration::from_millis(700);

/// An account whose workers have neither begun nor ended anything for so long hangs.
const HANGS: Duration = Duration::from_secs(30);

/// The workers; they end when they are told, each after the delivery at hand.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    gate: Arc<Gate>,
}

impl Workers {
    /// Starts as many as `queue.deliveries` says.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn start(house: &Arc<House>) -> std::io::Result<Self> {
        let (stop, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(Gate::new()));
        let start = |number| {
            let (house, stop, gate) = (house.clone(), stop.clone(), gate.clone());
            std::thread::Builder::new().name(format!("deliver-{number}")).spawn(move || {
                stand_back();
                work(&house, &stop, &gate, number);
            })
        };
        let threads = (0..house.config().queue.deliveries.max(1)).map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { threads, stop, gate })
    }

    /// Waits until each has finished what it does, but not for long: programs that rules started are ended, and what was not
    /// delivered stays in the queue for the next start. A worker that a disk holds up is left behind; says whether there is none.
    pub(crate) fn finish(self, house: &House) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        house.queue.close();
        self.gate.close();
        let end = Instant::now() + LAST_MOMENT;
        let mut threads = self.threads;
        while !threads.is_empty() && Instant::now() < end {
            // Those that only wait for work end at once.
            std::thread::sleep(Duration::from_millis(5));
            let (finished, busy): (Vec<_>, Vec<_>) = threads.into_iter().partition(std::thread::JoinHandle::is_finished);
            let failed = finished.into_iter().filter_map(|thread| thread.join().err()).count();
            if failed > 0 {
                tracing::error!(failed, "delivery workers had stopped");
            }
            threads = busy;
            if !threads.is_empty() {
                house.aborted.store(true, Ordering::Relaxed);
                filter::background::end_all();
            }
        }
        filter::background::end_all();
        if !threads.is_empty() {
            tracing::warn!(workers = threads.len(), "workers did not come to an end; their messages stay in the queue");
        }
        threads.is_empty()
    }
}

/// Delivers again what may have been lost by a power cut after a mail program was told of it: each gets the UID that it had,
/// before other messages could get that.
pub(crate) fn deliver_again(house: &Arc<House>) {
    let jobs = house.queue.take_told();
    if jobs.is_empty() {
        return;
    }
    tracing::info!(messages = jobs.len(), "delivering again what the disk may have lost");
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..house.config().queue.deliveries.max(1) {
            scope.spawn(|| {
                while let Some(job) = next() {
                    carry_out(house, job);
                }
            });
        }
    });
}

/// How much less of the processors the workers get when there is not enough for all, as nice(2) counts.
const NICE: i32 = 10;

/// A client waits for its 250 and a reader for his folder; nobody waits for what is safe in the queue already. So when there is
/// too much to do, this thread gets the smaller share, and what is left to do later is done when the rush is over.
fn stand_back() {
    // With Linux this concerns the calling thread alone. Where it is refused, all get the same share.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "workers do not stand back");
    }
}

fn work(house: &Arc<House>, stop: &AtomicBool, gate: &Gate, number: usize) {
    let mut inside = false;
    while !stop.load(Ordering::Relaxed) && (inside || gate.enter()) {
        inside = true;
        if let Some(job) = house.queue.take(PATIENCE) {
            gate.begin(number);
            carry_out(house, job);
            inside = gate.end(number);
        }
    }
}

/// Jobs by account, so that one whose rules hang does not take all workers: the last quarter of them is for accounts that have
/// none. Jobs that wait behind others keep their place in the journal, so they are put off when nothing moves.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<String, Lane>>);

#[derive(Debug)]
struct Lane {
    workers: usize,
    waiting: VecDeque<Job>,
    /// When a worker last began or ended a job.
    moved: Instant,
}

/// What becomes of a job that has come to its lane.
enum Turn {
    /// Its turn is now.
    Now(Job),
    /// Another worker takes it later.
    Waits,
    /// The account's workers all hang: these are to be put off.
    Hangs(Vec<Job>),
}

impl Lanes {
    fn enter(&self, account: &str, most: usize, job: Job) -> Turn {
        let mut lanes = self.lock();
        let busy: usize = lanes.values().map(|lane| lane.workers).sum();
        let lane = lanes.entry(account.to_owned()).or_insert_with(|| Lane { workers: 0, waiting: VecDeque::new(), moved: Instant::now() });
        if lane.workers == 0 || busy < most {
            lane.workers += 1;
            lane.moved = Instant::now();
            return Turn::Now(job);
        }
        lane.waiting.push_back(job);
        if lane.moved.elapsed() < HANGS {
            return Turn::Waits;
        }
        Turn::Hangs(lane.waiting.drain(..).collect())
    }

    /// The next job for a worker that has finished one of this account.
    fn next(&self, account: &str) -> Option<Job> {
        let mut lanes = self.lock();
        let lane = lanes.get_mut(account)?;
        lane.moved = Instant::now();
        let job = lane.waiting.pop_front();
        if job.is_none() {
            lane.workers -= 1;
            if lane.workers == 0 {
                lanes.remove(account);
            }
        }
        job
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers the job, and what waits behind it for the same account. Jobs for no account are quick.
fn carry_out(house: &Arc<House>, job: Job) {
    let Some(found) = house.account_of(&job.recipient().address) else { return carry_out_one(house, job, None) };
    let account = Arc::clone(&found.0);
    let workers = house.config().queue.deliveries;
    let most = workers - workers.div_ceil(4).min(workers);
    let mut next = match house.lanes.enter(account.name.as_str(), most, job) {
        Turn::Now(job) => Some(job),
        Turn::Waits => None,
        Turn::Hangs(jobs) => {
            let trouble = || Err(Trouble { reason: "the account's earlier deliveries do not end".to_owned(), lasting: false });
            return jobs.into_iter().for_each(|job| write_down(house, job, trouble()));
        }
    };
    let mut found = Some(found);
    while let Some(job) = next {
        // For those that waited, the account may have gone meanwhile.
        let owner = found.take().or_else(|| house.account_of(&job.recipient().address));
        carry_out_one(house, job, owner);
        next = house.lanes.next(account.name.as_str());
    }
}

/// The account that a message is for, and the extension of the address.
type Owner = (Arc<auth::Account>, String);

fn carry_out_one(house: &Arc<House>, job: Job, owner: Option<Owner>) {
    // A defect that one message brings out must not stop the mail of all.
    let outcome = catch_unwind(AssertUnwindSafe(|| attempt(house, &job, owner)));
    let outcome = outcome.unwrap_or_else(|_| Err(Trouble { reason: "internal error, see the log".to_owned(), lasting: false }));
    if outcome.is_err() && house.aborted.load(Ordering::Relaxed) {
        // It was not the message's fault: the next start delivers it.
        return drop(job);
    }
    write_down(house, job, outcome);
}

fn write_down(house: &House, job: Job, outcome: Result<Report, Trouble>) {
    let id = job.envelope().id;
    if let Err(error) = settle(house, job, outcome) {
        tracing::error!(%id, %error, "the queue could not write down what became of a message");
    }
}

/// Why a recipient did not get his message.
pub(crate) struct Trouble {
    pub(crate) reason: String,
    /// It will be no better later.
    pub(crate) lasting: bool,
}

fn attempt(house: &Arc<House>, job: &Job, owner: Option<Owner>) -> Result<Report, Trouble> {
    let later = |reason: String| Trouble { reason, lasting: false };
    if house.aborted.load(Ordering::Relaxed) {
        return Err(later("the daemon stops".to_owned()));
    }
    let recipient = &job.recipient().address;
    let Some((account, extension)) = owner else {
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
        told: &job.told,
        noted: &job.noted,
        note: &|note| job.note(note),
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

/// What of the rules' own log goes into the trace, in characters.
const TRACED_LOG: usize = 2000;

/// The lines of a log, as far as they fit.
fn first_lines(log: &str) -> Vec<&str> {
    let mut room = TRACED_LOG;
    let fits = |line: &&str| room.checked_sub(line.len()).map(|rest| room = rest).is_some();
    log.lines().take_while(fits).collect()
}

fn settle(house: &House, job: Job, outcome: Result<Report, Trouble>) -> queue::Result<()> {
    let id = job.envelope().id;
    let recipient = &job.recipient().address;
    match outcome {
        Ok(report) => {
            count(&house.metrics.recipients_delivered);
            for line in report.log.lines() {
                tracing::info!(%id, %recipient, account = report.account, "rules: {line}");
            }
            let stored = |s: &Stored| Details::new().text("file", &s.file).text("mailbox", &s.mailbox).plain("uid", s.uid).end();
            let details = Details::new()
                .text("account", &report.account)
                .texts("log", first_lines(&report.log))
                .plains("mailboxes", report.stored.iter().map(stored))
                .texts("outside", &report.outside)
                .text("recipient", recipient)
                .maybe("rule", report.rule.as_ref());
            house.trace.step(id, "delivered", details);
            job.delivered()
        }
        Err(trouble) => {
            house.tell_defer(id, recipient, &trouble.reason);
            if trouble.lasting { job.failed(&trouble.reason) } else { job.deferred(&trouble.reason) }
        }
    }
}
