//! Counters of rate limits: exact sliding windows, kept apart from snapshots so that a change of
//! the configuration does not reset them.
//!
//! Memory is limited: keys are hashes, calls of the same millisecond share a slot, and keys without calls in their
//! window are dropped. Above a hard limit the least recently counted keys are dropped first, from the space that
//! exceeds its share, so that no tenant of a Gateway can evict another one's counts.

mod key;
mod shard;
mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

pub(crate) use key::{Key, Space, hashed};
use shard::Shard;

/// Enough that workers seldom wait for each other's lock.
const SHARDS: usize = 16;

/// Keys of one space in all shards: with one slot each about 20 MB.
const MAX_KEYS: usize = 100_000;

/// Slots of all keys of one space in all shards: 16 bytes each, 16 MB.
const MAX_SLOTS: usize = 1_000_000;

/// All spaces together keep as much as this many single ones. The memory of a pod must not depend on the number
/// of namespaces that the Gateway admits.
const SPACES_WORTH: usize = 2;

/// When a space is full, this part of it (1/n) goes at once, so that eviction stays cheap.
const EVICTED_PART: usize = 16;

/// Retry-After if only undecided handshakes use up the limit: most are decided by then.
pub(crate) const RETRY_WHEN_HELD: Duration = Duration::from_secs(1);

/// At most `calls` calls in any period of this length.
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
    /// How much it counts. One that does not count (0) still needs room for one.
    pub(crate) weight: u32,
    /// Its answer decides what it counts; until then the weight is only held.
    pub(crate) provisional: bool,
    /// What the same handshake counted before: for the same key it counts once, with its largest
    /// weight.
    pub(crate) own: &'a [RateCharge],
}

/// What was counted for one handshake; it can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateCharge {
    key: Key,
    tick: u64,
    weight: u32,
    /// Is it only held until the answer is known?
    held: bool,
    /// Is it counted together with other pods?
    shared: bool,
}

impl RateCharge {
    /// In the counters that pods share.
    pub(crate) fn shared(key: Key, slot: u64, (weight, held): (u32, bool)) -> Self {
        Self {
            key,
            tick: slot,
            weight,
            held,
            shared: true,
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
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

    /// Divides it: this one keeps what `part` does not take.
    pub(crate) fn split(&mut self, part: u32) -> Self {
        let weight = part.min(self.weight);
        self.weight -= weight;
        Self { weight, ..*self }
    }
}

/// What one handshake has of a key already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnCounts {
    /// Counted for good.
    pub(crate) counted: u32,
    /// Held until its answer is known.
    pub(crate) held: u32,
}

impl OwnCounts {
    pub(crate) fn sum(self) -> u32 {
        self.counted.saturating_add(self.held)
    }

    /// How much more is counted, or kept, for a weight.
    pub(crate) fn more(self, weight: u32, provisional: bool) -> u32 {
        let known = if provisional {
            self.sum()
        } else {
            self.counted
        };
        weight.saturating_sub(known)
    }

