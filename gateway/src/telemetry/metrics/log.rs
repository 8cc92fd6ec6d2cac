//! Log lines that were dropped because they were not read fast enough. Updated at each scrape.

use std::fmt;
use std::sync::OnceLock;

use prometheus::{IntCounter, Registry};

use crate::telemetry::metrics::register::counter;

type Dropped = Box<dyn Fn() -> usize + Send + Sync>;

/// The log's metrics; 0 before there is a log.
pub(super) struct LogMetrics {
    dropped: OnceLock<Dropped>,
    lines: IntCounter,
}

impl LogMetrics {
    pub(super) fn register(r: &Registry) -> Self {
        Self {
            dropped: OnceLock::new(),
            lines: counter(
                r,
                "tidegate_log_lines_dropped_total",
                "Log lines dropped because they were not read fast enough",
            ),
        }
    }

    /// Asks this one; the first one stays.
    pub(super) fn attach(&self, dropped: Dropped) {
        let _ = self.dropped.set(dropped);
    }

    pub(super) fn refresh(&self) {
        let dropped = self.dropped.get().map_or(0, |dropped| dropped());
        let dropped = u64::try_from(dropped).unwrap_or(u64::MAX);
        self.lines.inc_by(dropped.saturating_sub(self.lines.get()));
    }
}

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMetrics").finish_non_exhaustive()
    }
}
