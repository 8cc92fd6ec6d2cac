//! Active health checks: one task for each backend that is to be checked, brought in line with
//! every snapshot. What a check finds is noted at the pool's member, which outlives the task.

mod check;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_config::{ActiveHealthCheck, ObjectKey};
use tokio::task::JoinHandle;

use crate::dial::{BackendUrl, Patient, Resolver};
use crate::drain::Drain;
use crate::hop::Hop;
use crate::metrics::Metrics;
use crate::outage::Outage;
use crate::policy::Services;
use crate::snapshot::{Api, Snapshot};
use check::check;

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

#[derive(Debug)]
struct Running {
    api: Arc<Api>,
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
    api: Arc<Api>,
    url: BackendUrl,
    rule: ActiveHealthCheck,
    patient: Patient,
    resolver: Arc<Resolver>,
    metrics: Arc<Metrics>,
    /// A check that leads back to the Gateway must not pass for a client.
    hop: Hop,
}

impl HealthChecks {
    /// None yet; they will be tasks of `drain`.
    pub(crate) fn new(drain: Drain, metrics: Arc<Metrics>, services: &Services) -> Self {
        let admin_ports = services.guard.admin_ports();
        Self {
            ailments: Arc::clone(&services.ailments),
            drain,
            metrics,
            resolver: Arc::new(Resolver::away_from(admin_ports)),
            running: HashMap::new(),
        }
    }

    /// Starts, replaces and ends checks as the snapshot says.
    pub(crate) fn reconcile(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.running);
        for api in snapshot.apis() {
            let rule = api.config.health_check.as_ref();
            let Some(rule) = rule.and_then(|check| check.active.as_ref()) else {
                continue;
            };
            for (url, patient) in api.pool.patients() {
                let place = (api.config.key.clone(), url.host.clone(), url.port);
                let running = match before.remove(&place) {
                    Some(running) if Arc::ptr_eq(&running.api, api) => running,
                    replaced => {
                        if let Some(running) = replaced {
                            running.task.abort();
                        }
                        self.start(api, (url, rule), patient, &snapshot.hop)
                    }
                };
                self.running.insert(place, running);
            }
        }
        for ended in before.into_values() {
            ended.task.abort();
            ended.patient.forget();
            let api = &ended.api.config.key;
            self.ailments.recovered(api, ended.authority);
        }
    }

    fn start(
        &self,
        api: &Arc<Api>,
        (url, rule): (&BackendUrl, &ActiveHealthCheck),
        patient: Patient,
        hop: &Hop,
    ) -> Running {
        let round = Round {
            ailments: Arc::clone(&self.ailments),
            api: Arc::clone(api),
            url: url.clone(),
            rule: rule.clone(),
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
            api: Arc::clone(api),
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
                .set_due(Instant::now() + self.rule.interval.get());
            let checking = check(
                &self.api,
                (&self.url, &self.rule),
                &self.resolver,
                &self.hop,
            );
            let checked = tokio::time::timeout(self.rule.timeout.get(), checking).await;
            let result = checked.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
            self.note(result);
        }
    }

    fn note(&self, result: Result<(), String>) {
        let key = &self.api.config.key;
        let well = result.is_ok();
        self.metrics.health_check(key, well);
        if !self.patient.found(well, &self.rule) {
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
