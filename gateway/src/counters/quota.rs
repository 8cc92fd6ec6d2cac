//! What quotas have counted: calls and bytes per key in fixed periods. Outlives snapshots, and with
//! a state directory the process.
//!
//! Memory is limited: keys are hashes, and keys whose period has ended are dropped. Above a hard limit the keys
//! that have used the least of their quota are dropped first, so that a flood of new keys does not renew a quota
//! that is used up; they are dropped from the space that exceeds its share, so that one tenant does not affect
//! another. Periods follow the wall clock, but setting the clock renews no quota (`usage`).

mod byte_accounting;
mod lines;
mod period;
mod usage;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};

pub(crate) use byte_accounting::{ByteAccounting, ByteCounts, ByteQuota, TunnelBytes};
pub(crate) use lines::Line;
pub(crate) use period::{Periods, clock};

use crate::counters::counter::{Key, OwnCounts, RETRY_WHEN_HELD, Space};
use usage::{Usage, Usages};

/// Enough that workers seldom wait for each other's lock.
const SHARDS: usize = 16;

/// Keys of one space in all shards: about 15 MB.
const MAX_KEYS: usize = 100_000;

/// All spaces together keep as many as this many single ones, see [`crate::counters::counter`].
const SPACES_WORTH: usize = 2;

/// When a space is full, this part of it (1/n) goes at once, so that eviction stays cheap.
const EVICTED_PART: usize = 16;

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
    /// Of the value and the periods: other periods are counted separately.
    pub(crate) key: Key,
    pub(crate) allowance: Allowance,
    /// How many calls it counts as. One that does not count (0) still needs room for one.
    pub(crate) weight: u32,
    /// Its answer decides what it counts; until then the weight is only held.
    pub(crate) provisional: bool,
    /// What the same handshake counted before: for the same key it counts once, with its largest
    /// weight.
    pub(crate) own: &'a [QuotaCharge],
}

/// What was charged for one handshake; it can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuotaCharge {
    key: Key,
    end: i64,
    weight: u32,
    /// Is it only held until the answer is known?
    held: bool,
    /// Number of its lease, if it is held in Redis.
    lease: u64,
    /// Is it counted together with other pods?
    shared: bool,
}

impl QuotaCharge {
    /// Calls that pods count together.
    pub(crate) fn shared(key: Key, end: i64, weight: u32) -> Self {
        Self {
            key,
            end,
            weight,
            held: false,
            lease: 0,
            shared: true,
        }
    }

