//! What quotas have counted: calls and bytes per key in fixed periods. Outlives snapshots, and with
//! a state directory the process.
//!
//! Memory is bounded: keys are hashes, keys whose period has ended go, and above a hard cap those
//! go first that have used the least of what they may, so that a flood of new keys does not renew
//! a quota that is used up. Time is the wall clock: periods are aligned to the calendar.

mod file;
mod ledger;
mod period;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use file::QuotaFile;
pub(crate) use ledger::{Book, Ledger, Metered, Metering};
pub(crate) use period::{Periods, clock};

use crate::counter::Key;
use period::until;

/// Enough that workers seldom wait for each other's lock.
const SHARDS: usize = 16;

/// Keys of all shards: about 10 MB.
const MAX_KEYS: usize = 100_000;

/// When a shard is full, this part of it (1/n) goes at once, so that eviction stays cheap.
const EVICTED_PART: usize = 16;

/// All of what is allowed, as [`Usage::fill`].
const FULL: u64 = 1_000_000;

/// What is allowed in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) calls: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) periods: Periods,
}

/// A handshake that wants to pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// Of the counted and its periods: those of other lengths are counted apart.
    pub(crate) key: Key,
    pub(crate) allowance: Allowance,
    /// As how many calls it counts. One that must not count (0) still needs room for one.
    pub(crate) weight: u32,
    /// What the same handshake counted before: for the same key it counts once, with its largest
    /// weight.
    pub(crate) own: &'a [Booked],
}

/// What was counted for one handshake; can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Booked {
    key: Key,
    end: i64,
    weight: u32,
    /// Is it counted together with other pods?
    shared: bool,
}

impl Booked {
    pub(crate) fn shared(key: Key, end: i64, weight: u32) -> Self {
        Self {
            key,
            end,
            weight,
            shared: true,
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight
    }
}

impl Call<'_> {
    /// What the same handshake counted before for the same key.
    pub(crate) fn own_weight(&self) -> u32 {
        let own = self.own.iter().filter(|booked| booked.key == self.key);
        own.fold(0, |sum, booked| sum.saturating_add(booked.weight))
    }
}

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsedUp {
    Calls,
    Bandwidth,
}

/// There is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) what: UsedUp,
    /// Until the next period; `None`: there is none.
    pub(crate) wait: Option<Duration>,
}

/// All quotas of a gateway pod.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    shards: [Mutex<HashMap<Key, Usage>>; SHARDS],
    evicted: AtomicU64,
    /// Has anything changed since it was last written down?
    changed: AtomicBool,
}

/// What one key has used in its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    /// Milliseconds since 1970 at which the period ends.
    end: i64,
    calls: u64,
    bytes: u64,
    /// The largest part, in millionths, that it has used of what any limit allows.
    fill: u64,
}

impl Usage {
    fn new(end: i64) -> Self {
        Self {
            end,
            calls: 0,
            bytes: 0,
            fill: 0,
        }
    }

    fn note(&mut self, calls: Option<u64>, bytes: Option<u64>) {
        let part = |used: u64, of: Option<u64>| {
            let of = u128::from(of?.max(1));
            let part = u128::from(used) * u128::from(FULL) / of;
            u64::try_from(part).ok()
        };
        let parts = [part(self.calls, calls), part(self.bytes, bytes)];
        self.fill = parts.into_iter().flatten().fold(self.fill, u64::max);
    }
}

impl Quotas {
    /// Counts a call when its quota allows it.
    pub(crate) fn take(&self, call: Call<'_>) -> Result<Option<Booked>, Exceeded> {
        self.take_at(now(), call)
    }

    fn take_at(&self, now: i64, call: Call<'_>) -> Result<Option<Booked>, Exceeded> {
        let Call {
            key,
            allowance,
            weight,
            own,
        } = call;
        let end = allowance.periods.end(now);
        let own = own.iter().filter(|b| b.key == key && b.end == end);
        let own = own.fold(0u32, |sum, booked| sum.saturating_add(booked.weight));
        let exceeded = |what| Exceeded {
            what,
            wait: until(end, now),
        };
        let mut shard = self.shard(&key);
        let used = current(&shard, &key, end);
        if allowance.bytes.is_some_and(|bytes| used.bytes >= bytes) {
            return Err(exceeded(UsedUp::Bandwidth));
        }
        let needed = u64::from(weight.max(own).max(1)) - u64::from(own);
        if let Some(calls) = allowance.calls
            && used.calls.saturating_add(needed) > calls
        {
            return Err(exceeded(UsedUp::Calls));
        }
        let more = weight.saturating_sub(own);
        if more == 0 {
            return Ok(None);
        }
        let usage = self.usage(&mut shard, key, end, now);
        usage.calls = usage.calls.saturating_add(u64::from(more));
        usage.note(allowance.calls, allowance.bytes);
        Ok(Some(Booked {
            key,
            end,
            weight: more,
            shared: false,
        }))
    }

