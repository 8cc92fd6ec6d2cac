//! Policies: the steps that decide about a handshake and shape it.
//!
//! The scopes are compiled apart and merged to one flat list per section: inbound runs from wide
//! to narrow (Gateway, Product, WebSocketApi), outbound and onError from narrow to wide, unless a
//! `base` step says where the wider scope stands.
//!
//! One file per policy, named as its field in a step: `setHeader` is in `set_header.rs`. It has a `compile`,
//! which fails with [`InvalidPolicy`] and the field that is wrong, and a `run`, which fails with the
//! [`Refusal`](crate::refusal::Refusal) of the handshake.

mod action;
mod cache;
mod call;
mod compile;
mod counting;
mod dry_run;
mod expression;
mod host_header;
mod increment;
mod per_namespace;
mod pipeline;
mod scope;
mod size;
mod subject;
mod url_text;

// `mod set_header;` and so on: one for each policy that config lists.
tidegate_config::policy_modules!();

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tidegate_config::{
    Dependency, GatewaySettings, ObjectKey, ResolvedValue, SecretData, SecretDataId, Unreachable,
};
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

use crate::backend::health::UnhealthyBackends;
use crate::counters::counter::Counters;
use crate::counters::quota::{ByteAccounting, Quotas};
use crate::counters::shared_counters::{self, Health, SharedCounters};
use crate::credentials::jwks::KeySets;
use crate::credentials::password::Passwords;
use crate::http_client::Guard;
use crate::http_client::admin_ports::AdminPorts;
use crate::outage::Outage;
use crate::telemetry::custom_metrics::CustomMetrics;
use crate::telemetry::metrics::ServiceCounts;
use crate::telemetry::span::Exports;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Sessions;

pub(crate) use call::Calls;
#[cfg(test)]
pub(crate) use call::testing;
pub(crate) use compile::InvalidPolicy;
pub(crate) use host_header::{HostHeader, InvalidHostHeader};
pub(crate) use increment::count_unanswered;
pub(crate) use notify::Notices;
use per_namespace::PerNamespace;
pub(crate) use pipeline::{Pipeline, give_back};
pub(crate) use scope::{Scope, ScopePolicies};

/// How often to look for old keys and idle counters; both may be late by this time.
const MAINTENANCE: Duration = Duration::from_secs(10);

/// How often relayed bytes are added to quotas: a tunnel can exceed its quota for this time.
const BOOKING: Duration = Duration::from_secs(1);

/// What outlives snapshots: keys fetched from elsewhere, counters and live tunnels.
#[derive(Debug)]
pub(crate) struct Services {
    this: Weak<Self>,
    pub(crate) keys: KeySets,
    pub(crate) calls: Calls,
    pub(crate) notices: Notices,
    /// What cacheStore keeps.
    pub(crate) values: PerNamespace<cache::Values>,
    /// Clients and answers for requests of policies.
    pub(crate) guard: Guard,
    pub(crate) counters: Counters,
    pub(crate) quotas: Arc<Quotas>,
    /// Bytes of live tunnels, for quotas.
    pub(crate) byte_accounting: Arc<ByteAccounting>,
    pub(crate) sessions: Arc<Sessions>,
    /// Backends that active health checks found unhealthy.
    pub(crate) unhealthy: Arc<UnhealthyBackends>,
    /// Set while the Gateway's pods count together.
    shared: ArcSwapOption<SharedCounters>,
    health: Arc<Health>,
    drain: Drain,
    runtime: Handle,
    pub(crate) passwords: Passwords,
    pub(crate) spans: Exports,
    pub(crate) custom_metrics: CustomMetrics,
}

impl Services {
    /// Nothing fetched and nothing counted yet. Fetches are tasks of `drain`, requests of notify
    /// are tasks of `connections`, which a shutdown waits for; both run on `runtime`.
    pub(crate) fn new(
        drains: (Drain, Drain),
        runtime: Handle,
        sessions: Arc<Sessions>,
    ) -> Arc<Self> {
        Self::away_from(&AdminPorts::default(), drains, runtime, sessions)
    }

    /// The same for a process with admin servers.
    pub(crate) fn away_from(
        admin_ports: &AdminPorts,
        (drain, connections): (Drain, Drain),
        runtime: Handle,
        sessions: Arc<Sessions>,
    ) -> Arc<Self> {
        let guard = Guard::new(admin_ports.clone());
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            passwords: Passwords::new(runtime.clone()),
            spans: Exports::new(drain.clone(), runtime.clone(), admin_ports.clone()),
            unhealthy: Arc::default(),
            shared: ArcSwapOption::empty(),
            health: Arc::default(),
            drain: drain.clone(),
            runtime: runtime.clone(),
            custom_metrics: CustomMetrics::default(),
            keys: KeySets::new(drain.clone(), runtime.clone(), guard.clone()),
            calls: Calls::new(drain, runtime.clone(), guard.clone()),
            notices: Notices::new(connections, runtime),
            values: cache::values(),
            guard,
            counters: Counters::new(),
            quotas: Arc::default(),
            byte_accounting: Arc::default(),
            sessions,
        })
    }

    /// Refreshes keys and drops idle counters, for ever. Spawn it once, through the drain; without it, keys are
    /// fetched when a handshake needs them and never refreshed.
    pub(crate) async fn maintain(self: Arc<Self>) {
        let mut ticks = interval(MAINTENANCE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    self.counters.forget_idle();
                    self.quotas.forget_ended();
                }
                () = self.keys.added() => {}
            }
            self.keys.refresh();
        }
    }
}