    /// A call that is held in the shared counters.
    pub(crate) fn leased(key: Key, lease: u64, weight: u32) -> Self {
        Self {
            held: true,
            lease,
            ..Self::shared(key, 0, weight)
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    pub(crate) fn lease(&self) -> u64 {
        self.lease
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
    /// What the same handshake has of the same key, of those calls that `counts`.
    fn own_of(&self, counts: impl Fn(&QuotaCharge) -> bool) -> OwnCounts {
        let mut own = OwnCounts::default();
        let all = self.own.iter().filter(|charge| charge.key == self.key);
        for charge in all.filter(|charge| charge.held || counts(charge)) {
            own.add(charge.weight, charge.held);
        }
        own
    }

    /// What the same handshake has of the same key.
    pub(crate) fn own(&self) -> OwnCounts {
        self.own_of(|_| true)
    }

    /// The weight, for a provisional call at most what is left: the only handshake in flight passes if there is
    /// room for one.
    fn weight_within(&self, used: &Usage, own: OwnCounts) -> u32 {
        let Some(most) = self.allowance.calls.filter(|_| self.provisional) else {
            return self.weight;
        };
        let counted = used.calls.saturating_sub(u64::from(own.counted));
        let left = most.saturating_sub(counted).max(1);
        self.weight.min(u32::try_from(left).unwrap_or(u32::MAX))
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

/// When something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    /// Milliseconds since 1970, as the wall clock says.
    wall: i64,
    /// Milliseconds since the start, by the monotonic clock.
    since_start: i64,
}

/// All quotas of a gateway pod.
#[derive(Debug)]
pub(crate) struct Quotas {
    start: Instant,
    shards: [Mutex<Shard>; SHARDS],
    evicted: AtomicU64,
    /// Has anything changed since it was last written down?
    changed: AtomicBool,
}

/// Some keys of all spaces.
type Shard = HashMap<Space, HashMap<Key, Usages>>;

impl Default for Quotas {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            shards: Default::default(),
            evicted: AtomicU64::default(),
            changed: AtomicBool::default(),
        }
    }
}

impl Quotas {
    /// Counts a call when its quota allows it.
    ///
    /// # Errors
    /// [`Exceeded`]: the quota is used up.
    pub(crate) fn take(&self, call: Call<'_>) -> Result<Option<QuotaCharge>, Exceeded> {
        self.take_at(self.now(), call)
    }

    fn take_at(&self, now: Moment, call: Call<'_>) -> Result<Option<QuotaCharge>, Exceeded> {
        let Call {
            key,
            allowance,
            provisional,
            ..
        } = call;
        let mut shard = self.shard(key);
        let known = find(&shard, key);
        let end = allowance.periods.end(now.wall);
        let used = known.map_or(Usage::new(end, now), |usages| usages.of(end, now));
        let held = known.map_or(0, |usages| usages.held);
        let own = call.own_of(|charge| charge.end == used.end);
        let held = held.saturating_sub(u64::from(own.held));
        let weight = call.weight_within(&used, own);
        check(&used, (held, own), weight, &allowance)
            .map_err(|full| full.within(used.wait(end, now)))?;
        let more = own.more(weight, provisional);
        if more == 0 {
            return Ok(None);
        }
        let usages = self.usages(&mut shard, key, now);
        if provisional {
            usages.held += u64::from(more);
        } else {
            let usage = usages.of_mut(end, now);
            usage.calls = usage.calls.saturating_add(u64::from(more));
            usage.note(&allowance);
        }
        Ok(Some(QuotaCharge {
            key,
            end: used.end,
            weight: more,
            held: provisional,
            lease: 0,
            shared: false,
        }))
    }

    /// Settles a handshake whose answer is known: counts `weight` more instead of what was held.
    pub(crate) fn settle(
        &self,
        held: &[QuotaCharge],
        (key, allowance): (Key, &Allowance),
        weight: u32,
    ) -> Option<QuotaCharge> {
        self.settle_at(self.now(), held, (key, allowance), weight)
    }

    fn settle_at(
        &self,
        now: Moment,
        held: &[QuotaCharge],
        (key, allowance): (Key, &Allowance),
        weight: u32,
    ) -> Option<QuotaCharge> {
        let mut shard = self.shard(key);
        for charge in held.iter().filter(|charge| !charge.shared) {
            release(&mut shard, *charge);
        }
        if weight == 0 {
            return None;
        }
        let end = allowance.periods.end(now.wall);
        let usage = self.usages(&mut shard, key, now).of_mut(end, now);
        usage.calls = usage.calls.saturating_add(u64::from(weight));
        usage.note(allowance);
        Some(QuotaCharge {
            key,
            end: usage.end,
            weight,
            held: false,
            lease: 0,
            shared: false,
        })
    }

    /// Counts bytes that were relayed.
    pub(crate) fn add_bytes(&self, key: Key, allowance: &Allowance, bytes: u64) {
        self.add_bytes_at(self.now(), key, allowance, bytes);
    }

    /// How many bytes were relayed in this period.
    pub(crate) fn bytes(&self, key: Key, allowance: &Allowance) -> u64 {
        self.add_bytes_at(self.now(), key, allowance, 0)
    }

    /// Counts bytes that were relayed; says how many that makes in this period.
    fn add_bytes_at(&self, now: Moment, key: Key, allowance: &Allowance, bytes: u64) -> u64 {
        let end = allowance.periods.end(now.wall);
        let mut shard = self.shard(key);
        if bytes == 0 {
            let known = find(&shard, key);
            return known.map_or(0, |usages| usages.of(end, now).bytes);
        }
        let usage = self.usages(&mut shard, key, now).of_mut(end, now);
        usage.bytes = usage.bytes.saturating_add(bytes);
        usage.note(allowance);
        usage.bytes
    }

    /// Gives back what a handshake counted or held.
    pub(crate) fn give_back(&self, charge: QuotaCharge) {
        let mut shard = self.shard(charge.key);
        if release(&mut shard, charge) {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets all keys whose period has ended.
    pub(crate) fn forget_ended(&self) {
        self.forget_ended_at(self.now());
    }

    fn forget_ended_at(&self, now: Moment) {
        for shard in &self.shards {
            shard.lock().retain(|_, keys| {
                forget(keys, now);
                !keys.is_empty()
            });
        }
    }

    /// How many keys are counted at the moment.
    pub(crate) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| keys(&shard.lock())).sum()
    }

    /// How many keys were forgotten because memory was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// What the key has used, which is about to change.
    fn usages<'s>(&self, shard: &'s mut Shard, key: Key, now: Moment) -> &'s mut Usages {
        self.changed.store(true, Ordering::Relaxed);
        if find(shard, key).is_none() {
            let gone = make_room(shard, key.space(), now);
            self.evicted.fetch_add(gone, Ordering::Relaxed);
        }
        let keys = shard.entry(key.space()).or_default();
        keys.entry(key).or_default()
    }

    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Moment {
            wall: millis(wall.unwrap_or_default()),
            since_start: millis(self.start.elapsed()),
        }
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(key.bytes()[0]) % SHARDS].lock()
    }
}

