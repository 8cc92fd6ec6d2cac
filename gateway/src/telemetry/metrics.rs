//! Everything that is counted. The table of names is `docs/metrics.md`; a test compares the two.
//!
//! Label values are limited: APIs by the configuration, everything else by closed sets. No label has a value that
//! a client chose. Nothing here reads a clock or a socket.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};
use tidegate_config::{MetricLabels, ObjectKey};

use self::backends::BackendMetrics;
use self::label::code_label;
use self::log::LogMetrics;
use self::messages::MessageMetrics;
use self::process::Process;
use self::register::{counters, gauge, gauges, histogram, histograms};
use self::services::ServiceMetrics;

mod backends;
mod label;
mod log;
mod messages;
mod process;
mod register;
mod services;

pub(crate) use label::{Direction, HandshakeResult, Phase, Rejection, UnavailableBackends};
pub(crate) use messages::{MessageCounters, MessageLabels};
pub(crate) use services::ServiceCounts;

/// Label value where no API was found (yet).
const NO_API: &str = "-";

/// The registry and its handles. One per gateway; outlives every snapshot.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    handshakes: IntCounterVec,
    handshake_seconds: HistogramVec,
    tunnels: Tunnels,
    messages: MessageMetrics,
    config_errors: IntCounterVec,
    apis: Mutex<HashMap<ObjectKey, Arc<ApiMetrics>>>,
    process: Process,
    services: ServiceMetrics,
    backends: BackendMetrics,
    log: LogMetrics,
    /// Client connections open, tunnels and handshakes together.
    pub(crate) connections_active: IntGauge,
    connections_rejected: IntCounterVec,
    /// The revision in use.
    pub(crate) config_revision: IntGauge,
    /// 1 while that is the newest one.
    pub(crate) config_synchronized: IntGauge,
    /// Objects of it that did not compile.
    pub(crate) config_rejected_objects: IntGauge,
    /// 1 while draining.
    pub(crate) draining: IntGauge,
}

/// What tunnels count.
#[derive(Clone, Debug)]
struct Tunnels {
    active: IntGaugeVec,
    closed: IntCounterVec,
    seconds: Histogram,
}

impl Metrics {
    /// A registry of its own, so that several gateways fit into one process.
    pub fn new() -> Arc<Self> {
        let r = Registry::new();
        let metrics = Self {
            handshakes: counters(
                &r,
                "tidegate_handshakes_total",
                "Handshakes answered",
                &["api", "result", "reason"],
            ),
            handshake_seconds: histograms(
                &r,
                "tidegate_handshake_duration_seconds",
                "Time of a handshake's parts",
                &["phase"],
            ),
            tunnels: Tunnels::new(&r),
            messages: MessageMetrics::new(),
            config_errors: counters(
                &r,
                "tidegate_config_errors_total",
                "Configurations that could not be applied",
                &["reason"],
            ),
            apis: Mutex::new(HashMap::new()),
            connections_active: gauge(
                &r,
                "tidegate_connections_active",
                "Client connections open now",
            ),
            connections_rejected: counters(
                &r,
                "tidegate_connections_rejected_total",
                "Connections closed before a handshake began, because there was no room",
                &["reason"],
            ),
            config_revision: gauge(
                &r,
                "tidegate_config_revision",
                "Configuration revision in use",
            ),
            config_synchronized: gauge(
                &r,
                "tidegate_config_synchronized",
                "1 while the newest configuration is in use",
            ),
            config_rejected_objects: gauge(
                &r,
                "tidegate_config_rejected_objects",
                "Objects of the configuration in use that did not compile",
            ),
            draining: gauge(&r, "tidegate_draining", "1 while the gateway drains"),
            process: Process::register(&r),
            services: ServiceMetrics::register(&r),
            backends: BackendMetrics::register(&r),
            log: LogMetrics::register(&r),
            registry: r,
        };
        metrics.start_rejections();
        Arc::new(metrics)
    }

