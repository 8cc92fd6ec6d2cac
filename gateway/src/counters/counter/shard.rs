//! The windows of some keys, by the space that they belong to. Above its share a space forgets what it
//! counted longest ago; above the share of all it is the largest space that does.

use std::collections::HashMap;

use super::window::Window;
use super::{EVICTED_PART, Key, MAX_KEYS, MAX_SLOTS, RateCharge, SHARDS, SPACES_WORTH, Space};

/// Some keys of all spaces.
#[derive(Debug, Default)]
pub(super) struct Shard {
    spaces: HashMap<Space, Windows>,
}

/// The windows of one space.
#[derive(Debug, Default)]
struct Windows {
    windows: HashMap<[u8; 16], Window>,
    slots: usize,
}

/// What adding did.
#[derive(Debug)]
pub(super) struct Added {
    /// The slot that the calls went to.
    pub(super) tick: u64,
    /// How many keys had to go.
    pub(super) evicted: u64,
}

impl Shard {
    /// The key's window, without what has left it.
    pub(super) fn window(&mut self, key: Key, now: u64) -> Option<&mut Window> {
        let space = self.spaces.get_mut(&key.space())?;
        let window = space.windows.get_mut(&key.bytes())?;
        space.slots -= window.forget(now);
        Some(window)
    }

    pub(super) fn add(
        &mut self,
        key: Key,
        (weight, held): (u32, bool),
        period: u64,
        now: u64,
    ) -> Added {
        if weight == 0 {
            // What it counted before must stay for as long as this limit looks back.
            if let Some(window) = self.window(key, now) {
                window.look_back(period);
            }
            return Added {
                tick: now,
                evicted: 0,
            };
        }
        let evicted = self.make_room(key, now);
        let space = self.spaces.entry(key.space()).or_default();
        let window = space.windows.entry(key.bytes()).or_default();
        window.look_back(period);
        space.slots -= window.forget(now);
        let (tick, new) = window.add(weight, held, now);
        space.slots += new;
        Added { tick, evicted }
    }

    pub(super) fn remove(&mut self, charge: RateCharge) {
        let space = self.spaces.get_mut(&charge.key.space());
        let window = space.and_then(|space| space.windows.get_mut(&charge.key.bytes()));
        if let Some(window) = window {
            window.remove(charge.tick, charge.weight, charge.held);
        }
    }

    pub(super) fn forget_idle(&mut self, now: u64) {
        self.spaces.retain(|_, space| {
            space.forget_idle(now);
            !space.windows.is_empty()
        });
    }

    pub(super) fn keys(&self) -> usize {
        self.spaces.values().map(|space| space.windows.len()).sum()
    }

    pub(super) fn slots(&self) -> usize {
        self.spaces.values().map(|space| space.slots).sum()
    }

    fn make_room(&mut self, key: Key, now: u64) -> u64 {
        let space = self.spaces.entry(key.space()).or_default();
        let new = usize::from(!space.windows.contains_key(&key.bytes()));
        let mut gone = 0;
        if space.is_full(new) {
            space.forget_idle(now);
            while space.is_full(new) && !space.windows.is_empty() {
                gone += space.evict_oldest();
            }
        }
        if self.is_full(new) {
            self.forget_idle(now);
            while self.is_full(new) {
                let largest = self.spaces.values_mut().max_by_key(|space| space.weight());
                match largest {
                    Some(largest) if !largest.windows.is_empty() => gone += largest.evict_oldest(),
                    _ => break,
                }
            }
        }
        gone
    }

    fn is_full(&self, new: usize) -> bool {
        self.keys() + new > SPACES_WORTH * MAX_KEYS / SHARDS
            || self.slots() >= SPACES_WORTH * MAX_SLOTS / SHARDS
    }
}

impl Windows {
    fn is_full(&self, new: usize) -> bool {
        self.windows.len() + new > MAX_KEYS / SHARDS || self.slots >= MAX_SLOTS / SHARDS
    }

    /// What it takes of the memory that all share, a slot counting as the part of a key that it may
    /// be.
    fn weight(&self) -> usize {
        self.windows.len() * (MAX_SLOTS / MAX_KEYS) + self.slots
    }

    fn forget_idle(&mut self, now: u64) {
        let mut slots = 0;
        self.windows.retain(|_, window| {
            window.forget(now);
            slots += window.slots();
            window.slots() > 0
        });
        self.slots = slots;
        if self.windows.capacity() > 4 * self.windows.len().max(16) {
            self.windows.shrink_to_fit();
        }
    }

    /// Gives how many keys went.
    fn evict_oldest(&mut self) -> u64 {
        let before = self.windows.len();
        let mut newest: Vec<u64> = self.windows.values().map(Window::newest).collect();
        let nth = newest.len() / EVICTED_PART;
        let (_, &mut oldest_kept, _) = newest.select_nth_unstable(nth);
        let mut slots = 0;
        self.windows.retain(|_, window| {
            let kept = window.newest() > oldest_kept;
            slots += if kept { window.slots() } else { 0 };
            kept
        });
        self.slots = slots;
        (before - self.windows.len()) as u64
    }
}