/// Why there is no room.
enum Shortage {
    Bandwidth,
    Calls,
    /// There may be room as soon as the answers of other handshakes are known.
    Held,
}

impl Shortage {
    fn within(&self, wait: Option<Duration>) -> Exceeded {
        match self {
            Self::Bandwidth => Exceeded {
                what: UsedUp::Bandwidth,
                wait,
            },
            Self::Calls => Exceeded {
                what: UsedUp::Calls,
                wait,
            },
            Self::Held => Exceeded {
                what: UsedUp::Calls,
                wait: Some(wait.map_or(RETRY_WHEN_HELD, |wait| wait.min(RETRY_WHEN_HELD))),
            },
        }
    }
}

/// Is there room besides what others have used and hold?
fn check(
    used: &Usage,
    (held, own): (u64, OwnCounts),
    weight: u32,
    allowance: &Allowance,
) -> Result<(), Shortage> {
    if allowance.bytes.is_some_and(|most| used.bytes >= most) {
        return Err(Shortage::Bandwidth);
    }
    let Some(most) = allowance.calls else {
        return Ok(());
    };
    let needed = u64::from(weight.max(own.sum()).max(1));
    let counted = used.calls.saturating_sub(u64::from(own.counted));
    let counted = counted.saturating_add(needed);
    if counted.saturating_add(held) <= most {
        return Ok(());
    }
    Err(if counted <= most {
        Shortage::Held
    } else {
        Shortage::Calls
    })
}

fn find(shard: &Shard, key: Key) -> Option<&Usages> {
    shard.get(&key.space())?.get(&key)
}

/// Gives back what was counted; false if nothing was.
fn release(shard: &mut Shard, charge: QuotaCharge) -> bool {
    let keys = shard.get_mut(&charge.key.space());
    let Some(usages) = keys.and_then(|keys| keys.get_mut(&charge.key)) else {
        return false;
    };
    let weight = u64::from(charge.weight);
    if charge.held {
        usages.held = usages.held.saturating_sub(weight);
        return true;
    }
    let usage = usages.known_mut(charge.end);
    usage.is_some_and(|usage| {
        usage.calls = usage.calls.saturating_sub(weight);
        true
    })
}

fn keys(shard: &Shard) -> usize {
    shard.values().map(HashMap::len).sum()
}

/// Makes room for one more key of this space; gives how many others had to go.
fn make_room(shard: &mut Shard, space: Space, now: Moment) -> u64 {
    let mut gone = 0;
    if let Some(keys) = shard.get_mut(&space)
        && keys.len() >= MAX_KEYS / SHARDS
    {
        forget(keys, now);
        if keys.len() >= MAX_KEYS / SHARDS {
            gone += evict(keys);
        }
    }
    let is_full = |shard: &Shard| keys(shard) >= SPACES_WORTH * MAX_KEYS / SHARDS;
    if is_full(shard) {
        shard.values_mut().for_each(|keys| forget(keys, now));
    }
    if is_full(shard)
        && let Some(largest) = shard.values_mut().max_by_key(|keys| keys.len())
    {
        gone += evict(largest);
    }
    gone
}

fn evict(keys: &mut HashMap<Key, Usages>) -> u64 {
    let before = keys.len();
    let ranks = keys.iter().map(|(key, usages)| (usages.rank(), *key));
    let mut ranks: Vec<_> = ranks.collect();
    if ranks.is_empty() {
        return 0;
    }
    let (least, _, _) = ranks.select_nth_unstable(before / EVICTED_PART);
    for (_, key) in least {
        keys.remove(key);
    }
    (before - keys.len()) as u64
}

fn forget(keys: &mut HashMap<Key, Usages>, now: Moment) {
    keys.retain(|_, usages| {
        usages.forget(now);
        !usages.is_empty()
    });
    if keys.capacity() > 4 * keys.len().max(16) {
        keys.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
