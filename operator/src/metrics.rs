//! What Prometheus can ask. Labels are bounded: kinds, results, Gateways.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use tidegate_config::ObjectKey;

/// Handles of all metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    registry: Registry,
    leader: IntGauge,
    passes: Histogram,
    objects: IntGaugeVec,
    unreadable: IntGaugeVec,
    watch_age: GaugeVec,
    watch_errors: IntCounterVec,
    status_writes: IntCounterVec,
    applies: IntCounterVec,
    apply_errors: IntCounterVec,
    failures: IntCounter,
    events: IntCounterVec,
    revision: IntGaugeVec,
    config_bytes: IntGaugeVec,
    config_parts: IntGaugeVec,
    apply_lag: GaugeVec,
    ignored: IntGaugeVec,
    config_seconds: CounterVec,
    memory: Gauge,
}

/// Size of what one Gateway's pods have to load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigSize {
    pub(crate) revision: u64,
    pub(crate) bytes: usize,
    pub(crate) parts: usize,
}

impl Metrics {
    /// Registers everything; fails only when a name is not valid or used twice.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Make(&registry);
        let handles = Handles {
            leader: make.gauge("leader", "1 when this replica leads and writes")?,
            passes: make.histogram("pass_duration_seconds", "Duration of a pass over the index")?,
            objects: make.gauges("objects", "Objects in the index", &["kind"])?,
            unreadable: make.gauges(
                "unreadable_objects",
                "Objects that could not be deserialised",
                &["kind"],
            )?,
            watch_age: make.float_gauges(
                "watch_age_seconds",
                "Time since a watch was last heard of; every watch lists anew within 12 minutes",
                &["watch"],
            )?,
            watch_errors: make.counters("watch_errors_total", "Errors of a watch", &["watch"])?,
            status_writes: make.counters(
                "status_writes_total",
                "Status writes by result: written, failed",
                &["kind", "result"],
            )?,
            applies: make.counters(
                "applies_total",
                "Writes of owned objects by verb: create, apply, delete",
                &["kind", "verb"],
            )?,
            apply_errors: make.counters(
                "apply_errors_total",
                "Failed writes of owned objects",
                &["kind"],
            )?,
            failures: make.counter("pass_failures_total", "Passes that could not be finished")?,
            events: make.counters("events_total", "Events published, by type", &["type"])?,
            revision: make.gauges("config_revision", "Latest published revision", &["gateway"])?,
            config_bytes: make.gauges(
                "config_bytes",
                "Size of the published configuration",
                &["gateway"],
            )?,
            config_parts: make.gauges(
                "config_parts",
                "ConfigMaps and Secrets of the published configuration, without the index",
                &["gateway"],
            )?,
            apply_lag: make.apply_lag()?,
            ignored: make.ignored()?,
            config_seconds: make.float_counters(
                "config_publish_seconds_total",
                "Time from the start of a pass to its published index",
                &["gateway"],
            )?,
            memory: make.process_gauge("resident_memory_bytes", "Resident memory")?,
            registry: registry.clone(),
        };
        Ok(Self(Arc::new(handles)))
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }

    pub(crate) fn passed(&self, took: Duration) {
        self.0.passes.observe(took.as_secs_f64());
    }

    pub(crate) fn pass_failed(&self) {
        self.0.failures.inc();
    }

    pub(crate) fn objects(&self, kind: &str, count: usize, unreadable: usize) {
        set(&self.0.objects, kind, count);
        set(&self.0.unreadable, kind, unreadable);
    }

    pub(crate) fn watch_age(&self, watch: &str, age: Duration) {
        let gauge = self.0.watch_age.with_label_values(&[watch]);
        gauge.set(age.as_secs_f64());
    }

    pub(crate) fn watch_failed(&self, watch: &str) {
        self.0.watch_errors.with_label_values(&[watch]).inc();
    }

    pub(crate) fn status_written(&self, kind: &str, ok: bool) {
        let result = if ok { "written" } else { "failed" };
        let counter = self.0.status_writes.with_label_values(&[kind, result]);
        counter.inc();
    }

    pub(crate) fn applied(&self, kind: &str, verb: &str) {
        self.0.applies.with_label_values(&[kind, verb]).inc();
    }

    pub(crate) fn apply_failed(&self, kind: &str) {
        self.0.apply_errors.with_label_values(&[kind]).inc();
    }

    pub(crate) fn event(&self, type_: &str) {
        self.0.events.with_label_values(&[type_]).inc();
    }

    /// A Gateway's configuration was published, `after` the start of the pass.
    pub(crate) fn published(&self, gateway: &ObjectKey, after: Duration) {
        let counter = self
            .0
            .config_seconds
            .with_label_values(&[&gateway.to_string()]);
        counter.inc_by(after.as_secs_f64());
    }

    pub(crate) fn config(&self, gateway: &ObjectKey, size: ConfigSize, lag: Duration) {
        let gateway = gateway.to_string();
        let revision = i64::try_from(size.revision).unwrap_or(i64::MAX);
        self.0.revision.with_label_values(&[&gateway]).set(revision);
        set(&self.0.config_bytes, &gateway, size.bytes);
        set(&self.0.config_parts, &gateway, size.parts);
        let gauge = self.0.apply_lag.with_label_values(&[&gateway]);
        gauge.set(lag.as_secs_f64());
    }

    /// How many acknowledgements for a Gateway do not count.
    pub(crate) fn ignored(&self, gateway: &ObjectKey, count: usize) {
        set(&self.0.ignored, &gateway.to_string(), count);
    }

    /// Forgets a Gateway that is gone.
    pub(crate) fn forget(&self, gateway: &ObjectKey) {
        let gateway = gateway.to_string();
        // Removing what was never set is no error worth a word.
        let _ = self.0.revision.remove_label_values(&[&gateway]);
        let _ = self.0.config_bytes.remove_label_values(&[&gateway]);
        let _ = self.0.config_parts.remove_label_values(&[&gateway]);
        let _ = self.0.apply_lag.remove_label_values(&[&gateway]);
        let _ = self.0.ignored.remove_label_values(&[&gateway]);
        let _ = self.0.config_seconds.remove_label_values(&[&gateway]);
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        if let Some(bytes) = resident_memory() {
            self.0.memory.set(bytes);
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn set(gauges: &IntGaugeVec, label: &str, value: usize) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    gauges.with_label_values(&[label]).set(value);
}

/// Resident memory of this process, where /proc has it.
#[expect(clippy::cast_precision_loss, reason = "a gauge; nobody has 2^52 bytes")]
fn resident_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some((kib * 1024) as f64)
}

