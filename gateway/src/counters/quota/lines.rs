//! What quotas have counted, as it is kept over a restart.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::period::NEVER;
use super::{MAX_KEYS, Quotas, SPACES_WORTH, Usage};
use crate::counters::counter::Key;

/// One key's usage.
#[derive(Serialize, Deserialize)]
pub(crate) struct Line {
    key: Key,
    /// Milliseconds since 1970; `None`: the period never ends.
    end: Option<i64>,
    /// Milliseconds that were left of the period, whatever the wall clock says now.
    left: u64,
    calls: u64,
    bytes: u64,
    fill: u64,
}

impl Quotas {
    /// Has anything changed since this was asked last?
    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Something has, that is not written down.
    pub(crate) fn has_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Every key's usage of periods that are not over.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let now = self.now();
        let mut lines = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            for (key, usages) in shard.values().flatten() {
                let live = usages.periods().iter().filter(|usage| !usage.is_over(now));
                lines.extend(live.map(|usage| Line {
                    key: *key,
                    end: (usage.end != NEVER).then_some(usage.end),
                    left: usage.left(now),
                    calls: usage.calls,
                    bytes: usage.bytes,
                    fill: usage.fill,
                }));
            }
        }
        lines
    }

    /// A period that is over by a clock that was set meanwhile is taken along: it may be set back.
    pub(crate) fn restore(&self, lines: Vec<Line>) {
        let now = self.now();
        for line in lines.into_iter().take(SPACES_WORTH * MAX_KEYS) {
            let left = i64::try_from(line.left).unwrap_or(NEVER);
            let usage = Usage {
                end: line.end.unwrap_or(NEVER),
                ends_at: line
                    .end
                    .map_or(NEVER, |_| now.since_start.saturating_add(left)),
                calls: line.calls,
                bytes: line.bytes,
                fill: line.fill,
            };
            if !usage.is_over(now) {
                let mut shard = self.shard(line.key);
                let keys = shard.entry(line.key.space()).or_default();
                keys.entry(line.key).or_default().add(usage, now);
            }
        }
    }
}
