//! Facts about messages' content that are costly to find, in memory. What they say is the business of others.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail::Uid;

/// So many neighbours are fetched from the index at once.
pub(crate) const NEIGHBOURS: Uid = 256;

/// How long facts stay that nobody looks for.
const KEPT: Duration = Duration::from_secs(60);

/// A message: the mailbox's slot in the index, and the UID.
pub(crate) type Key = (u32, Uid);

/// Recent facts within a bound. When half of it is full, what was not used since the last time goes.
#[derive(Debug, Default)]
pub(crate) struct FactsCache {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    hot: HashMap<Key, Arc<[u8]>>,
    cold: HashMap<Key, Arc<[u8]>>,
    /// Octets in `hot`.
    octets: usize,
    /// Neighbourhoods that the index was asked for.
    asked: HashSet<Key>,
    /// Somebody looked since [`FactsCache::cool`] did.
    used: bool,
    /// Nobody has looked since.
    quiet: Option<Instant>,
}

impl FactsCache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, key: Key) -> Option<Arc<[u8]>> {
        self.lock().find(key, self.limit)
    }

    /// Adds the facts of each of some messages of a mailbox.
    pub(crate) fn find_many(&self, slot: u32, uids: &[Uid], found: &mut Vec<Option<Arc<[u8]>>>) {
        let mut inner = self.lock();
        found.extend(uids.iter().map(|uid| inner.find((slot, *uid), self.limit)));
    }

    /// Whether the index is to be asked for the neighbourhood of a message; only the first time.
    pub(crate) fn ask(&self, key: Key) -> bool {
        self.lock().asked.insert((key.0, key.1 / NEIGHBOURS))
    }

    pub(crate) fn keep(&self, key: Key, facts: Arc<[u8]>) {
        self.lock().put(key, facts, self.limit);
    }

    /// Forgets everything if nobody has looked for a while: an account that is idle leaves the memory to others. To be
    /// called every now and then.
    pub(crate) fn cool(&self, now: Instant) {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.used) || inner.quiet.is_none() {
            inner.quiet = Some(now);
        }
        if inner.quiet.is_some_and(|since| now.saturating_duration_since(since) >= KEPT) {
            *inner = Inner::default();
        }
    }

    /// Forgets a mailbox.
    pub(crate) fn forget(&self, slot: u32) {
        let mut inner = self.lock();
        inner.hot.retain(|key, _| key.0 != slot);
        inner.cold.retain(|key, _| key.0 != slot);
        inner.asked.retain(|key| key.0 != slot);
        inner.octets = inner.hot.values().map(|facts| cost(facts)).sum();
    }
}

/// Octets of memory, the map's own included.
fn cost(facts: &[u8]) -> usize {
    facts.len() + 64
}

impl Inner {
    fn find(&mut self, key: Key, limit: usize) -> Option<Arc<[u8]>> {
        self.used = true;
        if let Some(facts) = self.hot.get(&key) {
            return Some(Arc::clone(facts));
        }
        let facts = self.cold.remove(&key)?;
        self.put(key, Arc::clone(&facts), limit);
        Some(facts)
    }

    fn put(&mut self, key: Key, facts: Arc<[u8]>, limit: usize) {
        self.used = true;
        self.octets += cost(&facts);
        if let Some(old) = self.hot.insert(key, facts) {
            self.octets -= cost(&old);
        }
        if self.octets > limit / 2 {
            self.cold = std::mem::take(&mut self.hot);
            self.asked.clear();
            self.octets = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_bound_holds() {
        let cache = FactsCache::new(10_000);
        let facts = |n: u8| -> Arc<[u8]> { vec![n; 36].into() };
        for uid in 0..1_000 {
            cache.keep((1, uid), facts(uid as u8));
            assert_eq!(cache.find((1, 0)), Some(facts(0)));
            let inner = cache.lock();
            assert!((inner.hot.len() + inner.cold.len()) * 100 <= 10_000);
        }
        assert_eq!(cache.find((1, 500)), None);
        let mut found = vec![None];
        cache.find_many(1, &[500, 0], &mut found);
        assert_eq!(found, [None, None, Some(facts(0))]);
        assert!(cache.ask((1, 5)) && !cache.ask((1, 6)));
        let now = Instant::now();
        cache.cool(now);
        cache.cool(now + KEPT / 2);
        assert_eq!(cache.find((1, 0)), Some(facts(0)));
        cache.cool(now + KEPT);
        cache.cool(now + KEPT * 2 - Duration::from_millis(1));
        cache.keep((1, 1), facts(1));
        cache.forget(1);
        assert_eq!(cache.find((1, 0)), None);
        cache.keep((1, 0), facts(0));
        cache.cool(now);
        cache.cool(now + KEPT);
        assert_eq!(cache.find((1, 0)), None);
    }
}
