//! Active health checks: one task per checked backend, updated with every snapshot. Results are stored in the
//! member of the pool, which outlives the task.

mod check;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tidegate_config::{ActiveHealthCheck, ApiConfig, ObjectKey};
use tokio::task::JoinHandle;

use crate::backend::{ConnectOptions, HealthHandle, Pool, Resolver};
use crate::exchange::BackendUrl;
use crate::exchange::hop::Hop;
use crate::http_client::admin_ports::AdminPorts;
use crate::outage::Outage;
use crate::telemetry::metrics::Metrics;
use check::check;
use tidegate_tunnel::drain::Drain;

/// The first checks of a gateway are spread over this time.
const FIRST_CHECK_SPREAD: Duration = Duration::from_secs(1);

/// API, host and port.
type MemberKey = (ObjectKey, String, u16);

/// The checks that run.
#[derive(Debug)]
pub(crate) struct HealthChecks {
    drain: Drain,
    metrics: Arc<Metrics>,
    resolver: Arc<Resolver>,
    unhealthy: Arc<UnhealthyBackends>,
    running: HashMap<MemberKey, Running>,
}

/// An API whose backends are checked.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) api: Arc<ApiConfig>,
    pub(crate) rule: ActiveHealthCheck,
    pub(crate) pool: Arc<Pool>,
    pub(crate) connect_options: ConnectOptions,
    /// Host header of the checks; `None`: the backend's authority.
    pub(crate) host: Option<String>,
}

#[derive(Debug)]
struct Running {
    target: Arc<Target>,
    /// Host and port of the backend.
    authority: String,
    health: HealthHandle,
    task: JoinHandle<()>,
}

/// The unhealthy backends and why, by API and authority.
#[derive(Debug, Default)]
pub(crate) struct UnhealthyBackends(Mutex<BTreeMap<(ObjectKey, String), Outage>>);

impl UnhealthyBackends {
    /// All unhealthy backends.
    pub(crate) fn all(&self) -> BTreeMap<(ObjectKey, String), Outage> {
        self.held().clone()
    }

    fn mark_unhealthy(&self, api: &ObjectKey, backend: String, why: &str) {
        let of = (api.clone(), backend);
        self.held().insert(of, Outage::begins(why));
    }

    fn mark_healthy(&self, api: &ObjectKey, backend: String) {
        self.held().remove(&(api.clone(), backend));
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(ObjectKey, String), Outage>> {
        self.0.lock()
    }
}

/// One backend and how it is checked.
struct Checker {
    unhealthy: Arc<UnhealthyBackends>,
    target: Arc<Target>,
    url: BackendUrl,
    health: HealthHandle,
    resolver: Arc<Resolver>,
    metrics: Arc<Metrics>,
    /// Marks the check, so that one which leads back to the Gateway is recognized.
    hop: Hop,
}

impl HealthChecks {
    /// No checks yet; their tasks will be spawned on `drain`.
    pub(crate) fn new(
        drain: Drain,
        metrics: Arc<Metrics>,
        unhealthy: Arc<UnhealthyBackends>,
        admin_ports: &AdminPorts,
    ) -> Self {
        Self {
            unhealthy,
            drain,
            metrics,
            resolver: Arc::new(Resolver::away_from(admin_ports)),
            running: HashMap::new(),
        }
    }

    /// Starts, replaces and ends checks, so that exactly these targets are checked.
    pub(crate) fn reconcile(&mut self, targets: impl IntoIterator<Item = Target>, hop: &Hop) {
        let mut before = std::mem::take(&mut self.running);
        for target in targets {
            let target = Arc::new(target);
            for (url, health) in target.pool.health_handles() {
                let member_key = (target.api.key.clone(), url.host.clone(), url.port);
                let running = match before.remove(&member_key) {
                    // The same configuration object: nothing has changed.
                    Some(running) if Arc::ptr_eq(&running.target.api, &target.api) => running,
                    replaced => {
                        if let Some(running) = replaced {
                            running.task.abort();
                        }
                        self.start(&target, url, health, hop)
                    }
                };
                self.running.insert(member_key, running);
            }
        }
        for ended in before.into_values() {
            ended.task.abort();
            ended.health.forget();
            let api = &ended.target.api.key;
            self.unhealthy.mark_healthy(api, ended.authority);
        }
    }

    fn start(
        &self,
        target: &Arc<Target>,
        url: &BackendUrl,
        health: HealthHandle,
        hop: &Hop,
    ) -> Running {
        let checker = Checker {
            unhealthy: Arc::clone(&self.unhealthy),
            target: Arc::clone(target),
            url: url.clone(),
            health: health.clone(),
            resolver: Arc::clone(&self.resolver),
            metrics: Arc::clone(&self.metrics),
            hop: hop.clone(),
        };
        let until = self.drain.clone();
        let task = self.drain.spawn(async move {
            tokio::select! {
                () = until.insisted() => {}
                () = checker.run() => {}
            }
        });
        Running {
            authority: url.authority(),
            target: Arc::clone(target),
            health,
            task,
        }
    }
}

impl Checker {
    /// Runs for ever.
    async fn run(self) {
        loop {
            let due = self.health.due().unwrap_or_else(|| {
                let first = Instant::now() + FIRST_CHECK_SPREAD.mul_f32(rand::random());
                self.health.set_due(first);
                first
            });
            tokio::time::sleep_until(due.into()).await;
            self.health
                .set_due(Instant::now() + self.target.rule.interval.get());
            let checking = check(&self.target, &self.url, &self.resolver, &self.hop);
            let checked = tokio::time::timeout(self.target.rule.timeout.get(), checking).await;
            let result = checked.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
            self.note(result);
        }
    }

    fn note(&self, result: Result<(), String>) {
        let key = &self.target.api.key;
        let healthy = result.is_ok();
        self.metrics.health_check(key, healthy);
        if !self.health.found(healthy, &self.target.rule) {
            return;
        }
        let backend = self.url.authority();
        match result {
            Ok(()) => {
                tracing::info!(api = %key, backend, "a backend is healthy again");
                self.unhealthy.mark_healthy(key, backend);
            }
            Err(why) => {
                tracing::warn!(api = %key, backend, why, "a backend is unhealthy");
                self.unhealthy.mark_unhealthy(key, backend, &why);
            }
        }
    }
}

impl Drop for HealthChecks {
    fn drop(&mut self) {
        for running in self.running.values() {
            running.task.abort();
        }
    }
}