    /// From the start, so that the first one is an increase.
    fn start_rejections(&self) {
        for rejection in Rejection::ALL {
            let labels = [rejection.as_str()];
            self.connections_rejected.with_label_values(&labels);
        }
    }

    /// The handles of one API. Keep them: finding them takes a lock.
    pub(crate) fn api(&self, key: &ObjectKey) -> Arc<ApiMetrics> {
        let mut apis = self.apis.lock();
        if let Some(found) = apis.get(key) {
            return Arc::clone(found);
        }
        let created = Arc::new(ApiMetrics::new(&self.tunnels, &self.backends, key));
        apis.insert(key.clone(), Arc::clone(&created));
        created
    }

    /// What messages and bytes of tunnels that open from now on are counted by.
    pub(crate) fn label_messages(&self, labels: Option<&MetricLabels>) {
        self.messages.choose(labels);
    }

    /// Where a tunnel of `api` counts its messages.
    pub(crate) fn meter(
        &self,
        api: &ApiMetrics,
        labels: impl FnOnce() -> MessageLabels,
    ) -> Arc<MessageCounters> {
        self.messages.counters(&api.messages, labels)
    }

    /// Drops the series of messages of what is no longer served.
    pub(crate) fn retain_messages(
        &self,
        api: impl Fn(&ObjectKey) -> bool,
        product: impl Fn(&ObjectKey) -> bool,
        subscription: impl Fn(&ObjectKey) -> bool,
    ) {
        self.messages.retain(api, product, subscription);
    }

    /// One handshake answered. `reason` must come from a closed set: empty when accepted.
    pub(crate) fn handshake(
        &self,
        api: Option<&ObjectKey>,
        result: HandshakeResult,
        reason: &'static str,
    ) {
        let api = api.map_or_else(|| NO_API.to_owned(), ToString::to_string);
        self.handshakes
            .with_label_values(&[api.as_str(), result.as_str(), reason])
            .inc();
    }

    /// How long a part of a handshake took.
    pub(crate) fn handshake_phase(&self, phase: Phase, took: Duration) {
        self.handshake_seconds
            .with_label_values(&[phase.as_str()])
            .observe(took.as_secs_f64());
    }

    /// A connection was closed before a handshake began.
    pub(crate) fn connection_rejected(&self, rejection: Rejection) {
        let labels = [rejection.as_str()];
        self.connections_rejected.with_label_values(&labels).inc();
    }

    /// A configuration could not be applied. `reason` must come from a closed set.
    pub(crate) fn config_error(&self, reason: &'static str) {
        self.config_errors.with_label_values(&[reason]).inc();
    }

    /// Drops the series of APIs that are no longer served, so that memory follows the
    /// configuration.
    pub(crate) fn retain_apis(&self, served: impl Fn(&ObjectKey) -> bool) {
        let mut apis = self.apis.lock();
        let gone: Vec<String> = apis
            .extract_if(|key, _| !served(key))
            .map(|(key, _)| key.to_string())
            .collect();
        if gone.is_empty() {
            return;
        }
        self.services.retain_apis(&served);
        forget(&self.handshakes, &gone);
        forget(&self.tunnels.active, &gone);
        forget(&self.tunnels.closed, &gone);
        self.backends.forget(&gone);
    }

    /// Counts what these services count, too; the first ones stay.
    pub(crate) fn attach(&self, services: Arc<dyn ServiceCounts>) {
        self.services.attach(services);
    }

    /// A health check found a backend healthy, or not.
    pub(crate) fn health_check(&self, api: &ObjectKey, healthy: bool) {
        self.backends.checked(api, healthy);
    }

    /// Asks at each scrape how many backends of which API get no handshakes; the first one stays.
    pub(crate) fn count_backends(
        &self,
        ask: impl Fn() -> Vec<(ObjectKey, UnavailableBackends)> + Send + Sync + 'static,
    ) {
        self.backends.attach(Box::new(ask));
    }

