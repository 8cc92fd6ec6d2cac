//! What one key has used, by period, protected against changes of the wall clock.
//!
//! A period is over when both the wall clock and the monotonic clock say so. If the clock is set forward and back,
//! the old usage is still there. If it is set back to a period that is not known, the current period continues.
//! So setting the clock never renews a quota, and a wrong clock costs at most one period of real time.

use std::time::Duration;

use super::period::{NEVER, until};
use super::{Allowance, Moment};

/// Periods of one key that are known at a time: more than one only when the clock was set. Beyond it
/// the oldest two become one.
const MAX_PERIODS: usize = 4;

/// All of what is allowed, as [`Usage::fill`].
const FULL: u64 = 1_000_000;

/// What one key has used in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Milliseconds since 1970 at which the period ends.
    pub(super) end: i64,
    /// The same by the monotonic clock, in milliseconds since the start.
    pub(super) ends_at: i64,
    pub(super) calls: u64,
    pub(super) bytes: u64,
    /// The largest part, in millionths, that it has used of what any limit allows.
    pub(super) fill: u64,
}

impl Usage {
    pub(super) fn new(end: i64, now: Moment) -> Self {
        let ends_at = match end {
            NEVER => NEVER,
            end => now.since_start.saturating_add(end.saturating_sub(now.wall)),
        };
        Self {
            end,
            ends_at,
            calls: 0,
            bytes: 0,
            fill: 0,
        }
    }

    pub(super) fn note(&mut self, allowance: &Allowance) {
        let part = |used: u64, of: Option<u64>| {
            let of = u128::from(of?.max(1));
            let part = u128::from(used) * u128::from(FULL) / of;
            u64::try_from(part).ok()
        };
        let parts = [
            part(self.calls, allowance.calls),
            part(self.bytes, allowance.bytes),
        ];
        self.fill = parts.into_iter().flatten().fold(self.fill, u64::max);
    }

    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.end <= now.wall && self.ends_at <= now.since_start
    }

    /// Milliseconds until it is over for a clock that was set back.
    pub(super) fn left(&self, now: Moment) -> u64 {
        let left = self.ends_at.saturating_sub(now.since_start);
        u64::try_from(left).unwrap_or_default()
    }

    /// How long it counts in the period that ends at `end`; `None`: for ever.
    pub(super) fn wait(&self, end: i64, now: Moment) -> Option<Duration> {
        if self.end == end {
            return until(end, now.wall);
        }
        Some(Duration::from_millis(self.left(now)))
    }
}

/// What one key has used.
#[derive(Debug, Default)]
pub(super) struct Usages {
    /// In the order of their ends.
    periods: Vec<Usage>,
    /// Calls that are kept for handshakes whose answer is not known. They are of now, whenever that
    /// is.
    pub(super) held: u64,
}

impl Usages {
    /// What was used in the period that ends then.
    pub(super) fn of(&self, end: i64, now: Moment) -> Usage {
        let known = self.index(end, now).and_then(|at| self.periods.get(at));
        known.copied().unwrap_or(Usage::new(end, now))
    }

    /// The same, to be changed.
    pub(super) fn of_mut(&mut self, end: i64, now: Moment) -> &mut Usage {
        if self.index(end, now).is_none() {
            self.add(Usage::new(end, now), now);
        }
        let at = self.index(end, now).unwrap_or_default();
        &mut self.periods[at]
    }

    /// One that was counted before.
    pub(super) fn known_mut(&mut self, end: i64) -> Option<&mut Usage> {
        self.periods.iter_mut().find(|usage| usage.end == end)
    }

    /// Adds one, as it was.
    pub(super) fn add(&mut self, usage: Usage, now: Moment) {
        self.forget(now);
        let at = self.periods.partition_point(|known| known.end < usage.end);
        self.periods.insert(at, usage);
        if self.periods.len() > MAX_PERIODS {
            let first = self.periods.remove(0);
            let next = &mut self.periods[0];
            next.ends_at = next.ends_at.max(first.ends_at);
            next.calls = next.calls.max(first.calls);
            next.bytes = next.bytes.max(first.bytes);
            next.fill = next.fill.max(first.fill);
        }
    }

    pub(super) fn forget(&mut self, now: Moment) {
        self.periods.retain(|usage| !usage.is_over(now));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.periods.is_empty() && self.held == 0
    }

    pub(super) fn periods(&self) -> &[Usage] {
        &self.periods
    }

    /// What goes first when there is no room: what has used least, and keeps nothing.
    pub(super) fn rank(&self) -> (bool, u64) {
        let fills = self.periods.iter().map(|usage| usage.fill);
        (self.held > 0, fills.max().unwrap_or_default())
    }

    fn index(&self, end: i64, now: Moment) -> Option<usize> {
        let is_it = |usage: &Usage| usage.end == end;
        let goes_on = |usage: &Usage| usage.end > end && usage.ends_at > now.since_start;
        let mut all = self.periods.iter();
        all.position(is_it)
            .or_else(|| self.periods.iter().position(goes_on))
    }
}
