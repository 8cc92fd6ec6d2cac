//! Pending connections: no request yet, or a refused one whose answer is being read. Their number is limited.
//! At the limit, a new connection evicts the oldest one of the address that has the most. A client that opens
//! many therefore evicts its own; if many clients open few each, the oldest connection goes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use super::Slot;

/// Candidates that are compared for an eviction, picked at random if there are more: an address with most of
/// the connections is among them, and a flood must not cost a search through all.
const EVICTION_CANDIDATES: usize = 32;

/// Shortest time between two log lines about evictions.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Position of a slot that is not pending.
const NOWHERE: usize = usize::MAX;

/// The pending connections of all workers.
#[derive(Debug)]
pub(super) struct PendingConnections {
    max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Entry>,
    /// How many entries each source has.
    by_source: HashMap<IpAddr, usize>,
    next_number: u64,
    /// Evictions since the last log line.
    evictions: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    slot: Arc<Slot>,
    source: IpAddr,
    /// Ascending with age: the smallest is the oldest.
    number: u64,
}

/// A connection's entry among the pending ones.
#[derive(Debug)]
pub(super) struct Membership {
    /// Index in the entries; written under the lock only.
    position: AtomicUsize,
    /// It will not become pending again; written under the lock only.
    ended: AtomicBool,
    evicted: AtomicBool,
    waker: AtomicWaker,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            position: AtomicUsize::new(NOWHERE),
            ended: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }
}

impl Membership {
    /// Completes when the connection is evicted.
    pub(super) async fn evicted(&self) {
        std::future::poll_fn(|cx| {
            // Registered before the check, so that no eviction is missed.
            self.waker.register(cx.waker());
            match self.evicted.load(Ordering::Acquire) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
    }

    #[cfg(test)]
    fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Acquire)
    }

    fn evict(&self) {
        self.evicted.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl PendingConnections {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            waiting: Mutex::default(),
        }
    }

    /// Adds a connection. True: another one was evicted for it.
    pub(super) fn enter(&self, slot: &Arc<Slot>, source: IpAddr) -> bool {
        let mut waiting = self.lock();
        let membership = &slot.membership;
        if membership.ended.load(Ordering::Relaxed)
            || membership.position.load(Ordering::Relaxed) != NOWHERE
        {
            return false;
        }
        let is_full = waiting.entries.len() >= self.max;
        if is_full {
            waiting.evict();
        }
        membership.evicted.store(false, Ordering::Release);
        waiting.insert(Arc::clone(slot), source);
        is_full
    }

    /// Removes a connection that is a tunnel now, or closed.
    pub(super) fn leave(&self, slot: &Slot) {
        self.lock().leave(&slot.membership);
    }

    /// Removes a connection for good.
    pub(super) fn end(&self, slot: &Slot) {
        let mut waiting = self.lock();
        slot.membership.ended.store(true, Ordering::Relaxed);
        waiting.leave(&slot.membership);
    }

    /// Moves a connection to the address that is now known as its client.
    pub(super) fn rename(&self, slot: &Arc<Slot>, source: IpAddr) {
        let mut waiting = self.lock();
        if waiting.leave(&slot.membership) {
            waiting.insert(Arc::clone(slot), source);
        }
    }

    /// Evicts one connection. False: there is none.
    pub(super) fn make_room(&self) -> bool {
        self.lock().evict()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }
}

impl Waiting {
    fn insert(&mut self, slot: Arc<Slot>, source: IpAddr) {
        let position = self.entries.len();
        slot.membership.position.store(position, Ordering::Relaxed);
        *self.by_source.entry(source).or_default() += 1;
        let number = self.next_number;
        self.next_number += 1;
        self.entries.push(Entry {
            slot,
            source,
            number,
        });
    }

    fn leave(&mut self, membership: &Membership) -> bool {
        let position = membership.position.load(Ordering::Relaxed);
        position != NOWHERE && self.remove(position).is_some()
    }

