//! Everything that is counted. The table of names is `docs/metrics.md`; a test compares the two.
//!
//! Labels are bounded: APIs by the configuration, everything else by closed sets. No label ever
//! carries something a client chose. Nothing here reads a clock or a socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use tidegate_config::ObjectKey;

mod process;

/// Why creating a metric can not fail.
const CONSTANTS: &str = "names, labels and buckets are constants that a test creates";

/// Label value where no API was found (yet).
const NO_API: &str = "-";

/// From a refusal decided in memory (50 µs) to the slowest backend we wait for (10 s).
const HANDSHAKE_BUCKETS: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    2.5, 10.0,
];

/// WebSockets live from a second (a broken client) to days.
const DURATION_BUCKETS: [f64; 11] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0,
];

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeResult {
    /// 101.
    Accepted,
    /// Turned down, by us or by the backend.
    Refused,
    /// Something did not work: the backend could not be reached, the client went away.
    Failed,
}

impl HandshakeResult {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// A part of a handshake whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// TLS with the client.
    Tls,
    /// Reading the request head.
    Head,
    /// Access and inbound policies.
    Inbound,
    /// Connecting to the backend, its TLS included.
    Connect,
    /// The backend's answer, from the request written to the head read.
    Backend,
    /// Outbound policies and writing the answer.
    Outbound,
    /// Everything, from the accepted connection to the answer written.
    Total,
}

impl Phase {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Head => "head",
            Self::Inbound => "inbound",
            Self::Connect => "connect",
            Self::Backend => "backend",
            Self::Outbound => "outbound",
            Self::Total => "total",
        }
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the backend.
    ToBackend,
    /// From the backend to the client.
    ToClient,
}

impl Direction {
    const ALL: [Self; 2] = [Self::ToBackend, Self::ToClient];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToBackend => "to_backend",
            Self::ToClient => "to_client",
        }
    }
}

/// What kind of frame is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A text message (its first frame).
    Text,
    /// A binary message (its first frame).
    Binary,
    /// A further frame of a fragmented message.
    Fragment,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close.
    Close,
}

impl FrameKind {
    const ALL: [Self; 6] = [
        Self::Text,
        Self::Binary,
        Self::Fragment,
        Self::Ping,
        Self::Pong,
        Self::Close,
    ];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Fragment => "fragment",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Close => "close",
        }
    }
}

/// The registry and its handles. One per gateway; outlives every snapshot.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    handshakes: IntCounterVec,
    handshake_seconds: HistogramVec,
    tunnels: Tunnels,
    config_errors: IntCounterVec,
    apis: Mutex<HashMap<ObjectKey, Arc<ApiMetrics>>>,
    /// Client connections open, tunnels and handshakes together.
    pub connections_active: IntGauge,
    /// Connections turned away before a handshake began: no descriptor, no room.
    pub connections_rejected: IntCounter,
    /// The revision in use.
    pub config_revision: IntGauge,
    /// 1 while that is the newest one.
    pub config_synchronized: IntGauge,
    /// Objects of it that did not compile.
    pub config_rejected_objects: IntGauge,
    /// 1 while draining.
    pub draining: IntGauge,
}

/// What tunnels count.
#[derive(Clone, Debug)]
struct Tunnels {
    active: IntGaugeVec,
    closed: IntCounterVec,
    seconds: Histogram,
    messages: IntCounterVec,
    bytes: IntCounterVec,
}

impl Metrics {
    /// A registry of its own, so that several gateways fit into one process.
    pub fn new() -> Arc<Self> {
        let r = Registry::new();
        process::register(&r);
        let metrics = Self {
            handshakes: counters(
                &r,
                "handshakes_total",
                "Handshakes answered",
                &["api", "result", "reason"],
            ),
            handshake_seconds: histograms(
                &r,
                "handshake_duration_seconds",
                "Time of a handshake's parts",
                &["phase"],
            ),
            tunnels: Tunnels::new(&r),
            config_errors: counters(
                &r,
                "config_errors_total",
                "Configurations that could not be taken over",
                &["reason"],
            ),
            apis: Mutex::new(HashMap::new()),
            connections_active: gauge(&r, "connections_active", "Client connections open now"),
            connections_rejected: counter(
                &r,
                "connections_rejected_total",
                "Connections closed before a handshake began, for want of room",
            ),
            config_revision: gauge(&r, "config_revision", "Configuration revision in use"),
            config_synchronized: gauge(
                &r,
                "config_synchronized",
                "1 while the newest configuration is in use",
            ),
            config_rejected_objects: gauge(
                &r,
                "config_rejected_objects",
                "Objects of the configuration in use that did not compile",
            ),
            draining: gauge(&r, "draining", "1 while the gateway drains"),
            registry: r,
        };
        Arc::new(metrics)
    }

    /// The handles of one API. Keep them: finding them takes a lock.
    pub fn api(&self, key: &ObjectKey) -> Arc<ApiMetrics> {
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = apis.get(key) {
            return Arc::clone(found);
        }
        let created = Arc::new(ApiMetrics::new(&self.tunnels, key));
        apis.insert(key.clone(), Arc::clone(&created));
        created
    }

