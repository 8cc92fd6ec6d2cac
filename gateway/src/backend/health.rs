//! Active health checks: one task for each backend that is to be checked, brought in line with
//! every snapshot. What a check finds is noted at the pool's member, which outlives the task.

mod check;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_config::{ActiveHealthCheck, ApiConfig, ObjectKey};
use tokio::task::JoinHandle;

use crate::backend::{Patient, Pool, Resolver, Way};
use crate::exchange::BackendUrl;
use crate::exchange::hop::Hop;
use crate::http_client::admin_ports::AdminPorts;
use crate::outage::Outage;
use crate::telemetry::metrics::Metrics;
use check::check;
use tidegate_tunnel::drain::Drain;

/// The first checks of all backends of a gateway are spread over this time.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// API, host and port.
type Place = (ObjectKey, String, u16);

/// The checks that run.
#[derive(Debug)]
pub(crate) struct HealthChecks {
    drain: Drain,
    metrics: Arc<Metrics>,
    resolver: Arc<Resolver>,
    ailments: Arc<Ailments>,
    running: HashMap<Place, Running>,
}

/// One API whose backends are checked.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) api: Arc<ApiConfig>,
    pub(crate) rule: ActiveHealthCheck,
    pub(crate) pool: Arc<Pool>,
    pub(crate) way: Way,
    /// The Host header that the checks send; none: the backend's own name.
    pub(crate) host: Option<String>,
}

#[derive(Debug)]
struct Running {
    target: Arc<Target>,
    /// Host and port of the backend.
    authority: String,
    patient: Patient,
    task: JoinHandle<()>,
}

/// The backends that checks find ill, and why: by API and authority.
#[derive(Debug, Default)]
pub(crate) struct Ailments(Mutex<BTreeMap<(ObjectKey, String), Outage>>);

impl Ailments {
    /// All of them at the moment.
    pub(crate) fn all(&self) -> BTreeMap<(ObjectKey, String), Outage> {
        self.held().clone()
    }

    fn fell_ill(&self, api: &ObjectKey, backend: String, why: &str) {
        let of = (api.clone(), backend);
        self.held().insert(of, Outage::begins(why));
    }

    fn recovered(&self, api: &ObjectKey, backend: String) {
        self.held().remove(&(api.clone(), backend));
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(ObjectKey, String), Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One backend and how it is checked.
struct Round {
    ailments: Arc<Ailments>,
    target: Arc<Target>,
    url: BackendUrl,
    patient: Patient,
    resolver: Arc<Resolver>,
    metrics: Arc<Metrics>,
    /// A check that leads back to the Gateway must not pass for a client.
    hop: Hop,
}

impl HealthChecks {
    /// None yet; they will be tasks of `drain`.
    pub(crate) fn new(
        drain: Drain,
        metrics: Arc<Metrics>,
        ailments: Arc<Ailments>,
        admin_ports: &AdminPorts,
    ) -> Self {
        Self {
            ailments,
            drain,
            metrics,
            resolver: Arc::new(Resolver::away_from(admin_ports)),
            running: HashMap::new(),
        }
    }

    /// Starts, replaces and ends checks, so that these are checked and no others.
    pub(crate) fn reconcile(&mut self, targets: impl IntoIterator<Item = Target>, hop: &Hop) {
        let mut before = std::mem::take(&mut self.running);
        for target in targets {
            let target = Arc::new(target);
            for (url, patient) in target.pool.patients() {
                let place = (target.api.key.clone(), url.host.clone(), url.port);
                let running = match before.remove(&place) {
                    // The same configuration object: nothing has changed.
                    Some(running) if Arc::ptr_eq(&running.target.api, &target.api) => running,
                    replaced => {
                        if let Some(running) = replaced {
                            running.task.abort();
                        }
                        self.start(&target, url, patient, hop)
                    }
                };
                self.running.insert(place, running);
            }
        }
        for ended in before.into_values() {
            ended.task.abort();
            ended.patient.forget();
            let api = &ended.target.api.key;
            self.ailments.recovered(api, ended.authority);
        }
    }

    fn start(
        &self,
        target: &Arc<Target>,
        url: &BackendUrl,
        patient: Patient,
        hop: &Hop,
    ) -> Running {
        let round = Round {
            ailments: Arc::clone(&self.ailments),
            target: Arc::clone(target),
            url: url.clone(),
            patient: patient.clone(),
            resolver: Arc::clone(&self.resolver),
            metrics: Arc::clone(&self.metrics),
            hop: hop.clone(),
        };
        let until = self.drain.clone();
        let task = self.drain.spawn(async move {
            tokio::select! {
                () = until.insisted() => {}
                () = round.run() => {}
            }
        });
        Running {
            authority: url.authority(),
            target: Arc::clone(target),
            patient,
            task,
        }
    }
}

impl Round {
    /// For ever.
    async fn run(self) {
        loop {
            let due = self.patient.due().unwrap_or_else(|| {
                let first = Instant::now() + FIRST_ROUND.mul_f32(rand::random());
                self.patient.set_due(first);
                first
            });
            tokio::time::sleep_until(due.into()).await;
            self.patient
                .set_due(Instant::now() + self.target.rule.interval.get());
            let checking = check(&self.target, &self.url, &self.resolver, &self.hop);
            let checked = tokio::time::timeout(self.target.rule.timeout.get(), checking).await;
            let result = checked.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
            self.note(result);
        }
    }

    fn note(&self, result: Result<(), String>) {
        let key = &self.target.api.key;
        let well = result.is_ok();
        self.metrics.health_check(key, well);
        if !self.patient.found(well, &self.target.rule) {
            return;
        }
        let backend = self.url.authority();
        match result {
            Ok(()) => {
                tracing::info!(api = %key, backend, "a backend is well again");
                self.ailments.recovered(key, backend);
            }
            Err(why) => {
                tracing::warn!(api = %key, backend, why, "a backend is not well");
                self.ailments.fell_ill(key, backend, &why);
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
