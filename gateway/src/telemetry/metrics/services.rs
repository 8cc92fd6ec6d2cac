//! What policies' services count by themselves: fetched key sets, rate limits, quotas. Read at each scrape.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};
use tidegate_config::ObjectKey;

use crate::telemetry::custom_metrics::CustomMetrics;
use crate::telemetry::metrics::register::{counter, counters, gauge};

/// What services count by themselves, to be read at each scrape.
pub(crate) trait ServiceCounts: fmt::Debug + Send + Sync {
    /// Are the shared counters available? And requests that succeeded and failed.
    fn shared_health(&self) -> (bool, (u64, u64));

    /// Fetches of key sets that worked, and that did not.
    fn fetch_counts(&self) -> (u64, u64);

    /// Spans that arrived, that were lost on the way, and for which there was no room.
    fn span_counts(&self) -> (u64, u64, u64);

    /// Requests of notify: answered, failed, dropped.
    fn notice_counts(&self) -> [u64; 3];

    /// Requests of policies that were answered, and that were not.
    fn call_counts(&self) -> (u64, u64);

    /// Key sets that could not be fetched when that was tried last.
    fn failing_key_sets(&self) -> usize;

    /// Keys that rate limits count at the moment.
    fn limit_keys(&self) -> usize;

    /// Keys that quotas count at the moment.
    fn quota_keys(&self) -> usize;

    /// Keys of quotas that were forgotten because memory was full.
    fn quota_keys_evicted(&self) -> u64;

    /// Keys of rate limits that were forgotten because memory was full.
    fn limit_keys_evicted(&self) -> u64;

    /// What emitMetric counts under names of its own.
    fn custom_metrics(&self) -> &CustomMetrics;
}

/// The services' metrics; 0 before there are services.
#[derive(Debug)]
pub(super) struct ServiceMetrics {
    services: OnceLock<Arc<dyn ServiceCounts>>,
    fetches: IntCounterVec,
    spans: IntCounterVec,
    calls: IntCounterVec,
    notices: IntCounterVec,
    failing: IntGauge,
    limit_keys: IntGauge,
    limit_keys_evicted: IntCounter,
    quota_keys: IntGauge,
    quota_keys_evicted: IntCounter,
    shared_up: IntGauge,
    shared_requests: IntCounterVec,
}

impl ServiceMetrics {
    pub(super) fn register(r: &Registry) -> Self {
        let by_result = |name, help| counters(r, name, help, &["result"]);
        let counter = |name, help| counter(r, name, help);
        let gauge = |name, help| gauge(r, name, help);
        Self {
            services: OnceLock::new(),
            fetches: by_result(
                "tidegate_key_set_fetches_total",
                "Fetches of OpenID configurations and key sets",
            ),
            spans: by_result("tidegate_spans_total", "Spans of handshakes and tunnels"),
            calls: by_result(
                "tidegate_policy_requests_total",
                "HTTP requests of policies, those for their tokens included",
            ),
            notices: by_result("tidegate_notifications_total", "Requests of notify"),
            failing: gauge(
                "tidegate_key_sets_failing",
                "Key sets of tokens that could not be fetched when that was tried last",
            ),
            limit_keys: gauge(
                "tidegate_rate_limit_keys",
                "Keys that rate limits count at the moment",
            ),
            limit_keys_evicted: counter(
                "tidegate_rate_limit_keys_evicted_total",
                "Keys of rate limits forgotten too early because there were too many",
            ),
            quota_keys: gauge(
                "tidegate_quota_keys",
                "Keys that quotas count at the moment",
            ),
            quota_keys_evicted: counter(
                "tidegate_quota_keys_evicted_total",
                "Keys of quotas forgotten too early because there were too many",
            ),
            shared_up: gauge(
                "tidegate_shared_counters_up",
                "1 while limits count together with other pods",
            ),
            shared_requests: by_result(
                "tidegate_shared_counters_requests_total",
                "Requests to the server that counts for all pods",
            ),
        }
    }

    /// Reads from these services; the first ones stay.
    pub(super) fn attach(&self, services: Arc<dyn ServiceCounts>) {
        let _ = self.services.set(services);
    }

    /// Drops what policies counted for APIs that are no longer served.
    pub(super) fn retain_apis(&self, served: impl Fn(&ObjectKey) -> bool) {
        if let Some(services) = self.services.get() {
            services.custom_metrics().retain(served);
        }
    }

    /// What policies counted under names of their own, in Prometheus' text format.
    pub(super) fn custom(&self) -> String {
        let services = self.services.get();
        services.map_or_else(String::new, |services| services.custom_metrics().render())
    }

    pub(super) fn refresh(&self) {
        let (mut succeeded, mut failed) = (0, 0);
        let mut spans = (0, 0, 0);
        let (mut answered, mut unanswered) = (0, 0);
        let mut notices = [0; 3];
        let mut requests = (0, 0);
        if let Some(services) = self.services.get() {
            (succeeded, failed) = services.fetch_counts();
            spans = services.span_counts();
            (answered, unanswered) = services.call_counts();
            notices = services.notice_counts();
            let up;
            (up, requests) = services.shared_health();
            self.shared_up.set(i64::from(up));
            let failing = services.failing_key_sets();
            self.failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
            let keys = services.limit_keys();
            self.limit_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
            raise(&self.limit_keys_evicted, services.limit_keys_evicted());
            let keys = services.quota_keys();
            self.quota_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
            raise(&self.quota_keys_evicted, services.quota_keys_evicted());
        }
        let of = |result| self.shared_requests.with_label_values(&[result]);
        raise(&of("succeeded"), requests.0);
        raise(&of("failed"), requests.1);
        raise(&self.fetches.with_label_values(&["succeeded"]), succeeded);
        raise(&self.fetches.with_label_values(&["failed"]), failed);
        for (result, count) in [
            ("exported", spans.0),
            ("failed", spans.1),
            ("dropped", spans.2),
        ] {
            raise(&self.spans.with_label_values(&[result]), count);
        }
        for (result, count) in ["answered", "failed", "dropped"].into_iter().zip(notices) {
            raise(&self.notices.with_label_values(&[result]), count);
        }
        raise(&self.calls.with_label_values(&["answered"]), answered);
        raise(&self.calls.with_label_values(&["failed"]), unanswered);
    }
}

/// Two scrapes at a time may count a little twice; the next ones wait until it is true again.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