    /// One handshake answered. `reason` must come from a closed set: empty when accepted.
    pub fn handshake(
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
    pub fn handshake_phase(&self, phase: Phase, took: Duration) {
        self.handshake_seconds
            .with_label_values(&[phase.as_str()])
            .observe(took.as_secs_f64());
    }

    /// A configuration that could not be taken over. `reason` must come from a closed set.
    pub fn config_error(&self, reason: &'static str) {
        self.config_errors.with_label_values(&[reason]).inc();
    }

    /// Drops the series of APIs that are no longer served, so that memory follows the
    /// configuration.
    pub fn retain_apis(&self, served: impl Fn(&ObjectKey) -> bool) {
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<String> = apis
            .extract_if(|key, _| !served(key))
            .map(|(key, _)| key.to_string())
            .collect();
        if gone.is_empty() {
            return;
        }
        forget(&self.handshakes, &gone);
        forget(&self.tunnels.active, &gone);
        forget(&self.tunnels.closed, &gone);
        forget(&self.tunnels.messages, &gone);
        forget(&self.tunnels.bytes, &gone);
    }

    /// All of it in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        let families = self.registry.gather();
        TextEncoder::new()
            .encode(&families, &mut text)
            .expect("writing to memory does not fail, and every family has a sample");
        String::from_utf8(text).expect("names and label values are text")
    }
}

impl Tunnels {
    fn new(r: &Registry) -> Self {
        Self {
            active: gauges(r, "tunnels_active", "Tunnels open now", &["api"]),
            closed: counters(
                r,
                "tunnels_closed_total",
                "Tunnels that ended",
                &["api", "initiator", "code"],
            ),
            seconds: histogram(r, "tunnel_duration_seconds", "Age of tunnels that ended"),
            messages: counters(
                r,
                "messages_total",
                "Messages and control frames relayed",
                &["api", "direction", "type"],
            ),
            bytes: counters(
                r,
                "bytes_total",
                "Bytes relayed, frame headers included",
                &["api", "direction"],
            ),
        }
    }
}

/// The handles of one API. Its series appear with its first tunnel: most of thousands of APIs
/// may never have one on this pod.
#[derive(Debug)]
pub struct ApiMetrics {
    name: String,
    tunnels: Tunnels,
    series: OnceLock<ApiSeries>,
}

#[derive(Debug)]
struct ApiSeries {
    active: IntGauge,
    messages: [[IntCounter; 6]; 2],
    bytes: [IntCounter; 2],
}

impl ApiMetrics {
    fn new(tunnels: &Tunnels, key: &ObjectKey) -> Self {
        Self {
            name: key.to_string(),
            tunnels: tunnels.clone(),
            series: OnceLock::new(),
        }
    }

    fn series(&self) -> &ApiSeries {
        self.series
            .get_or_init(|| ApiSeries::new(&self.tunnels, &self.name))
    }

    /// A tunnel opened.
    pub fn opened(&self) {
        self.series().active.inc();
    }

    /// A tunnel ended. `initiator` must come from a closed set; `code` is what the client saw.
    pub fn closed(&self, initiator: &'static str, code: Option<u16>, age: Duration) {
        self.series().active.dec();
        let labels = [self.name.as_str(), initiator, code_label(code)];
        self.tunnels.closed.with_label_values(&labels).inc();
        self.tunnels.seconds.observe(age.as_secs_f64());
    }

    /// So many frames of one kind were relayed.
    pub fn messages(&self, direction: Direction, kind: FrameKind, count: u64) {
        self.series().messages[direction as usize][kind as usize].inc_by(count);
    }

    /// So many bytes were relayed.
    pub fn bytes(&self, direction: Direction, count: u64) {
        self.series().bytes[direction as usize].inc_by(count);
    }
}

impl ApiSeries {
    fn new(tunnels: &Tunnels, api: &str) -> Self {
        Self {
            active: tunnels.active.with_label_values(&[api]),
            messages: Direction::ALL.map(|direction| {
                FrameKind::ALL.map(|kind| {
                    let labels = [api, direction.as_str(), kind.as_str()];
                    tunnels.messages.with_label_values(&labels)
                })
            }),
            bytes: Direction::ALL
                .map(|direction| tunnels.bytes.with_label_values(&[api, direction.as_str()])),
        }
    }
}

/// Peers choose codes from 3000 on freely, so these share a label (RFC 6455 §7.4.2).
fn code_label(code: Option<u16>) -> &'static str {
    match code {
        None => "none",
        Some(1000) => "1000",
        Some(1001) => "1001",
        Some(1002) => "1002",
        Some(1003) => "1003",
        Some(1007) => "1007",
        Some(1008) => "1008",
        Some(1009) => "1009",
        Some(1010) => "1010",
        Some(1011) => "1011",
        Some(1012) => "1012",
        Some(1013) => "1013",
        Some(1014) => "1014",
        Some(3000..=3999) => "3xxx",
        Some(4000..=4999) => "4xxx",
        Some(_) => "other",
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

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(opts(name, help), labels))
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::with_opts(opts(name, help)))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(opts(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::with_opts(opts(name, help)))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let opts = HistogramOpts::from(opts(name, help)).buckets(HANDSHAKE_BUCKETS.to_vec());
    registered(registry, HistogramVec::new(opts, labels))
}

fn histogram(registry: &Registry, name: &str, help: &str) -> Histogram {
    let opts = HistogramOpts::from(opts(name, help)).buckets(DURATION_BUCKETS.to_vec());
    registered(registry, Histogram::with_opts(opts))
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("tidegate")
}

fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect(CONSTANTS);
    registry
        .register(Box::new(metric.clone()))
        .expect("each name is registered once, as a test shows");
    metric
}

#[cfg(test)]
mod tests;
