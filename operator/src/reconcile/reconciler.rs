//! One pass over everything: snapshot (pure) → plan (pure) → publish (client) → statuses (pure). The statuses
//! are written by the work queue.
//!
//! A pass depends on the cache, on what was published, and on the time; never on the event that woke the loop.
//! A second pass without a change does nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use tidegate_config::ObjectKey;
use tidegate_plan::{GatewayPlan, Planner, Previous, World};
use tokio::time::Instant;

use super::tasks::tasks;
use crate::manifests::Target;
use crate::metrics::{ConfigSize, Metrics};
use crate::publish::{Publication, PublishError, Published, live_revision, read_published};
use crate::snapshot::{IgnoredReason, Snapshot};
use crate::status::{Outages, Progress, StatusInputs, status_updates};
use crate::watch::{ReadError, ReferencedObjects, SharedCache};
use crate::work_queue::WorkQueue;
use crate::write::Writer;

/// Gateways that are published at the same time.
const CONCURRENCY: usize = 4;

/// Plans of one pass at most. Only custom resources name Secrets and ConfigMaps, so two are enough; more are
/// needed only while everything changes.
const MAX_PLANS: usize = 5;

/// Why a pass could not decide anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error("failed to read what is published for Gateway {gateway}")]
    ReadPublished {
        gateway: ObjectKey,
        #[source]
        source: kube::Error,
    },
    #[error("failed to read the Secrets and ConfigMaps that objects name")]
    ReadReferenced(#[from] ReadError),
}

/// The outcome of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// When time alone will change the outcome.
    pub(crate) next_change: Option<Instant>,
    /// A Gateway could not be published, and has to be tried again.
    pub(crate) incomplete: bool,
}

/// How this operator is installed.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// Image of the gateway pods.
    pub(crate) image: String,
    /// Namespaces that are watched; empty for all.
    pub(crate) namespaces: Vec<String>,
    /// The Lease of the leader election, which no gateway may write.
    pub(crate) election: ObjectKey,
}

/// What a pass reads from, and where it counts.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) cache: SharedCache,
    pub(crate) metrics: Metrics,
    pub(crate) installation: Installation,
}

/// Makes passes; keeps what one pass leaves to the next.
pub(crate) struct Reconciler {
    context: Context,
    writer: Writer,
    queue: WorkQueue,
    planner: Planner,
    referenced: ReferencedObjects,
    /// What is published of each Gateway; `None`: nothing is.
    published: BTreeMap<ObjectKey, Option<Published>>,
    /// Why the last attempt to publish a Gateway failed.
    failures: BTreeMap<ObjectKey, String>,
    /// Leases that do not count, and why. Each is logged once.
    ignored: BTreeSet<(ObjectKey, IgnoredReason)>,
}

impl Reconciler {
    pub(crate) fn new(context: Context, writer: Writer, queue: WorkQueue) -> Self {
        Self {
            context,
            writer,
            queue,
            planner: Planner::default(),
            referenced: ReferencedObjects::default(),
            published: BTreeMap::new(),
            failures: BTreeMap::new(),
            ignored: BTreeSet::new(),
        }
    }

    /// Forgets what is published: another replica may have written since.
    pub(crate) fn reset(&mut self) {
        self.published.clear();
        self.failures.clear();
        self.queue.clear();
    }

    /// Makes one pass.
    ///
    /// # Errors
    ///
    /// When something could not be read without which nothing may be decided. A Gateway that could not be
    /// published is no error: the outcome says so.
    pub(crate) async fn reconcile(&mut self) -> Result<Outcome, ReconcileError> {
        let started = Instant::now();
        let mut snapshot = self.snapshot(started);
        snapshot.measure(&self.context.metrics);
        self.forget_deleted(&snapshot);
        self.read_new(&snapshot).await?;
        snapshot.ignore_unpublished(|gateway| self.highest_revision(gateway));
        self.log_ignored(&snapshot);
        self.plan(&snapshot).await?;
        let plan = self.planner.last();
        let outages = Outages::of(&snapshot, plan);
        let gateways = plan.gateways.clone();
        let next_change = plan.next_change;
        self.publish(&snapshot, gateways, started).await;
        self.enqueue(&snapshot, outages);
        self.measure(&snapshot);
        Ok(Outcome {
            next_change: next_change.map(|at| started + snapshot.until(at)),
            incomplete: !self.failures.is_empty(),
        })
    }

