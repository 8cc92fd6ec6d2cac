//! One pass: what changed in the cache → plan (pure) → publish (client) → statuses (pure). The statuses are written by
//! the work queue.
//!
//! What comes out depends on the cache, on what was published, and on the time; never on the event that woke the
//! loop. A pass looks only at what changed since the last one; a second pass without a change does nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use tidegate_config::{ChangedConfig, ObjectKey, Rendered};
use tidegate_plan::{GatewayPlan, Planner, World};
use tokio::time::Instant;

use super::feed::feed;
use super::tasks::{Look, tasks};
use crate::manifests::Target;
use crate::metrics::{ConfigSize, Metrics};
use crate::objects::{CustomKind, ObjectRef};
use crate::publish::{
    Content, Publication, PublishError, Published, live_revision, read_published,
};
use crate::snapshot::{IgnoredReason, PodFacts, Snapshot};
use crate::status::{Outages, Progress, StatusInputs};
use crate::watch::{FoundObjects, ReadError, ReferencedObjects, SharedCache};
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
    /// The plan as parts, by Gateway.
    rendered: BTreeMap<ObjectKey, Rendered>,
    referenced: ReferencedObjects,
    /// What is published of each Gateway; `None`: nothing is.
    published: BTreeMap<ObjectKey, Option<Published>>,
    /// What of the plan is not published yet.
    unpublished: BTreeMap<ObjectKey, ChangedConfig>,
    /// What to look at in the next pass.
    look: Look,
    /// What the statuses of all objects of a Gateway depend on.
    facts: BTreeMap<ObjectKey, Facts>,
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
            rendered: BTreeMap::new(),
            referenced: ReferencedObjects::default(),
            published: BTreeMap::new(),
            unpublished: BTreeMap::new(),
            look: Look::default(),
            facts: BTreeMap::new(),
            failures: BTreeMap::new(),
            ignored: BTreeSet::new(),
        }
    }

    /// Forgets everything: another replica may have written since.
    pub(crate) fn reset(&mut self) {
        self.queue.clear();
        self.context.cache.lock().change_all();
        let (context, writer, queue) = (&self.context, &self.writer, &self.queue);
        *self = Self::new(context.clone(), writer.clone(), queue.clone());
    }

    /// Makes one pass. With `everything`, it looks at all statuses, changed or not.
    ///
    /// # Errors
    ///
    /// When something could not be read without which nothing may be decided. A Gateway that could not be
    /// published is no error: the outcome says so.
    pub(crate) async fn reconcile(&mut self, everything: bool) -> Result<Outcome, ReconcileError> {
        let started = Instant::now();
        let mut snapshot = self.feed(started);
        snapshot.measure(&self.context.metrics);
        self.forget_deleted(&snapshot);
        self.read_new(&snapshot).await?;
        snapshot.ignore_unpublished(|gateway| self.highest_revision(gateway));
        self.log_ignored(&snapshot);
        self.plan().await?;
        let outages = Outages::of(&snapshot, self.planner.last());
        self.look_at_unacknowledged();
        self.publish(&snapshot, started).await;
        self.look_at_unacknowledged();
        self.enqueue(&snapshot, outages, everything);
        self.measure(&snapshot);
        let next_change = self.planner.last().next_change;
        Ok(Outcome {
            next_change: next_change.map(|at| started + snapshot.until(at)),
            incomplete: !self.failures.is_empty(),
        })
    }

    /// Tells the planner what changed in the cache. The snapshot is of the same moment.
    fn feed(&mut self, now: Instant) -> Snapshot {
        let mut cache = self.context.cache.lock();
        let namespaces = &self.context.installation.namespaces;
        let mut fed = feed(&mut cache, &mut self.planner, namespaces);
        self.referenced.check((&fed.secrets, &fed.config_maps));
        // One that could not be read is no change of the plan when it is gone.
        let is_subscription = |object: &ObjectRef| object.kind == CustomKind::Subscription;
        self.look.requests |= !self.planner.last().outdated_requests.is_empty()
            && fed.objects.iter().any(is_subscription);
        self.look.objects.append(&mut fed.objects);
        Snapshot::of(&cache, now)
    }

    /// Objects that some pod does not have yet: their status says which.
    fn look_at_unacknowledged(&mut self) {
        for published in self.published.values().flatten() {
            self.look
                .objects
                .extend(published.history.pending().cloned());
        }
    }

    fn forget_deleted(&mut self, snapshot: &Snapshot) {
        let metrics = &self.context.metrics;
        self.published.retain(|key, _| {
            let exists = snapshot.gateways.contains_key(key);
            if !exists {
                metrics.forget(key);
                self.planner.set_previous(key, None);
            }
            exists
        });
        let exists = |key: &ObjectKey| snapshot.gateways.contains_key(key);
        self.failures.retain(|key, _| exists(key));
        self.rendered.retain(|key, _| exists(key));
        self.unpublished.retain(|key, _| exists(key));
        self.facts.retain(|key, _| exists(key));
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
            let previous = found.as_ref().map(|found| found.previous.clone());
            self.planner.set_previous(key, previous);
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
    async fn plan(&mut self) -> Result<(), ReconcileError> {
        for _ in 0..MAX_PLANS {
            let wanted = self.planner.last();
            let wanted = (&wanted.wanted_secrets, &wanted.wanted_config_maps);
            let (outdated, gone) = self.referenced.look(wanted, &self.context.cache.lock());
            self.tell_found(gone);
            if !outdated.is_empty() {
                let found = self.referenced.read(&self.context.client, outdated).await?;
                self.tell_found(found);
            }
            if self.planner.is_idle() {
                return Ok(());
            }
            self.context.metrics.planned();
            tokio::task::block_in_place(|| self.replan());
            let changed = self.planner.changed();
            self.referenced
                .check((&changed.wanted_secrets, &changed.wanted_config_maps));
        }
        // What changed while it was read wakes the next pass.
        Ok(())
    }

    fn tell_found(&mut self, found: FoundObjects) {
        for (key, secret) in found.secrets {
            self.planner.set_secret(&key, secret);
        }
        for (key, config_map) in found.config_maps {
            self.planner.set_config_map(&key, config_map);
        }
    }

    /// Plans, and renders what changed.
    fn replan(&mut self) {
        self.planner.replan();
        let (plan, changed) = (self.planner.last(), self.planner.changed());
        for (key, changed) in &changed.configs {
            let Some(gateway) = plan.gateways.get(key) else {
                continue;
            };
            let GatewayPlan {
                config,
                secret_data,
            } = gateway;
            match self.rendered.get_mut(key) {
                Some(rendered) => rendered.update(config, secret_data, changed),
                None => {
                    let rendered = Rendered::new(config, secret_data);
                    self.rendered.insert(key.clone(), rendered);
                }
            }
            let unpublished = self.unpublished.entry(key.clone()).or_default();
            unpublished.extend(changed);
        }
        self.look.keys |= changed.key_requests;
        self.look.requests |= changed.requests;
        let verdicts = &changed.verdicts;
        for (kind, keys) in [
            (CustomKind::Gateway, &verdicts.gateways),
            (CustomKind::WebSocketApi, &verdicts.apis),
            (CustomKind::Product, &verdicts.products),
            (CustomKind::PolicyFragment, &verdicts.fragments),
            (CustomKind::Subscription, &verdicts.subscriptions),
            (CustomKind::SubscriptionRequest, &verdicts.requests),
        ] {
            let objects = keys.iter().map(|key| ObjectRef::new(kind, key));
            self.look.objects.extend(objects);
        }
    }

    /// Publishes every Gateway. One that fails does not delay the others.
    async fn publish(&mut self, snapshot: &Snapshot, started: Instant) {
        let none = ChangedConfig::default();
        let plan = self.planner.last();
        let mut attempts = Vec::new();
        for (key, plan) in &plan.gateways {
            let Some(rendered) = self.rendered.get(key) else {
                continue;
            };
            let content = Content {
                plan,
                rendered,
                changed: self.unpublished.get(key).unwrap_or(&none),
            };
            if let Some(published) = self.published.get_mut(key) {
                let (context, writer) = (&self.context, &self.writer);
                let gateway = (key.clone(), content, published.take());
                attempts.push(publish_gateway(context, writer, snapshot, gateway));
            }
        }
        let outcomes = futures::stream::iter(attempts)
            .buffer_unordered(CONCURRENCY)
            .collect::<Vec<_>>()
            .await;
        for (key, published, outcome) in outcomes {
            if outcome.is_ok() {
                self.unpublished.remove(&key);
            }
            if let Some(published) = &published {
                let previous = published.previous.clone();
                self.planner.set_previous(&key, Some(previous));
            }
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
    fn enqueue(&mut self, snapshot: &Snapshot, outages: Outages, everything: bool) {
        let (plan, world) = (self.planner.last(), self.planner.world());
        let mut look = std::mem::take(&mut self.look);
        look.again(self.queue.take_failed(), plan);
        let mut progress = Progress::new(outages);
        let mut concerns_all = everything;
        for key in snapshot.gateways.keys() {
            let published = self.published.get(key).and_then(Option::as_ref);
            let failure = self.failures.get(key).map(String::as_str);
            let pods = snapshot.pods(key);
            progress.add(key, published, pods, failure);
            let facts = Facts {
                is_published: published.is_some(),
                failure: failure.map(str::to_owned),
                pods: pods.facts(),
            };
            concerns_all |= self.facts.get(key) != Some(&facts);
            self.facts.insert(key.clone(), facts);
            look.objects
                .insert(ObjectRef::new(CustomKind::Gateway, key));
        }
        if concerns_all {
            look.keys = true;
            look.requests = true;
            look.objects.extend(all_objects(world));
        }
        let inputs = StatusInputs {
            snapshot,
            world,
            plan,
            progress: &progress,
            cache: &self.context.cache,
            published: &self.published,
            now: Time(k8s_openapi::jiff::Timestamp::now()),
        };
        let installation = &self.context.installation;
        let served = (&installation.election, &*installation.namespaces);
        let tasks = tasks(&look, &inputs, served);
        self.queue.replace(tasks, |key| look.covers(key));
    }

    /// Sets the gauges that change without a pass too.
    pub(crate) fn measure_now(&self) {
        let mut snapshot = Snapshot::of(&self.context.cache.lock(), Instant::now());
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
                bytes: self.rendered.get(key).map_or(0, Rendered::bytes),
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

/// What the statuses of all objects of a Gateway depend on, besides the plan and the revisions.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    is_published: bool,
    failure: Option<String>,
    pods: Vec<PodFacts>,
}

fn all_objects(world: &World) -> impl Iterator<Item = ObjectRef> {
    let of = |kind| move |key: &ObjectKey| ObjectRef::new(kind, key);
    let gateways = world.gateways.keys().map(of(CustomKind::Gateway));
    let apis = world.apis.keys().map(of(CustomKind::WebSocketApi));
    let products = world.products.keys().map(of(CustomKind::Product));
    let fragments = world.fragments.keys().map(of(CustomKind::PolicyFragment));
    let subscriptions = world.subscriptions.keys().map(of(CustomKind::Subscription));
    let requests = world.requests.keys();
    let requests = requests.map(of(CustomKind::SubscriptionRequest));
    gateways
        .chain(apis)
        .chain(products)
        .chain(fragments)
        .chain(subscriptions)
        .chain(requests)
}

/// Publishes one Gateway. Returns what is published then, and whether the revision changed.
async fn publish_gateway(
    context: &Context,
    writer: &Writer,
    snapshot: &Snapshot,
    (key, content, mut published): (ObjectKey, Content<'_>, Option<Published>),
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
    let outcome = publication.publish(&content, &mut published).await;
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