/// Buckets of a pass: from nothing to do, to 50,000 objects on a busy machine.
const PASS_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

struct Make<'a>(&'a Registry);

impl Make<'_> {
    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help)
            .namespace("tidegate")
            .subsystem("operator")
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let metric = IntGauge::with_opts(Self::opts(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// A gauge of the name that every Prometheus client uses for it.
    fn process_gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        let metric = Gauge::with_opts(Opts::new(name, help).namespace("process"))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        let metric = IntGaugeVec::new(Self::opts(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        let metric = GaugeVec::new(Self::opts(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        let metric = IntCounter::with_opts(Self::opts(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        let metric = IntCounterVec::new(Self::opts(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn float_counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, prometheus::Error> {
        let metric = CounterVec::new(Self::opts(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn apply_lag(&self) -> Result<GaugeVec, prometheus::Error> {
        self.float_gauges(
            "config_apply_lag_seconds",
            "Time since the oldest revision was published that some live pod has not \
                 acknowledged; 0 when all have",
            &["gateway"],
        )
    }

    fn ignored(&self) -> Result<IntGaugeVec, prometheus::Error> {
        self.gauges(
            "ignored_acknowledgements",
            "Live Leases that claim a revision that was never published, or another \
                 Gateway's pod: they count for nothing",
            &["gateway"],
        )
    }

    fn histogram(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::new(name, help)
            .namespace("tidegate")
            .subsystem("operator")
            .buckets(PASS_BUCKETS.to_vec());
        let metric = Histogram::with_opts(opts)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

#[cfg(test)]
mod tests;
