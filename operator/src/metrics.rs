//! Metrics for Prometheus. The values of labels are bounded: kinds, results, Gateways.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use tidegate_config::ObjectKey;

/// Handles of all metrics; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    registry: Registry,
    leader: IntGauge,
    pass_duration: Histogram,
    plans: IntCounter,
    pass_failures: IntCounter,
    objects: IntGaugeVec,
    unreadable_objects: IntGaugeVec,
    watches: WatchMetrics,
    writes: WriteMetrics,
    config: ConfigMetrics,
    memory: Gauge,
}

/// By watch.
#[derive(Debug)]
struct WatchMetrics {
    age: GaugeVec,
    errors: IntCounterVec,
}

/// By kind of object.
#[derive(Debug)]
struct WriteMetrics {
    statuses: IntCounterVec,
    applies: IntCounterVec,
    apply_errors: IntCounterVec,
    events: IntCounterVec,
}

/// By Gateway.
#[derive(Debug)]
struct ConfigMetrics {
    revision: IntGaugeVec,
    bytes: IntGaugeVec,
    parts: IntGaugeVec,
    apply_lag: GaugeVec,
    ignored_acks: IntGaugeVec,
    publish_seconds: CounterVec,
}

/// Size of the configuration that the pods of one Gateway load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigSize {
    pub(crate) revision: u64,
    pub(crate) bytes: usize,
    pub(crate) parts: usize,
}

impl WatchMetrics {
    fn register(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            age: registrar.float_gauges(
                "watch_age_seconds",
                "Time since the last event of a watch; every watch lists again within 12 minutes",
                &["watch"],
            )?,
            errors: registrar.counters("watch_errors_total", "Errors of a watch", &["watch"])?,
        })
    }
}

impl WriteMetrics {
    fn register(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            statuses: registrar.counters(
                "status_writes_total",
                "Status writes by result: written, failed",
                &["kind", "result"],
            )?,
            applies: registrar.counters(
                "applies_total",
                "Writes of objects that the operator creates, by verb: create, apply, delete",
                &["kind", "verb"],
            )?,
            apply_errors: registrar.counters(
                "apply_errors_total",
                "Failed writes of objects that the operator creates",
                &["kind"],
            )?,
            events: registrar.counters("events_total", "Published Events by type", &["type"])?,
        })
    }
}