    pub(crate) fn add(&mut self, weight: u32, held: bool) {
        let sum = if held {
            &mut self.held
        } else {
            &mut self.counted
        };
        *sum = sum.saturating_add(weight);
    }
}

/// What a limit allows, and how much of it others use.
#[derive(Clone, Copy, Debug)]
struct Availability {
    calls: u64,
    /// Counted by, or held for, others.
    others: u64,
    /// Held for others.
    held: u64,
}

impl Availability {
    /// The weight, for a provisional call at most what is left: the only handshake in flight passes if there is
    /// room for one.
    fn weight(&self, call: &Call<'_>) -> u32 {
        if !call.provisional {
            return call.weight;
        }
        let counted = self.others.saturating_sub(self.held);
        let left = self.calls.saturating_sub(counted).max(1);
        call.weight.min(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Would there be room without what is held?
    fn is_only_held(&self, needed: u64) -> bool {
        self.held > 0 && self.others.saturating_sub(self.held) + needed <= self.calls
    }
}

impl Call<'_> {
    /// What the same handshake has of the same key.
    pub(crate) fn own(&self) -> OwnCounts {
        let mut own = OwnCounts::default();
        for charge in self.own.iter().filter(|charge| charge.key == self.key) {
            own.add(charge.weight, charge.held);
        }
        own
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
    ///
    /// # Errors
    /// [`Exceeded`]: the limit is reached.
    pub(crate) fn take(&self, call: Call<'_>) -> Result<(u32, Option<RateCharge>), Exceeded> {
        self.take_at(self.now(), call)
    }

    fn take_at(&self, now: u64, call: Call<'_>) -> Result<(u32, Option<RateCharge>), Exceeded> {
        let own = call.own();
        let Call {
            key,
            limit,
            provisional,
            ..
        } = call;
        let period = millis(limit.period);
        let mut shard = self.shard(key);
        let window = shard.window(key, now);
        let used = window.as_ref().map_or(0, |window| window.used(period, now));
        let held = window.as_ref().map_or(0, |window| window.held());
        let room = Availability {
            calls: u64::from(limit.calls),
            others: used.saturating_sub(u64::from(own.sum())),
            held: held.saturating_sub(u64::from(own.held)),
        };
        let weight = room.weight(&call);
        let needed = u64::from(weight.max(own.sum()).max(1));
        if room.others + needed > room.calls {
            let room_for = room.calls.saturating_sub(needed);
            let wait = window.and_then(|window| window.wait(period, room_for, now));
            let wait = wait.map_or(limit.period, Duration::from_millis);
            let wait = match room.is_only_held(needed) {
                true => wait.min(RETRY_WHEN_HELD),
                false => wait,
            };
            return Err(Exceeded { wait });
        }
        let more = own.more(weight, provisional);
        let charge = self.add_in(&mut shard, key, (more, provisional), (period, now));
        let counts = if provisional { 0 } else { weight };
        let remaining = room.calls - room.others - u64::from(counts.max(own.counted));
        Ok((u32::try_from(remaining).unwrap_or(u32::MAX), charge))
    }

    /// Settles a handshake whose answer is known: counts `weight` more instead of what was held.
    pub(crate) fn settle(
        &self,
        held: &[RateCharge],
        (key, period): (Key, Duration),
        weight: u32,
    ) -> Option<RateCharge> {
        self.settle_at(self.now(), held, (key, period), weight)
    }

    fn settle_at(
        &self,
        now: u64,
        held: &[RateCharge],
        (key, period): (Key, Duration),
        weight: u32,
    ) -> Option<RateCharge> {
        let mut shard = self.shard(key);
        for charge in held.iter().filter(|charge| !charge.shared) {
            shard.remove(*charge);
        }
        self.add_in(&mut shard, key, (weight, false), (millis(period), now))
    }

    fn add_in(
        &self,
        shard: &mut Shard,
        key: Key,
        (weight, held): (u32, bool),
        (period, now): (u64, u64),
    ) -> Option<RateCharge> {
        let added = shard.add(key, (weight, held), period, now);
        self.evicted.fetch_add(added.evicted, Ordering::Relaxed);
        (weight > 0).then_some(RateCharge {
            key,
            tick: added.tick,
            weight,
            held,
            shared: false,
        })
    }

    /// Gives back what a handshake counted or held.
    pub(crate) fn give_back(&self, charge: RateCharge) {
        self.shard(charge.key).remove(charge);
    }

    /// Forgets all keys that have nothing left in their window.
    pub(crate) fn forget_idle(&self) {
        self.forget_idle_at(self.now());
    }

    fn forget_idle_at(&self, now: u64) {
        for shard in &self.shards {
            shard.lock().forget_idle(now);
        }
    }

    /// How many keys are counted at the moment.
    pub(crate) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().keys()).sum()
    }

    /// How many keys were forgotten because memory was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(key.bytes()[0]) % SHARDS].lock()
    }
}

fn millis(period: Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
