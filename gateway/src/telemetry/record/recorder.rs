//! Whom records tell; one per gateway, outlives every snapshot.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;

/// Whom records tell.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(super) metrics: Arc<Metrics>,
    /// The one of now, for tunnels of before too: readers know one form at a time.
    pub(super) log: ArcSwap<AccessLog>,
}

impl Recorder {
    /// Counts there, and logs everything.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            log: ArcSwap::default(),
        })
    }

    /// Writes lines like this from now on, those of live tunnels included.
    pub(crate) fn log_as(&self, log: Arc<AccessLog>) {
        self.log.store(log);
    }
}
