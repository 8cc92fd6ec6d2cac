//! Where records go: metrics and access log. One per gateway; it outlives every snapshot.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;

/// Metrics and access log for records.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(super) metrics: Arc<Metrics>,
    /// The current access log, also for older tunnels, so that all lines have one form.
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