    /// Counts calls without asking: what is only known after the answer.
    pub(crate) fn add_calls(&self, key: Key, allowance: &Allowance, weight: u32) {
        if weight == 0 {
            return;
        }
        let now = now();
        let mut shard = self.shard(&key);
        let usage = self.usage(&mut shard, key, allowance.periods.end(now), now);
        usage.calls = usage.calls.saturating_add(u64::from(weight));
        usage.note(allowance.calls, allowance.bytes);
    }

    /// Counts bytes that were relayed.
    pub(crate) fn add_bytes(&self, key: Key, allowance: &Allowance, bytes: u64) {
        self.add_bytes_at(now(), key, allowance, bytes);
    }

    /// How many bytes were relayed in this period.
    pub(crate) fn bytes(&self, key: Key, allowance: &Allowance) -> u64 {
        self.add_bytes_at(now(), key, allowance, 0)
    }

    /// Counts bytes that were relayed; says how many that makes in this period.
    fn add_bytes_at(&self, now: i64, key: Key, allowance: &Allowance, bytes: u64) -> u64 {
        let end = allowance.periods.end(now);
        let mut shard = self.shard(&key);
        if bytes == 0 {
            return current(&shard, &key, end).bytes;
        }
        let usage = self.usage(&mut shard, key, end, now);
        usage.bytes = usage.bytes.saturating_add(bytes);
        usage.note(allowance.calls, allowance.bytes);
        usage.bytes
    }

    /// Takes back what a refused handshake counted.
    pub(crate) fn give_back(&self, booked: Booked) {
        let mut shard = self.shard(&booked.key);
        if let Some(usage) = shard.get_mut(&booked.key)
            && usage.end == booked.end
        {
            usage.calls = usage.calls.saturating_sub(u64::from(booked.weight));
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets all keys whose period has ended.
    pub(crate) fn forget_ended(&self) {
        let now = now();
        for shard in &self.shards {
            forget(&mut lock(shard), now);
        }
    }

    /// How many keys are counted at the moment.
    pub(crate) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// How many keys were forgotten because memory was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The key's usage in this period, which is about to change.
    fn usage<'s>(
        &self,
        shard: &'s mut HashMap<Key, Usage>,
        key: Key,
        end: i64,
        now: i64,
    ) -> &'s mut Usage {
        self.changed.store(true, Ordering::Relaxed);
        if shard.len() >= MAX_KEYS / SHARDS && !shard.contains_key(&key) {
            self.make_room(shard, now);
        }
        let usage = shard.entry(key).or_insert(Usage::new(end));
        if usage.end != end {
            *usage = Usage::new(end);
        }
        usage
    }

    fn make_room(&self, shard: &mut HashMap<Key, Usage>, now: i64) {
        forget(shard, now);
        let before = shard.len();
        if before < MAX_KEYS / SHARDS {
            return;
        }
        let mut fills: Vec<_> = shard
            .iter()
            .map(|(key, usage)| (usage.fill, *key))
            .collect();
        let (emptiest, _, _) = fills.select_nth_unstable(before / EVICTED_PART);
        for (_, key) in emptiest {
            shard.remove(key);
        }
        let gone = (before - shard.len()) as u64;
        self.evicted.fetch_add(gone, Ordering::Relaxed);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Usage>> {
        lock(&self.shards[usize::from(key.bytes()[0]) % SHARDS])
    }
}

/// What the key has used in this period.
fn current(shard: &HashMap<Key, Usage>, key: &Key, end: i64) -> Usage {
    let used = shard.get(key).filter(|usage| usage.end == end);
    used.copied().unwrap_or(Usage::new(end))
}

fn forget(shard: &mut HashMap<Key, Usage>, now: i64) {
    shard.retain(|_, usage| usage.end > now);
    if shard.capacity() > 4 * shard.len().max(16) {
        shard.shrink_to_fit();
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// A panic while counting leaves at worst a wrong count, so a poisoned lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