impl ConfigMetrics {
    fn register(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            revision: registrar.gauges(
                "config_revision",
                "Latest published revision",
                &["gateway"],
            )?,
            bytes: registrar.gauges(
                "config_bytes",
                "Size of the published configuration",
                &["gateway"],
            )?,
            parts: registrar.gauges(
                "config_parts",
                "ConfigMaps and Secrets of the published configuration, without the index",
                &["gateway"],
            )?,
            apply_lag: registrar.float_gauges(
                "config_apply_lag_seconds",
                "Time since the oldest revision was published that a live pod has not acknowledged; \
                 0 when all pods have",
                &["gateway"],
            )?,
            ignored_acks: registrar.gauges(
                "ignored_acknowledgements",
                "Live Leases that do not count, because they name a revision that was never \
                 published, or the pod belongs to another Gateway",
                &["gateway"],
            )?,
            publish_seconds: registrar.float_counters(
                "config_publish_seconds_total",
                "Time from the start of a pass until its index was published",
                &["gateway"],
            )?,
        })
    }

    /// Removes the series of a Gateway.
    fn forget(&self, gateway: &ObjectKey) {
        let gateway = gateway.to_string();
        let label = [gateway.as_str()];
        // A series that was never set is no error.
        let _ = self.revision.remove_label_values(&label);
        let _ = self.bytes.remove_label_values(&label);
        let _ = self.parts.remove_label_values(&label);
        let _ = self.apply_lag.remove_label_values(&label);
        let _ = self.ignored_acks.remove_label_values(&label);
        let _ = self.publish_seconds.remove_label_values(&label);
    }
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    ///
    /// When a name is not valid or used twice.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let registrar = Registrar(&registry);
        let handles = Handles {
            leader: registrar.gauge("leader", "1 when this replica is the leader, which writes")?,
            pass_duration: registrar.histogram(
                "pass_duration_seconds",
                "Duration of a pass, which reconciles what changed",
            )?,
            plans: registrar.counter(
                "plans_total",
                "Plans: several in a pass that reads what the first one names, none in one that only looks at \
                 statuses",
            )?,
            pass_failures: registrar
                .counter("pass_failures_total", "Passes that did not finish")?,
            objects: registrar.gauges("objects", "Objects in the cache", &["kind"])?,
            unreadable_objects: registrar.gauges(
                "unreadable_objects",
                "Objects that could not be deserialised",
                &["kind"],
            )?,
            watches: WatchMetrics::register(&registrar)?,
            writes: WriteMetrics::register(&registrar)?,
            config: ConfigMetrics::register(&registrar)?,
            memory: registrar.process_gauge("resident_memory_bytes", "Resident memory")?,
            registry: registry.clone(),
        };
        Ok(Self(Arc::new(handles)))
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }

    pub(crate) fn passed(&self, took: Duration) {
        self.0.pass_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn planned(&self) {
        self.0.plans.inc();
    }

    /// How many plans there were.
    #[cfg(test)]
    pub(crate) fn plans(&self) -> u64 {
        self.0.plans.get()
    }

    pub(crate) fn pass_failed(&self) {
        self.0.pass_failures.inc();
    }

    pub(crate) fn objects(&self, kind: &str, count: usize, unreadable: usize) {
        set(&self.0.objects, kind, count);
        set(&self.0.unreadable_objects, kind, unreadable);
    }

    pub(crate) fn watch_age(&self, watch: &str, age: Duration) {
        let gauge = self.0.watches.age.with_label_values(&[watch]);
        gauge.set(age.as_secs_f64());
    }

    pub(crate) fn watch_failed(&self, watch: &str) {
        self.0.watches.errors.with_label_values(&[watch]).inc();
    }

    pub(crate) fn status_written(&self, kind: &str, ok: bool) {
        let result = if ok { "written" } else { "failed" };
        let counter = self.0.writes.statuses.with_label_values(&[kind, result]);
        counter.inc();
    }

    pub(crate) fn applied(&self, kind: &str, verb: &str) {
        self.0.writes.applies.with_label_values(&[kind, verb]).inc();
    }

    pub(crate) fn apply_failed(&self, kind: &str) {
        self.0.writes.apply_errors.with_label_values(&[kind]).inc();
    }

    pub(crate) fn event(&self, type_: &str) {
        self.0.writes.events.with_label_values(&[type_]).inc();
    }

    /// The configuration of a Gateway was published this long `after` the start of the pass.
    pub(crate) fn published(&self, gateway: &ObjectKey, after: Duration) {
        let counter = self
            .0
            .config
            .publish_seconds
            .with_label_values(&[&gateway.to_string()]);
        counter.inc_by(after.as_secs_f64());
    }

    pub(crate) fn config(&self, gateway: &ObjectKey, size: ConfigSize, lag: Duration) {
        let gateway = gateway.to_string();
        let revision = i64::try_from(size.revision).unwrap_or(i64::MAX);
        self.0
            .config
            .revision
            .with_label_values(&[&gateway])
            .set(revision);
        set(&self.0.config.bytes, &gateway, size.bytes);
        set(&self.0.config.parts, &gateway, size.parts);
        let gauge = self.0.config.apply_lag.with_label_values(&[&gateway]);
        gauge.set(lag.as_secs_f64());
    }

    /// How many acknowledgements of a Gateway do not count.
    pub(crate) fn ignored(&self, gateway: &ObjectKey, count: usize) {
        set(&self.0.config.ignored_acks, &gateway.to_string(), count);
    }

    /// Removes the series of a Gateway that is gone.
    pub(crate) fn forget(&self, gateway: &ObjectKey) {
        self.0.config.forget(gateway);
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

/// Buckets of the duration of a pass, in seconds: from nothing to do to 50,000 objects on a busy machine.
const PASS_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Makes metrics and registers them.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
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

    /// A gauge with the name that every Prometheus client uses.
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