    fn snapshot(&self, now: Instant) -> Snapshot {
        let namespaces = &self.context.installation.namespaces;
        Snapshot::of(&self.context.cache.lock(), now, namespaces)
    }

    fn forget_deleted(&mut self, snapshot: &Snapshot) {
        let metrics = &self.context.metrics;
        self.published.retain(|key, _| {
            let exists = snapshot.gateways.contains_key(key);
            if !exists {
                metrics.forget(key);
            }
            exists
        });
        self.failures
            .retain(|key, _| snapshot.gateways.contains_key(key));
    }

    /// Reads what an earlier leader published, for Gateways that this replica has not read yet.
    async fn read_new(&mut self, snapshot: &Snapshot) -> Result<(), ReconcileError> {
        for key in snapshot.gateways.keys() {
            if self.published.contains_key(key) {
                continue;
            }
            let found = read_published(&self.context.client, key).await;
            let found = found.map_err(|source| ReconcileError::ReadPublished {
                gateway: key.clone(),
                source,
            })?;
            self.published.insert(key.clone(), found);
        }
        Ok(())
    }

    /// The highest revision that pods of a Gateway can have; 0 when nothing is published.
    fn highest_revision(&self, gateway: &ObjectKey) -> u64 {
        let published = self.published.get(gateway).and_then(Option::as_ref);
        let known = published.map_or(0, |published| published.index.revision);
        // A write may have succeeded without an answer.
        known.max(live_revision(&self.context.cache, gateway))
    }

    /// Logs acknowledgements that do not count, each once.
    fn log_ignored(&mut self, snapshot: &Snapshot) {
        let mut ignored = BTreeSet::new();
        for (lease, gateway, reason) in snapshot.ignored() {
            if !self.ignored.contains(&(lease.clone(), *reason)) {
                let reason = reason.as_str();
                tracing::warn!(%lease, %gateway, reason, "ignored an acknowledgement");
            }
            ignored.insert((lease.clone(), *reason));
        }
        self.ignored = ignored;
    }

    /// Plans; reads what the plan names, and plans again until nothing is missing.
    async fn plan(&mut self, snapshot: &Snapshot) -> Result<(), ReconcileError> {
        for planned in 0..MAX_PLANS {
            let outdated = {
                let wanted = self.planner.last();
                let cache = self.context.cache.lock();
                self.referenced
                    .outdated(&wanted.wanted_secrets, &wanted.wanted_config_maps, &cache)
            };
            if outdated.is_empty() && planned > 0 {
                return Ok(());
            }
            self.referenced.read(&self.context.client, outdated).await?;
            let world = self.world(snapshot);
            tokio::task::block_in_place(|| {
                self.planner.plan(&world);
            });
        }
        // What changed while it was read wakes the next pass.
        Ok(())
    }

    fn world(&self, snapshot: &Snapshot) -> World {
        let mut world = snapshot.world(&self.referenced);
        for (key, published) in &self.published {
            if let Some(published) = published {
                let previous = Previous::of(&published.config, published.secret_data.clone());
                world.previous.insert(key.clone(), Arc::new(previous));
            }
        }
        world
    }

    /// Publishes every Gateway. One that fails does not delay the others.
    async fn publish(
        &mut self,
        snapshot: &Snapshot,
        plans: BTreeMap<ObjectKey, GatewayPlan>,
        started: Instant,
    ) {
        let published = &mut self.published;
        let gateways: Vec<_> = plans
            .into_iter()
            .filter_map(|(key, plan)| {
                let before = published.get_mut(&key)?.take();
                Some((key, plan, before))
            })
            .collect();
        let (context, writer) = (&self.context, &self.writer);
        let attempts: Vec<_> = gateways
            .into_iter()
            .map(|gateway| publish_gateway(context, writer, snapshot, gateway))
            .collect();
        let outcomes = futures::stream::iter(attempts)
            .buffer_unordered(CONCURRENCY)
            .collect::<Vec<_>>()
            .await;
        for (key, published, outcome) in outcomes {
            let revision = published.as_ref().map(|published| published.index.revision);
            self.published.insert(key.clone(), published);
            self.record_outcome(key, revision, outcome, started);
        }
    }