    fn remove(&mut self, position: usize) -> Option<Entry> {
        if position >= self.entries.len() {
            return None;
        }
        let removed = self.entries.swap_remove(position);
        removed
            .slot
            .membership
            .position
            .store(NOWHERE, Ordering::Relaxed);
        // The last entry has taken its place.
        if let Some(moved) = self.entries.get(position) {
            let membership = &moved.slot.membership;
            membership.position.store(position, Ordering::Relaxed);
        }
        match self.by_source.get_mut(&removed.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.by_source.remove(&removed.source)),
        }
        Some(removed)
    }

    fn evict(&mut self) -> bool {
        let all = self.entries.len();
        let at = |index: usize| match all {
            0..=EVICTION_CANDIDATES => index,
            _ => rand::random_range(0..all),
        };
        let looked_at = (0..all.min(EVICTION_CANDIDATES)).map(at);
        let share = |entry: &Entry| self.by_source.get(&entry.source).copied();
        let chosen = looked_at.max_by_key(|&at| {
            let entry = &self.entries[at];
            (share(entry), std::cmp::Reverse(entry.number))
        });
        let Some(entry) = chosen.and_then(|at| self.remove(at)) else {
            return false;
        };
        entry.slot.membership.evict();
        self.tell();
        true
    }

    fn tell(&mut self) {
        self.evictions += 1;
        let now = Instant::now();
        let is_due = self.told.is_none_or(|told| now - told >= LOG_INTERVAL);
        if is_due {
            tracing::warn!(
                waiting = self.entries.len(),
                closed = self.evictions,
                addresses = self.by_source.len(),
                "connections without a request are closed to make room for others"
            );
            self.told = Some(now);
            self.evictions = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn source(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn enter(pool: &Arc<PendingConnections>, from: u32) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(Arc::clone(pool), source(from), None));
        pool.enter(&slot, source(from));
        slot
    }

    fn evicted(slots: &[Arc<Slot>]) -> Vec<bool> {
        slots
            .iter()
            .map(|slot| slot.membership.is_evicted())
            .collect()
    }

    #[test]
    fn who_has_most_loses_the_oldest_of_his_own() {
        let pool = Arc::new(PendingConnections::new(4));
        let slots: Vec<_> = [1, 2, 2, 2, 3, 2, 4].map(|from| enter(&pool, from)).into();
        // 3 and 4 are let in, and the fourth of 2 as well: each time 2 has most.
        let expected = [false, true, true, true, false, false, false];
        assert_eq!(evicted(&slots), expected);
        assert_eq!(pool.lock().entries.len(), 4);
    }

    #[test]
    fn among_equals_the_oldest_goes() {
        let pool = Arc::new(PendingConnections::new(3));
        let slots: Vec<_> = [1, 2, 3, 4, 5].map(|from| enter(&pool, from)).into();
        assert_eq!(evicted(&slots), [true, true, false, false, false]);
    }

    #[test]
    fn a_flood_of_one_address_harms_nobody_else() {
        let pool = Arc::new(PendingConnections::new(200));
        let others: Vec<_> = (1..=20).map(|from| enter(&pool, from)).collect();
        for _ in 0..10_000 {
            enter(&pool, 99);
        }
        assert!(evicted(&others).iter().all(|evicted| !evicted));
        assert_eq!(pool.lock().entries.len(), 200);
        assert_eq!(pool.lock().by_source[&source(99)], 180);
    }

    #[test]
    fn who_leaves_makes_room_and_is_not_asked_to_go() {
        let pool = Arc::new(PendingConnections::new(2));
        let (first, second) = (enter(&pool, 1), enter(&pool, 2));
        pool.leave(&first);
        pool.leave(&first);
        let third = enter(&pool, 3);
        assert_eq!(evicted(&[first.clone(), second, third]), [false; 3]);
        pool.end(&first);
        assert!(!pool.enter(&first, source(1)), "it has ended");
        assert_eq!(pool.lock().entries.len(), 2);
    }

    #[test]
    fn positions_stay_right_whoever_goes() {
        let pool = Arc::new(PendingConnections::new(100));
        let slots: Vec<_> = (0..50).map(|from| enter(&pool, from % 7)).collect();
        for slot in slots.iter().step_by(3) {
            pool.leave(slot);
        }
        pool.rename(&slots[1], source(1000));
        let waiting = pool.lock();
        for (position, entry) in waiting.entries.iter().enumerate() {
            let known = entry.slot.membership.position.load(Ordering::Relaxed);
            assert_eq!(known, position);
        }
        assert_eq!(waiting.entries.len(), 33);
        assert_eq!(waiting.by_source.values().sum::<usize>(), 33);
        assert_eq!(waiting.by_source[&source(1000)], 1);
    }
}
