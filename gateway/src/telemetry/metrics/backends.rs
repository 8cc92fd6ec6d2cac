//! Metrics of backends. The pools are asked at each scrape which backends get no handshakes: a separate count
//! would be wrong after a change of the configuration.

use std::fmt;
use std::sync::OnceLock;

use prometheus::{IntCounterVec, IntGaugeVec, Registry};
use tidegate_config::ObjectKey;

use super::UnavailableBackends;
use crate::telemetry::metrics::forget;
use crate::telemetry::metrics::register::{counters, gauges};

type Ask = Box<dyn Fn() -> Vec<(ObjectKey, UnavailableBackends)> + Send + Sync>;

/// What is counted about backends.
pub(super) struct BackendMetrics {
    pub(super) circuits_opened: IntCounterVec,
    pub(super) handshakes_retried: IntCounterVec,
    checks: IntCounterVec,
    unavailable: IntGaugeVec,
    ask: OnceLock<Ask>,
}

impl BackendMetrics {
    pub(super) fn register(r: &Registry) -> Self {
        Self {
            circuits_opened: counters(
                r,
                "tidegate_backend_circuits_opened_total",
                "Times that the circuit of a backend opened",
                &["api"],
            ),
            handshakes_retried: counters(
                r,
                "tidegate_backend_handshakes_retried_total",
                "Times that a handshake went on to another member of the pool",
                &["api"],
            ),
            checks: counters(
                r,
                "tidegate_backend_health_checks_total",
                "Active health checks",
                &["api", "result"],
            ),
            unavailable: gauges(
                r,
                "tidegate_backends_out",
                "Backends that get no handshakes at the moment",
                &["api", "reason"],
            ),
            ask: OnceLock::new(),
        }
    }

    /// A check found a backend healthy, or not.
    pub(super) fn checked(&self, api: &ObjectKey, healthy: bool) {
        let result = if healthy { "succeeded" } else { "failed" };
        let api = api.to_string();
        self.checks.with_label_values(&[api.as_str(), result]).inc();
    }

    /// Series of APIs that are no longer served.
    pub(super) fn forget(&self, gone: &[String]) {
        forget(&self.circuits_opened, gone);
        forget(&self.handshakes_retried, gone);
        forget(&self.checks, gone);
    }

    /// Sets the callback; the first one stays.
    pub(super) fn attach(&self, ask: Ask) {
        let _ = self.ask.set(ask);
    }

    pub(super) fn refresh(&self) {
        let Some(ask) = self.ask.get() else { return };
        self.unavailable.reset();
        for (api, unavailable) in ask() {
            let api = api.to_string();
            for (reason, count) in [
                ("circuit_open", unavailable.circuit_open),
                ("unhealthy", unavailable.unhealthy),
                ("set_aside", unavailable.ejected),
            ] {
                let gauge = self.unavailable.with_label_values(&[api.as_str(), reason]);
                gauge.set(count.into());
            }
        }
    }
}

impl fmt::Debug for BackendMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendMetrics").finish_non_exhaustive()
    }
}
