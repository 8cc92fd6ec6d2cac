//! The calls of one key in a sliding window.

use std::collections::VecDeque;

/// The calls of one key.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Milliseconds since the start, and how many calls then; in order.
    slots: VecDeque<(u64, u64)>,
    /// Of all slots.
    sum: u64,
    /// How many of them wait for their answer. Those that left the window first are in it still.
    held: u64,
    /// The longest period that any limit on this key has.
    horizon: u64,
}

impl Window {
    pub(super) fn used(&self, period: u64, now: u64) -> u64 {
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

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Until at most `room_for` calls are in the window; `None`: never, for this weight.
    pub(super) fn wait(&self, period: u64, room_for: u64, now: u64) -> Option<u64> {
        let mut used = self.used(period, now);
        for (tick, calls) in self.slots.iter().filter(|(tick, _)| tick + period > now) {
            used -= calls;
            if used <= room_for {
                return Some(tick + period - now);
            }
        }
        None
    }

    /// A limit looks back so far.
    pub(super) fn look_back(&mut self, period: u64) {
        self.horizon = self.horizon.max(period);
    }

    /// Gives the slot's time and how many slots are new.
    pub(super) fn add(&mut self, weight: u32, held: bool, now: u64) -> (u64, usize) {
        let weight = u64::from(weight);
        self.sum += weight;
        self.held += if held { weight } else { 0 };
        match self.slots.back_mut() {
            // Workers read the clock before they take the lock: the last slot may be newer.
            Some((tick, calls)) if *tick >= now => {
                *calls += weight;
                (*tick, 0)
            }
            _ => {
                self.slots.push_back((now, weight));
                (now, 1)
            }
        }
    }

    pub(super) fn remove(&mut self, tick: u64, weight: u32, held: bool) {
        let weight = u64::from(weight);
        if held {
            self.held = self.held.saturating_sub(weight);
        }
        // When the window has moved on, there is nothing to give back.
        if let Ok(at) = self.slots.binary_search_by_key(&tick, |(slot, _)| *slot)
            && let Some((_, calls)) = self.slots.get_mut(at)
        {
            let less = weight.min(*calls);
            *calls -= less;
            self.sum -= less;
        }
    }

    /// Drops what no limit looks at any more; gives how many slots went.
    pub(super) fn forget(&mut self, now: u64) -> usize {
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

    pub(super) fn newest(&self) -> u64 {
        self.slots.back().map_or(0, |(tick, _)| *tick)
    }
}
