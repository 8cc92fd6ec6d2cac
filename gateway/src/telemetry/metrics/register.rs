//! Creating and registering metrics, which cannot fail for constants.

use prometheus::core::Collector;
use prometheus::{
    Counter, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// From a refusal decided in memory (50 µs) to the slowest backend we wait for (10 s).
const HANDSHAKE_BUCKETS: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    2.5, 10.0,
];

/// WebSockets live from a second (a broken client) to days.
const DURATION_BUCKETS: [f64; 11] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0,
];

/// A counter of something that is not counted in whole numbers.
pub(super) fn amount(registry: &Registry, name: &str, help: &str) -> Counter {
    registered(registry, Counter::with_opts(opts(name, help)))
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntCounterVec {
    registered(registry, IntCounterVec::new(opts(name, help), labels))
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::with_opts(opts(name, help)))
}

pub(super) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(opts(name, help), labels))
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::with_opts(opts(name, help)))
}

pub(super) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> HistogramVec {
    let opts = HistogramOpts::from(opts(name, help)).buckets(HANDSHAKE_BUCKETS.to_vec());
    registered(registry, HistogramVec::new(opts, labels))
}

pub(super) fn histogram(registry: &Registry, name: &str, help: &str) -> Histogram {
    let opts = HistogramOpts::from(opts(name, help)).buckets(DURATION_BUCKETS.to_vec());
    registered(registry, Histogram::with_opts(opts))
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help)
}

fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect("names, labels and buckets are constants that a test creates");
    registry
        .register(Box::new(metric.clone()))
        .expect("each name is registered once, as a test shows");
    metric
}