impl Services {
    /// Adds relayed bytes to quotas, for ever. Spawn it once, through the drain.
    pub(crate) async fn account_forever(self: Arc<Self>) {
        let mut ticks = interval(BOOKING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.account_bytes().await;
        }
    }
}

/// All of them in PEM form; `None`: the system's.
fn authorities(ids: &[SecretDataId], secret_data: &SecretData) -> Option<Vec<u8>> {
    let bytes = ids.iter().filter_map(|id| secret_data.get(id));
    (!ids.is_empty()).then(|| bytes.collect::<Vec<_>>().join(&b'\n'))
}

impl Services {
    /// Uses shared or local counters, as this configuration says.
    pub(crate) fn share(&self, settings: &GatewaySettings, secret_data: &SecretData) {
        let wanted = settings.counters.as_ref().map(|counters| {
            let url = match &counters.url {
                ResolvedValue::Plain(url) => url.clone(),
                ResolvedValue::Secret(id) => {
                    let bytes = secret_data.get(id).unwrap_or_default();
                    String::from_utf8_lossy(bytes).into_owned()
                }
            };
            shared_counters::Settings {
                gateway: settings.key.clone(),
                url,
                authorities: authorities(&counters.authorities, secret_data),
                on_failure: counters.on_failure,
            }
        });
        let current = self.shared();
        if current.as_ref().map(|shared| &shared.settings) == wanted.as_ref() {
            return;
        }
        let start =
            |wanted| SharedCounters::start(wanted, &self.health, &self.drain, &self.runtime);
        self.shared.store(wanted.map(start));
    }

    /// The counters of all pods, if they count together.
    pub(crate) fn shared(&self) -> Option<Arc<SharedCounters>> {
        self.shared.load_full()
    }
}

impl Services {
    /// Dependencies of policies that are unreachable at the moment.
    pub(crate) fn unreachable(&self) -> Vec<Unreachable> {
        let tell = |dependency, place: String, outage: Outage| Unreachable {
            dependency,
            place,
            message: outage.message,
            since: outage.since.to_string(),
            api: None,
        };
        let key_sets = self.keys.outages().into_iter();
        let mut found: Vec<_> = key_sets
            .map(|(place, outage)| tell(Dependency::KeySet, place, outage))
            .collect();
        let counters = self.shared().zip(self.health.outage());
        found.extend(
            counters.map(|(shared, outage)| {
                tell(Dependency::Counters, shared.settings.place(), outage)
            }),
        );
        let unhealthy = self.unhealthy.all().into_iter();
        found.extend(unhealthy.map(|((api, backend), outage)| Unreachable {
            api: Some(api),
            ..tell(Dependency::Backend, backend, outage)
        }));
        found
    }
}

impl ServiceCounts for Services {
    fn shared_health(&self) -> (bool, (u64, u64)) {
        let up = self.shared().is_some() && self.health.is_up();
        (up, self.health.requests())
    }

    fn fetch_counts(&self) -> (u64, u64) {
        let counts = self.keys.counts();
        (counts.succeeded(), counts.failed())
    }

    fn span_counts(&self) -> (u64, u64, u64) {
        let counts = &self.spans.counts;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (
            load(&counts.exported),
            load(&counts.failed),
            load(&counts.dropped),
        )
    }

    fn notice_counts(&self) -> [u64; 3] {
        self.notices.counts()
    }

    fn call_counts(&self) -> (u64, u64) {
        self.calls.counts()
    }

    fn failing_key_sets(&self) -> usize {
        self.keys.failing()
    }

    fn limit_keys(&self) -> usize {
        self.counters.keys()
    }

    fn quota_keys(&self) -> usize {
        self.quotas.keys()
    }

    fn quota_keys_evicted(&self) -> u64 {
        self.quotas.evicted()
    }

    fn limit_keys_evicted(&self) -> u64 {
        self.counters.evicted()
    }

    fn custom_metrics(&self) -> &CustomMetrics {
        &self.custom_metrics
    }
}

/// What policies are compiled with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Namespace of the object, which its references are relative to.
    pub(crate) namespace: &'a str,
    /// The object itself.
    pub(crate) object: &'a ObjectKey,
    pub(crate) secret_data: &'a SecretData,
    pub(crate) services: &'a Services,
}

#[cfg(test)]
mod tests;