    /// Asks `dropped` at each scrape how many log lines were dropped; the first one stays.
    pub fn count_dropped_log_lines(&self, dropped: impl Fn() -> usize + Send + Sync + 'static) {
        self.log.attach(Box::new(dropped));
    }

    /// All of it in Prometheus' text format.
    pub fn render(&self) -> String {
        self.process.refresh();
        self.services.refresh();
        self.backends.refresh();
        self.log.refresh();
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.gather(), &mut text)
            .expect("writing to memory does not fail, and every family has a sample");
        let text = String::from_utf8(text).expect("names and label values are text");
        text + &self.services.custom()
    }

    fn gather(&self) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        self.messages.gather(&mut families);
        families
    }
}

impl Tunnels {
    fn new(r: &Registry) -> Self {
        Self {
            active: gauges(r, "tidegate_tunnels_active", "Tunnels open now", &["api"]),
            closed: counters(
                r,
                "tidegate_tunnels_closed_total",
                "Tunnels that ended",
                &["api", "initiator", "code"],
            ),
            seconds: histogram(
                r,
                "tidegate_tunnel_duration_seconds",
                "Age of tunnels that ended",
            ),
        }
    }
}

/// The handles of one API. Its series appear with its first tunnel: most of thousands of APIs
/// may never have one on this pod.
#[derive(Debug)]
pub(crate) struct ApiMetrics {
    /// The API.
    pub(crate) key: ObjectKey,
    /// The same as label value.
    name: String,
    tunnels: Tunnels,
    circuits_opened: IntCounterVec,
    handshakes_retried: IntCounterVec,
    active: OnceLock<IntGauge>,
    /// As long as they are counted by API alone.
    messages: OnceLock<Arc<MessageCounters>>,
}

impl ApiMetrics {
    fn new(tunnels: &Tunnels, backends: &BackendMetrics, key: &ObjectKey) -> Self {
        Self {
            key: key.clone(),
            name: key.to_string(),
            tunnels: tunnels.clone(),
            circuits_opened: backends.circuits_opened.clone(),
            handshakes_retried: backends.handshakes_retried.clone(),
            active: OnceLock::new(),
            messages: OnceLock::new(),
        }
    }

    fn active(&self) -> &IntGauge {
        let active = || self.tunnels.active.with_label_values(&[&self.name]);
        self.active.get_or_init(active)
    }

    /// A tunnel opened.
    pub(crate) fn opened(&self) {
        self.active().inc();
    }

    /// A tunnel ended. `initiator` must come from a closed set; `code` is what the client saw.
    pub(crate) fn closed(&self, initiator: &'static str, code: Option<u16>, age: Duration) {
        self.active().dec();
        let labels = [self.name.as_str(), initiator, code_label(code)];
        self.tunnels.closed.with_label_values(&labels).inc();
        self.tunnels.seconds.observe(age.as_secs_f64());
    }

    /// The circuit of one of its backends opened.
    pub(crate) fn circuit_opened(&self) {
        self.circuits_opened.with_label_values(&[&self.name]).inc();
    }

    /// A handshake went on to another member of its pool.
    pub(crate) fn handshake_retried(&self) {
        self.handshakes_retried
            .with_label_values(&[&self.name])
            .inc();
    }
}

/// Removes the series whose label `api` is one of `gone`.
fn forget<B: MetricVecBuilder>(vec: &MetricVec<B>, gone: &[String])
where
    MetricVec<B>: Collector,
{
    let names = vec.desc()[0].variable_labels.clone();
    for family in vec.collect() {
        for metric in family.get_metric() {
            let value = |name: &String| {
                let found = metric.get_label().iter().find(|label| label.name() == name);
                found.map(|label| label.value().to_owned())
            };
            let values: Vec<String> = names.iter().filter_map(value).collect();
            let api = names.iter().position(|name| name == "api");
            if api.is_some_and(|at| values.get(at).is_some_and(|api| gone.contains(api))) {
                // Only this function removes, under the lock of the caller: it is there.
                let _ = vec.remove_label_values(&values);
            }
        }
    }
}

#[cfg(test)]
mod tests;
