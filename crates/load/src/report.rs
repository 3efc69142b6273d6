//! What came of a run: counts, rates, latencies, and how busy the generator itself was.

use crate::error::Error;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Sub-buckets of each power of two: latencies are kept with an error below 1.6 percent.
const STEPS: usize = 64;
/// Powers of two above the first `STEPS` nanoseconds; the last is beyond an hour.
const POWERS: usize = 37;

/// Latencies in buckets that grow with the value, so that any number of them takes the same 19 KiB.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: f64,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * POWERS], total: 0, sum: 0.0, longest: Duration::ZERO }
    }
}

impl Histogram {
    /// Adds one latency.
    pub(crate) fn add(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(nanoseconds).min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.total += 1;
        self.sum += latency.as_secs_f64();
        self.longest = self.longest.max(latency);
    }

    /// The latency that this share (0 to 1) of all did not exceed, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let wanted = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return (middle(index) / 1000.0).min(self.longest.as_secs_f64() * 1e6);
            }
        }
        0.0
    }

    fn json(&self) -> Value {
        let mean = if self.total == 0 { 0.0 } else { self.sum / self.total as f64 * 1e6 };
        json!({
            "count": self.total, "mean": round(mean), "p50": round(self.percentile(0.5)), "p90": round(self.percentile(0.9)),
            "p99": round(self.percentile(0.99)), "max": round(self.longest.as_secs_f64() * 1e6),
        })
    }
}

/// The bucket of a latency: the first `STEPS` are one nanosecond wide, each later power of two has `STEPS / 2` of them.
fn bucket(nanoseconds: u64) -> usize {
    let width = (64 - nanoseconds.leading_zeros() as usize).saturating_sub(STEPS.trailing_zeros() as usize);
    let within = (nanoseconds >> width) as usize;
    if width == 0 { within } else { STEPS + (width - 1) * STEPS / 2 + within - STEPS / 2 }
}

/// The value in the middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> f64 {
    if bucket < STEPS {
        return bucket as f64;
    }
    let width = (bucket - STEPS) / (STEPS / 2) + 1;
    let within = (bucket - STEPS) % (STEPS / 2) + STEPS / 2;
    (within as f64 + 0.5) * 2f64.powi(i32::try_from(width).unwrap_or(0))
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The counts of a run, shared by all its sessions.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    started: Instant,
    cpu: Duration,
    ended: Option<(Instant, Duration)>,
    done: u64,
    failed: u64,
    commands: u64,
    items: u64,
    bytes: u64,
    first_error: Option<String>,
    latencies: BTreeMap<&'static str, Histogram>,
}

/// What one operation moved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moved {
    /// Commands that were sent.
    pub(crate) commands: u64,
    /// Answers, or messages, whatever the work counts.
    pub(crate) items: u64,
    /// Octets of payload.
    pub(crate) bytes: u64,
}

