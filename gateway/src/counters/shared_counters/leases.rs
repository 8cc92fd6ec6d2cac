//! Live tunnels in Redis: leases that this pod renews while their tunnels live.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::{Mutex, MutexGuard};

use super::{RedisUnavailable, SharedCounters};
use crate::counters::counter::Key;

/// How long a lease outlives a pod that dies.
const LEASE: Duration = Duration::from_secs(30);

/// Two may fail before a lease ends.
pub(super) const RENEWAL: Duration = Duration::from_secs(10);

/// Scripts under way at a time.
const AT_ONCE: usize = 32;

/// Leases in one script, which must not hold up Redis for long.
const PER_SCRIPT: usize = 500;

/// The leases of this pod.
pub(super) struct Leases {
    /// Unique among the pods.
    pod: u64,
    next: AtomicU64,
    held: Mutex<HashMap<Key, HashSet<u64>>>,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            pod: rand::random(),
            next: AtomicU64::new(0),
            held: Mutex::default(),
        }
    }
}

impl Leases {
    /// One that no other lease of this pod has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn name(&self, number: u64) -> String {
        format!("{:016x}.{number:x}", self.pod)
    }

    /// All of them, in as many parts as there are scripts to run.
    fn parts(&self) -> Vec<(Key, Vec<u64>)> {
        let mut parts = Vec::new();
        for (key, numbers) in &*self.held() {
            let numbers: Vec<u64> = numbers.iter().copied().collect();
            let chunks = numbers.chunks(PER_SCRIPT);
            parts.extend(chunks.map(|chunk| (*key, chunk.to_vec())));
        }
        parts
    }

    /// Which of these are held, and which are not any more?
    fn sorted(&self, key: Key, numbers: Vec<u64>) -> (Vec<u64>, Vec<u64>) {
        let held = self.held();
        let of_key = held.get(&key);
        let is_held = |number: &u64| of_key.is_some_and(|all| all.contains(number));
        numbers.into_iter().partition(is_held)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Key, HashSet<u64>>> {
        self.held.lock()
    }
}

/// A permit of a limit that pods share; released on drop.
pub(crate) struct Lease {
    shared: Arc<SharedCounters>,
    key: Key,
    number: u64,
}

impl Lease {
    pub(crate) fn key(&self) -> Key {
        self.key
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl SharedCounters {
    /// Acquires one of `max` permits; `None`: none is left.
    ///
    /// # Errors
    /// [`RedisUnavailable`]: Redis did not answer.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        key: Key,
        max: u32,
    ) -> Result<Option<Lease>, RedisUnavailable> {
        let number = self.leases.number();
        let taken = self.acquire(key, number, max).await?;
        Ok(taken.then(|| self.hold(key, number)))
    }

    /// Checks the same lease against another limit `max`.
    ///
    /// # Errors
    /// [`RedisUnavailable`]: Redis did not answer.
    pub(crate) async fn fits(
        self: &Arc<Self>,
        lease: &Lease,
        max: u32,
    ) -> Result<bool, RedisUnavailable> {
        self.acquire(lease.key, lease.number, max).await
    }

    /// Number of permits in use.
    ///
    /// # Errors
    /// [`RedisUnavailable`]: Redis did not answer.
    pub(crate) async fn leased(self: &Arc<Self>, key: Key) -> Result<u64, RedisUnavailable> {
        let mut script = self.scripts.leased.prepare_invoke();
        script.key(self.name("c", key));
        self.run(script).await
    }

    /// A lease that Redis learns of when it is back.
    pub(crate) fn lease_later(self: &Arc<Self>, key: Key) -> Lease {
        let number = self.leases.number();
        self.hold(key, number)
    }

    fn hold(self: &Arc<Self>, key: Key, number: u64) -> Lease {
        self.leases.held().entry(key).or_default().insert(number);
        Lease {
            shared: Arc::clone(self),
            key,
            number,
        }
    }

    async fn acquire(
        self: &Arc<Self>,
        key: Key,
        number: u64,
        max: u32,
    ) -> Result<bool, RedisUnavailable> {
        let mut script = self.scripts.lease.prepare_invoke();
        script
            .key(self.name("c", key))
            .arg(max)
            .arg(self.leases.name(number))
            .arg(LEASE.as_millis() as u64);
        let taken: i64 = self.run(script).await?;
        Ok(taken == 1)
    }

    /// Renews all leases of this pod.
    pub(super) async fn renew_leases(self: &Arc<Self>) -> Result<(), RedisUnavailable> {
        let renewals =
            stream::iter(self.leases.parts()).map(|(key, numbers)| self.renew(key, numbers));
        renewals
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await
            .map(drop)
    }

    async fn renew(self: &Arc<Self>, key: Key, numbers: Vec<u64>) -> Result<(), RedisUnavailable> {
        let (still_held, _) = self.leases.sorted(key, numbers);
        if still_held.is_empty() {
            return Ok(());
        }
        let mut script = self.scripts.renew.prepare_invoke();
        script
            .key(self.name("c", key))
            .arg(LEASE.as_millis() as u64);
        for number in &still_held {
            script.arg(self.leases.name(*number));
        }
        let _: i64 = self.run(script).await?;
        // What was released meanwhile may have been added again.
        let (_, gone) = self.leases.sorted(key, still_held);
        for number in gone {
            self.release(key, number);
        }
        Ok(())
    }

    fn release(self: &Arc<Self>, key: Key, number: u64) {
        // When Redis is away, the lease ends by itself.
        if !self.connection.is_up() {
            return;
        }
        let shared = Arc::clone(self);
        self.spawn(async move {
            let mut script = shared.scripts.release.prepare_invoke();
            script
                .key(shared.name("c", key))
                .arg(shared.leases.name(number));
            let _: Result<i64, RedisUnavailable> = shared.ask(&script).await;
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.shared.leases.held();
        if let Some(numbers) = held.get_mut(&self.key) {
            numbers.remove(&self.number);
            if numbers.is_empty() {
                held.remove(&self.key);
            }
        }
        drop(held);
        self.shared.release(self.key, self.number);
    }
}