    fn record_outcome(
        &mut self,
        key: ObjectKey,
        revision: Option<u64>,
        outcome: Result<bool, PublishError>,
        started: Instant,
    ) {
        match outcome {
            Ok(changed) => {
                self.failures.remove(&key);
                if changed {
                    let took = started.elapsed();
                    self.context.metrics.published(&key, took);
                    tracing::info!(gateway = %key, revision, ?took, "published");
                }
            }
            Err(error) if error.is_terminating() => {
                self.failures.remove(&key);
            }
            Err(error) => {
                let summary = error.summary();
                if self.failures.get(&key) != Some(&summary) {
                    let error = crate::error_chain(&error);
                    tracing::warn!(gateway = %key, error, "failed to publish");
                }
                self.failures.insert(key, summary);
            }
        }
    }

    /// Puts everything into the work queue that has to be written besides the configurations.
    fn enqueue(&self, snapshot: &Snapshot, outages: Outages) {
        let plan = self.planner.last();
        let mut progress = Progress::new(outages);
        for key in snapshot.gateways.keys() {
            let published = self.published.get(key).and_then(Option::as_ref);
            let failure = self.failures.get(key).map(String::as_str);
            progress.add(key, published, snapshot.pods(key), failure);
        }
        let updates = status_updates(&StatusInputs {
            snapshot,
            plan,
            progress: &progress,
            cache: &self.context.cache,
            published: &self.published,
        });
        let election = &self.context.installation.election;
        self.queue.replace(tasks(snapshot, plan, updates, election));
    }

    /// Sets the gauges that change without a pass too.
    pub(crate) fn measure_now(&self) {
        let mut snapshot = self.snapshot(Instant::now());
        snapshot.ignore_unpublished(|gateway| self.highest_revision(gateway));
        self.measure(&snapshot);
    }

    fn measure(&self, snapshot: &Snapshot) {
        for (key, published) in &self.published {
            let Some(published) = published else {
                continue;
            };
            let size = ConfigSize {
                revision: published.index.revision,
                bytes: published.bytes,
                parts: published.index.shards.len() + published.index.secrets.len(),
            };
            let lag = published
                .history
                .longest_lag(snapshot.pods(key), snapshot.now);
            let ignored = snapshot.ignored().iter();
            let ignored = ignored.filter(|(_, gateway, _)| gateway == key);
            let metrics = &self.context.metrics;
            metrics.config(key, size, lag);
            metrics.ignored(key, ignored.count());
        }
    }
}

/// Publishes one Gateway. Returns what is published then, and whether the revision changed.
async fn publish_gateway(
    context: &Context,
    writer: &Writer,
    snapshot: &Snapshot,
    (key, plan, mut published): (ObjectKey, GatewayPlan, Option<Published>),
) -> (ObjectKey, Option<Published>, Result<bool, PublishError>) {
    let Some(gateway) = snapshot.gateways.get(&key).map(Arc::clone) else {
        return (key, published, Ok(false));
    };
    let pods = snapshot.pods(&key);
    // The changes that every live pod has need not be kept any more.
    if let (Some(published), Some(revision)) = (&mut published, pods.lowest_revision()) {
        published.history.acknowledged(revision);
    }
    let revision = |published: &Option<Published>| published.as_ref().map(|p| p.index.revision);
    let before = revision(&published);
    let mut leases = snapshot.lease_names(&key, &gateway);
    let installation = &context.installation;
    let election = &installation.election;
    leases.retain(|name| key.namespace != election.namespace || *name != election.name);
    let publication = Publication {
        writer,
        cache: &context.cache,
        target: Target::new(&gateway, &key, &installation.image),
        pods,
        leases,
        acknowledged: snapshot.acknowledged(&key),
        now: snapshot.now,
    };
    let outcome = publication.publish(plan, &mut published).await;
    let changed = revision(&published) != before;
    (key, published, outcome.map(|()| changed))
}

/// How long to wait before the next attempt, after `failures` in a row.
pub(crate) fn retry_after(failures: u32) -> Duration {
    const FIRST_BACKOFF: Duration = Duration::from_secs(1);
    const MAX_BACKOFF: Duration = Duration::from_secs(30);
    FIRST_BACKOFF
        .saturating_mul(1 << failures.min(10))
        .min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests;