impl Tally {
    /// Starts the clock.
    pub(crate) fn start() -> Self {
        let (started, cpu) = (Instant::now(), own_cpu());
        let (done, failed, commands, items, bytes) = (0, 0, 0, 0, 0);
        Self(Mutex::new(Counts {
            started,
            cpu,
            ended: None,
            done,
            failed,
            commands,
            items,
            bytes,
            first_error: None,
            latencies: BTreeMap::new(),
        }))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One operation is done.
    pub(crate) fn record(&self, name: &'static str, latency: Duration, moved: Moved) {
        let mut counts = self.counts();
        counts.done += 1;
        counts.commands += moved.commands;
        counts.items += moved.items;
        counts.bytes += moved.bytes;
        counts.latencies.entry(name).or_default().add(latency);
    }

    /// One operation failed. The first error is kept for the report.
    pub(crate) fn fail(&self, name: &'static str, error: &Error) {
        let mut counts = self.counts();
        counts.failed += 1;
        counts.first_error.get_or_insert_with(|| format!("{name}: {error}"));
    }

    /// Stops the clock; work after this moment (closing connections) does not count.
    pub(crate) fn stop(&self) {
        self.stop_at(Instant::now());
    }

    /// The same, when the last thing that counts is known to have happened earlier.
    pub(crate) fn stop_at(&self, end: Instant) {
        self.counts().ended = Some((end, own_cpu()));
    }

    /// The report of everything recorded.
    pub(crate) fn report(&self, work: &str) -> Report {
        let counts = self.counts();
        let (ended, cpu) = counts.ended.unwrap_or_else(|| (Instant::now(), own_cpu()));
        let seconds = ended.duration_since(counts.started).as_secs_f64().max(1e-9);
        let own = cpu.saturating_sub(counts.cpu).as_secs_f64();
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("work", json!(work));
        put("done", json!(counts.done));
        put("failed", json!(counts.failed));
        put("seconds", json!(seconds));
        put("per_second", json!(round(counts.done as f64 / seconds)));
        for (name, rate, value) in [
            ("commands", "commands_per_second", counts.commands),
            ("items", "items_per_second", counts.items),
            ("bytes", "bytes_per_second", counts.bytes),
        ] {
            put(name, json!(value));
            put(rate, json!(round(value as f64 / seconds)));
        }
        put("own_cpu_seconds", json!(own));
        put("own_cpu_share", json!(round(own / seconds * 100.0) / 100.0));
        put("latency_us", counts.latencies.iter().map(|(name, histogram)| ((*name).to_owned(), histogram.json())).collect());
        if let Some(error) = &counts.first_error {
            put("first_error", json!(error));
        }
        Report { fields, failed: counts.failed > 0 }
    }
}

/// The processor time that this process has used so far.
fn own_cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// What is printed at the end: names and values in the order of the names.
#[derive(Debug, Default)]
pub(crate) struct Report {
    fields: Map<String, Value>,
    failed: bool,
}

impl Report {
    /// A report of a single thing.
    pub(crate) fn of(work: &str) -> Self {
        let mut report = Self::default();
        report.put("work", json!(work));
        report
    }

    /// Adds or replaces a value.
    pub(crate) fn put(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// Whether nothing failed.
    pub(crate) fn good(&self) -> bool {
        !self.failed
    }

    /// One line of JSON, or a line of text for each value.
    pub(crate) fn print(&self, json: bool) -> Result<(), Error> {
        let mut output = io::stdout().lock();
        let written = if json {
            writeln!(output, "{}", Value::Object(self.fields.clone()))
        } else {
            self.fields.iter().try_for_each(|(name, value)| writeln!(output, "{name:22} {}", plain(value)))
        };
        written.and_then(|()| output.flush()).map_err(|source| Error::io("standard output", source))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let parts: Vec<String> = map.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
            parts.join(", ")
        }
        other => other.to_string(),
    }
}

/// A remark for the person at the terminal. Nobody reads it if standard error is closed.
pub(crate) fn remark(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        let mut last = 0;
        for nanoseconds in (0..1_000_000u64).chain((20..42).map(|power| 1 << power)) {
            let now = bucket(nanoseconds);
            assert!(now == last || now == last + 1 || nanoseconds > 1_000_000, "{nanoseconds}");
            assert!(now < STEPS * POWERS);
            let error = (middle(now) - nanoseconds as f64).abs();
            assert!(error <= nanoseconds as f64 * 0.032 + 0.5, "{nanoseconds}: {}", middle(now));
            last = now;
        }
    }

    #[test]
    fn percentiles() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|milliseconds| histogram.add(Duration::from_millis(milliseconds)));
        for (share, expected) in [(0.5, 500_000.0), (0.9, 900_000.0), (0.99, 990_000.0), (1.0, 1_000_000.0)] {
            let found = histogram.percentile(share);
            assert!((found - expected).abs() < expected * 0.02, "{share}: {found}");
        }
        assert_eq!(Histogram::default().percentile(0.5), 0.0);
    }

    #[test]
    fn report_counts() {
        let tally = Tally::start();
        tally.record("a", Duration::from_millis(3), Moved { commands: 2, items: 1, bytes: 10 });
        tally.record("b", Duration::from_millis(3), Moved { commands: 1, items: 1, bytes: 5 });
        assert!(tally.report("x").good());
        tally.fail("a", &Error::Closed);
        tally.fail("a", &Error::Usage("later".into()));
        let report = tally.report("x");
        assert!(!report.good());
        assert_eq!(report.fields["done"], 2);
        assert_eq!(report.fields["commands"], 3);
        assert_eq!(report.fields["bytes"], 15);
        assert_eq!(report.fields["first_error"], "a: connection closed by the server");
    }
}
