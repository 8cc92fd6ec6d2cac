//! What all connections share. It outlives every snapshot.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::configuration::snapshot::Snapshot;
use crate::connections::Connections;
use crate::policy::Services;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::Recorder;
use crate::telemetry::trace::Traces;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Sessions;

/// Given to listeners and workers, and through them to every connection.
pub(crate) struct Shared {
    /// Load it once per request, when the head is complete.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) services: Arc<Services>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) connections: Connections,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) traces: Arc<Traces>,
    /// Drain of the connections: when asked, new handshakes get 503; when insisted, all sockets are cut.
    pub(crate) drain: Drain,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
