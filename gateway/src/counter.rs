//! Counters of rate limits: exact sliding windows, kept apart from snapshots so that a change of
//! the configuration does not reset them.
//!
//! Memory is bounded: keys are hashes, calls of the same millisecond share a slot, keys that have
//! nothing left in their window go, and above a hard cap the keys that were counted longest ago go
//! first. Nothing here knows what a key means.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Enough that workers seldom wait for each other's lock.
const SHARDS: usize = 16;

/// Keys of all shards: with one slot each about 20 MB.
const MAX_KEYS: usize = 100_000;

/// Slots of all keys of all shards: 16 bytes each, 16 MB.
const MAX_SLOTS: usize = 1_000_000;

/// When a shard is full, this part of it (1/n) goes at once, so that eviction stays cheap.
const EVICTED_PART: usize = 16;

/// What is counted, hashed: half of a SHA-256. Nobody finds two with the same one, and nobody
/// reads who was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key([u8; 16]);

impl Key {
    /// From all that makes it; `["a", "bc"]` and `["ab", "c"]` differ.
    pub(crate) fn new(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }

    /// A key below this one.
    pub(crate) fn of_part(self, part: &str) -> Self {
        Self::new(&[&self.to_string(), part])
    }

    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&text, 16).map_err(D::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// At most so many calls in any period of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) calls: u32,
    pub(crate) period: Duration,
}

/// A handshake that wants to pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) key: Key,
    pub(crate) limit: Limit,
    /// How much it counts. One that must not count (0) still needs room for one.
    pub(crate) weight: u32,
    /// What the same handshake counted before: for the same key it counts once, with its largest
    /// weight.
    pub(crate) own: &'a [Taken],
}

/// What was counted for one handshake; can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    key: Key,
    tick: u64,
    weight: u32,
    /// Is it counted together with other pods?
    shared: bool,
}

impl Taken {
    pub(crate) fn shared(key: Key, slot: u64, weight: u32) -> Self {
        Self {
            key,
            tick: slot,
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

    pub(crate) fn slot(&self) -> u64 {
        self.tick
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight
    }
}

impl Call<'_> {
    /// What the same handshake counted before for the same key.
    pub(crate) fn own_weight(&self) -> u32 {
        let own = self.own.iter().filter(|taken| taken.key == self.key);
        own.fold(0, |sum, taken| sum.saturating_add(taken.weight))
    }
}

/// Above the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// Until as much as was asked for is free.
    pub(crate) wait: Duration,
}

/// All counters of a gateway pod.
#[derive(Debug)]
pub(crate) struct Counters {
    start: Instant,
    shards: [Mutex<Shard>; SHARDS],
    evicted: AtomicU64,
}

impl Counters {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            shards: Default::default(),
            evicted: AtomicU64::new(0),
        }
    }

    /// Counts a call when its limit allows it; gives what remains.
    pub(crate) fn take(&self, call: Call<'_>) -> Result<(u32, Option<Taken>), Exceeded> {
        self.take_at(self.now(), call)
    }

    fn take_at(&self, now: u64, call: Call<'_>) -> Result<(u32, Option<Taken>), Exceeded> {
        let own = call.own_weight();
        let Call {
            key, limit, weight, ..
        } = call;
        let mut shard = self.shard(&key);
        let used = shard
            .used(&key, limit.period, now)
            .saturating_sub(u64::from(own));
        let needed = u64::from(weight.max(own).max(1));
        let calls = u64::from(limit.calls);
        if used + needed > calls {
            let wait = shard.wait(&key, limit, calls.saturating_sub(needed), now);
            return Err(Exceeded { wait });
        }
        let more = weight.saturating_sub(own);
        let added = shard.add(key, limit.period, more, now);
        self.evicted.fetch_add(added.evicted, Ordering::Relaxed);
        let remaining = calls - used - u64::from(weight.max(own));
        let taken = Taken {
            key,
            tick: added.tick,
            weight: more,
            shared: false,
        };
        Ok((
            u32::try_from(remaining).unwrap_or(u32::MAX),
            (more > 0).then_some(taken),
        ))
    }

    /// Counts without asking: what is only known after the answer.
    pub(crate) fn add(&self, key: Key, period: Duration, weight: u32) {
        self.add_at(self.now(), key, period, weight);
    }

    fn add_at(&self, now: u64, key: Key, period: Duration, weight: u32) {
        let added = self.shard(&key).add(key, period, weight, now);
        self.evicted.fetch_add(added.evicted, Ordering::Relaxed);
    }

    /// Takes back what a refused handshake counted.
    pub(crate) fn give_back(&self, taken: Taken) {
        self.shard(&taken.key).remove(taken);
    }

    /// Forgets all keys that have nothing left in their window.
    pub(crate) fn forget_idle(&self) {
        self.forget_idle_at(self.now());
    }

    fn forget_idle_at(&self, now: u64) {
        for shard in &self.shards {
            lock(shard).forget_idle(now);
        }
    }

    /// How many keys are counted at the moment.
    pub(crate) fn keys(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| lock(shard).windows.len())
            .sum()
    }

    /// How many keys were forgotten because memory was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.0[0]) % SHARDS])
    }
}

/// A panic while counting leaves at worst a wrong count, so a poisoned lock is used on.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Shard {
    windows: HashMap<Key, Window>,
    slots: usize,
}

