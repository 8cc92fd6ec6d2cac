//! What quotas count without asking: relayed bytes, and calls while Redis was away. Kept until
//! Redis has taken it.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use parking_lot::{Mutex, MutexGuard};

use super::{Counting, QuotaAnswer, RedisUnavailable, SharedCounters};
use crate::counters::counter::{Key, Space};
use crate::counters::quota::Allowance;

/// Keys of one space that wait for a Redis that is away: about 10 MB. What comes above it is not
/// counted.
const MAX_KEYS: usize = 100_000;

/// All spaces together have as many as so many of them may.
const SPACES_WORTH: usize = 2;

/// Scripts under way at a time.
const AT_ONCE: usize = 32;

#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<Space, HashMap<Key, Sum>>>);

/// Of one key.
#[derive(Clone, Copy, Debug)]
struct Sum {
    allowance: Allowance,
    calls: u32,
    bytes: u64,
}

impl Pending {
    fn sums(&self) -> MutexGuard<'_, HashMap<Space, HashMap<Key, Sum>>> {
        self.0.lock()
    }

    fn add(&self, key: Key, more: Sum) {
        let mut spaces = self.sums();
        let all: usize = spaces.values().map(HashMap::len).sum();
        let of_space = spaces.get(&key.space()).map_or(0, HashMap::len);
        // A space within its share finds room whatever others have.
        let share = SPACES_WORTH * MAX_KEYS / spaces.len().max(1);
        let room = of_space < MAX_KEYS.min(share) || all < SPACES_WORTH * MAX_KEYS;
        let sums = spaces.entry(key.space()).or_default();
        if let Some(sum) = sums.get_mut(&key) {
            sum.calls = sum.calls.saturating_add(more.calls);
            sum.bytes = sum.bytes.saturating_add(more.bytes);
        } else if room && of_space < MAX_KEYS {
            sums.insert(key, more);
        }
    }
}

impl SharedCounters {
    /// Counts calls without asking.
    pub(crate) fn add_calls(&self, key: Key, allowance: &Allowance, calls: u32) {
        let sum = Sum {
            allowance: *allowance,
            calls,
            bytes: 0,
        };
        self.pending.add(key, sum);
    }

    /// Counts relayed bytes.
    pub(crate) fn add_bytes(&self, key: Key, allowance: &Allowance, bytes: u64) {
        let sum = Sum {
            allowance: *allowance,
            calls: 0,
            bytes,
        };
        self.pending.add(key, sum);
    }

    /// Hands over what waits; gives the bytes used by key, of those for which Redis answered.
    pub(crate) async fn settle(self: &Arc<Self>) -> HashMap<Key, u64> {
        let sums = std::mem::take(&mut *self.pending.sums());
        let settled = stream::iter(sums.into_values().flatten())
            .map(|(key, sum)| async move { (key, sum, self.settle_one(key, sum).await) })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut used = HashMap::with_capacity(settled.len());
        for (key, sum, answer) in settled {
            match answer {
                Ok(bytes) => {
                    used.insert(key, bytes);
                }
                // It may have been counted: rather once too often than never.
                Err(RedisUnavailable) => self.pending.add(key, sum),
            }
        }
        used
    }

    async fn settle_one(self: &Arc<Self>, key: Key, sum: Sum) -> Result<u64, RedisUnavailable> {
        let count = Counting {
            needed: 0,
            more: sum.calls,
            bytes: sum.bytes,
        };
        let script = self.quota_script(key, &sum.allowance, count);
        let (_, bytes, _, _, _): QuotaAnswer = self.run(script).await?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }
}
