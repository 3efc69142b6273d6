//! Time of day. Time limits use `Instant`, passed in by the caller; this is for what is written down.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of day.
pub trait Clock: Send + Sync + Debug {
    /// Microseconds since 1970, UTC. May go back when the machine's clock is set.
    fn micros(&self) -> u64;

    /// Whole seconds since 1970, UTC.
    fn seconds(&self) -> u64 {
        self.micros() / 1_000_000
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn micros(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A clock that tests set.
#[derive(Debug, Default)]
pub struct FixedClock(AtomicU64);

impl FixedClock {
    /// A clock that stands at `micros` microseconds since 1970.
    #[must_use]
    pub fn at(micros: u64) -> Self {
        Self(AtomicU64::new(micros))
    }

    /// Sets it.
    pub fn set(&self, micros: u64) {
        self.0.store(micros, Ordering::Relaxed);
    }
}

impl Clock for FixedClock {
    fn micros(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