impl Shard {
    fn used(&mut self, key: &Key, period: Duration, now: u64) -> u64 {
        let Some(window) = self.windows.get_mut(key) else {
            return 0;
        };
        self.slots -= window.forget(now);
        window.used(millis(period), now)
    }

    fn wait(&self, key: &Key, limit: Limit, room_for: u64, now: u64) -> Duration {
        let wait = self
            .windows
            .get(key)
            .and_then(|window| window.wait(millis(limit.period), room_for, now));
        wait.map_or(limit.period, Duration::from_millis)
    }

    fn add(&mut self, key: Key, period: Duration, weight: u32, now: u64) -> Added {
        if weight == 0 {
            return Added {
                tick: now,
                evicted: 0,
            };
        }
        let evicted = self.make_room(&key, now);
        let window = self.windows.entry(key).or_default();
        self.slots -= window.forget(now);
        let (tick, new) = window.add(millis(period), weight, now);
        self.slots += new;
        Added { tick, evicted }
    }

    fn remove(&mut self, taken: Taken) {
        if let Some(window) = self.windows.get_mut(&taken.key) {
            window.remove(taken.tick, taken.weight);
        }
    }

    fn forget_idle(&mut self, now: u64) {
        let mut slots = 0;
        self.windows.retain(|_, window| {
            window.forget(now);
            slots += window.slots.len();
            !window.slots.is_empty()
        });
        self.slots = slots;
        if self.windows.capacity() > 4 * self.windows.len().max(16) {
            self.windows.shrink_to_fit();
        }
    }

    fn make_room(&mut self, key: &Key, now: u64) -> u64 {
        let full = |shard: &Self| {
            let new = usize::from(!shard.windows.contains_key(key));
            shard.windows.len() + new > MAX_KEYS / SHARDS || shard.slots >= MAX_SLOTS / SHARDS
        };
        if !full(self) {
            return 0;
        }
        self.forget_idle(now);
        let before = self.windows.len();
        while full(self) && !self.windows.is_empty() {
            self.evict_oldest();
        }
        (before - self.windows.len()) as u64
    }

    fn evict_oldest(&mut self) {
        let mut newest: Vec<u64> = self.windows.values().map(Window::newest).collect();
        let nth = newest.len() / EVICTED_PART;
        let (_, &mut oldest_kept, _) = newest.select_nth_unstable(nth);
        let mut slots = 0;
        self.windows.retain(|_, window| {
            let kept = window.newest() > oldest_kept;
            slots += if kept { window.slots.len() } else { 0 };
            kept
        });
        self.slots = slots;
    }
}

/// What adding did.
#[derive(Debug)]
struct Added {
    /// The slot that the calls went to.
    tick: u64,
    /// How many keys had to go.
    evicted: u64,
}

/// The calls of one key.
#[derive(Debug, Default)]
struct Window {
    /// Milliseconds since the start, and how many calls then; in order.
    slots: VecDeque<(u64, u64)>,
    /// Of all slots.
    sum: u64,
    /// The longest period that any limit on this key has.
    horizon: u64,
}

impl Window {
    fn used(&self, period: u64, now: u64) -> u64 {
        if period >= self.horizon {
            return self.sum;
        }
        let inside = self
            .slots
            .iter()
            .rev()
            .take_while(|(tick, _)| tick + period > now);
        inside.map(|(_, calls)| calls).sum()
    }

    /// Until at most `room_for` calls are in the window; `None`: never, for this weight.
    fn wait(&self, period: u64, room_for: u64, now: u64) -> Option<u64> {
        let mut used = self.used(period, now);
        for (tick, calls) in self.slots.iter().filter(|(tick, _)| tick + period > now) {
            used -= calls;
            if used <= room_for {
                return Some(tick + period - now);
            }
        }
        None
    }

    /// Gives the slot's time and how many slots are new.
    fn add(&mut self, period: u64, weight: u32, now: u64) -> (u64, usize) {
        self.horizon = self.horizon.max(period);
        self.sum += u64::from(weight);
        match self.slots.back_mut() {
            // Workers read the clock before they take the lock: the last slot may be newer.
            Some((tick, calls)) if *tick >= now => {
                *calls += u64::from(weight);
                (*tick, 0)
            }
            _ => {
                self.slots.push_back((now, u64::from(weight)));
                (now, 1)
            }
        }
    }

    fn remove(&mut self, tick: u64, weight: u32) {
        // When the window has moved on, there is nothing to give back.
        if let Ok(at) = self.slots.binary_search_by_key(&tick, |(slot, _)| *slot)
            && let Some((_, calls)) = self.slots.get_mut(at)
        {
            let less = u64::from(weight).min(*calls);
            *calls -= less;
            self.sum -= less;
        }
    }

    /// Drops what no limit looks at any more; gives how many slots went.
    fn forget(&mut self, now: u64) -> usize {
        let mut gone = 0;
        while let Some((tick, calls)) = self.slots.front() {
            if tick + self.horizon > now {
                break;
            }
            self.sum -= calls;
            self.slots.pop_front();
            gone += 1;
        }
        gone
    }

    fn newest(&self) -> u64 {
        self.slots.back().map_or(0, |(tick, _)| *tick)
    }
}

fn millis(period: Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
