//! One pass over everything: gather (client) → plan (pure) → publish (client: render, apply, prune)
//! → report (pure; the statuses themselves are written as chores).
//!
//! A pass depends on the index, on what was published, and on the time; never on which event woke
//! it. Doing it twice does nothing.

mod leases;
mod reports;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tidegate_config::ObjectKey;
use tidegate_plan::{GatewayPlan, Plan, Planner, World};
use tokio::time::Instant;

use crate::chores::Chores;
use crate::gather::{Named, ReadError, recall};
use crate::metrics::ConfigSize;
use crate::publish::{Publication, PublishError, live_revision};
use crate::published::{Pods, Published};
use crate::render::Site;
use crate::write::Writer;
use leases::Ignored;
use world::Seen;

/// Gateways published at a time.
const CONCURRENCY: usize = 4;

/// Objects read by name can name others only through the resources, so two rounds are enough; more
/// are needed only while everything changes at once.
const ROUNDS: usize = 5;

/// Why nothing could be decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassError {
    #[error("failed to read what is published for Gateway {gateway}")]
    Recall {
        gateway: ObjectKey,
        #[source]
        source: kube::Error,
    },
    #[error("failed to read what objects name")]
    Read(#[from] ReadError),
}

/// What a pass leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// When time alone will change the outcome.
    pub(crate) next_change: Option<Instant>,
    /// Something could not be published and has to be tried again.
    pub(crate) incomplete: bool,
}

/// Everything that one pass hands to the next.
pub(crate) struct Pass {
    writer: Writer,
    chores: Chores,
    site: Installation,
    planner: Planner,
    named: Named,
    wanted_secrets: BTreeSet<ObjectKey>,
    wanted_config_maps: BTreeSet<ObjectKey>,
    /// Per Gateway what is published; `None`: nothing is.
    published: BTreeMap<ObjectKey, Option<Published>>,
    /// Per Gateway why the last attempt to publish failed.
    failures: BTreeMap<ObjectKey, String>,
    /// Leases whose acknowledgement does not count, and why: each is logged once.
    ignored: BTreeSet<(ObjectKey, Ignored)>,
}

/// How this operator is installed.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// Image of gateway pods.
    pub(crate) image: String,
    /// Namespaces that are watched; empty: all.
    pub(crate) namespaces: Vec<String>,
    /// The Lease of the election, which no gateway may write.
    pub(crate) election: ObjectKey,
}

impl Pass {
    pub(crate) fn new(writer: Writer, chores: Chores, site: Installation) -> Self {
        Self {
            writer,
            chores,
            site,
            planner: Planner::default(),
            named: Named::default(),
            wanted_secrets: BTreeSet::new(),
            wanted_config_maps: BTreeSet::new(),
            published: BTreeMap::new(),
            failures: BTreeMap::new(),
            ignored: BTreeSet::new(),
        }
    }

    /// Another replica may write from now on: what was known to be published no longer is.
    pub(crate) fn reset(&mut self) {
        self.published.clear();
        self.failures.clear();
        self.chores.clear();
    }

    /// Does it all once.
    pub(crate) async fn run(&mut self) -> Result<Done, PassError> {
        let started = Instant::now();
        let mut seen = Seen::of(&self.writer.index.lock(), started, &self.site.namespaces);
        seen.measure(&self.writer.metrics);
        self.forget_gone(&seen);
        self.recall_new(&seen).await?;
        seen.ignore_unpublished(|gateway| self.highest(gateway));
        self.tell_ignored(&seen);
        let mut plan = self.plan(&seen).await?;
        let outages = seen.outages(&plan);
        let gateways = std::mem::take(&mut plan.gateways);
        self.publish(&seen, gateways, started).await;
        let chores = self.reports(&seen, &plan, outages);
        self.chores.replace(chores);
        self.measure(&seen);
        Ok(Done {
            next_change: plan.next_change.map(|at| started + seen.until(at)),
            incomplete: !self.failures.is_empty(),
        })
    }

    fn forget_gone(&mut self, seen: &Seen) {
        let metrics = &self.writer.metrics;
        self.published.retain(|key, _| {
            let stays = seen.gateways.contains_key(key);
            if !stays {
                metrics.forget(key);
            }
            stays
        });
        self.failures
            .retain(|key, _| seen.gateways.contains_key(key));
    }

    /// Reads back what an earlier leader published for Gateways that are new to this one.
    async fn recall_new(&mut self, seen: &Seen) -> Result<(), PassError> {
        for key in seen.gateways.keys() {
            if self.published.contains_key(key) {
                continue;
            }
            let found = recall(&self.writer.client, key).await;
            let found = found.map_err(|source| PassError::Recall {
                gateway: key.clone(),
                source,
            })?;
            self.published.insert(key.clone(), found);
        }
        Ok(())
    }

    /// The highest revision of a Gateway that pods can have; 0 when nothing is published.
    fn highest(&self, gateway: &ObjectKey) -> u64 {
        let published = self.published.get(gateway).and_then(Option::as_ref);
        let known = published.map_or(0, |published| published.index.revision);
        // A write that succeeded without our hearing of it.
        known.max(live_revision(&self.writer, gateway))
    }

    /// Logs what is new of the acknowledgements that do not count.
    fn tell_ignored(&mut self, seen: &Seen) {
        let mut now = BTreeSet::new();
        for (lease, gateway, why) in seen.ignored() {
            if !self.ignored.contains(&(lease.clone(), *why)) {
                let reason = why.as_str();
                tracing::warn!(%lease, %gateway, reason, "ignored an acknowledgement");
            }
            now.insert((lease.clone(), *why));
        }
        self.ignored = now;
    }

    /// Plans; reads what the plan names and plans again until nothing is missing.
    async fn plan(&mut self, seen: &Seen) -> Result<Plan, PassError> {
        let mut plan = None;
        for _ in 0..ROUNDS {
            let missing = {
                let index = self.writer.index.lock();
                self.named
                    .missing(&self.wanted_secrets, &self.wanted_config_maps, &index)
            };
            if missing.is_empty()
                && let Some(plan) = plan
            {
                return Ok(plan);
            }
            self.named.read(&self.writer.client, missing).await?;
            let world = self.world(seen);
            let mut next = tokio::task::block_in_place(|| self.planner.plan(&world));
            self.wanted_secrets = std::mem::take(&mut next.wanted_secrets);
            self.wanted_config_maps = std::mem::take(&mut next.wanted_config_maps);
            plan = Some(next);
        }
        // Whatever changed while it was read wakes the next pass.
        Ok(plan.unwrap_or_default())
    }

    fn world(&self, seen: &Seen) -> World {
        let mut world = seen.world(&self.named);
        for (key, published) in &self.published {
            if let Some(published) = published {
                world.previous.insert(key.clone(), published.config.clone());
                let secret_data = published.secret_data.clone();
                world.previous_secret_data.insert(key.clone(), secret_data);
            }
        }
        world
    }

    /// Publishes every Gateway; one that fails holds up no other.
    async fn publish(
        &mut self,
        seen: &Seen,
        plans: BTreeMap<ObjectKey, GatewayPlan>,
        started: Instant,
    ) {
        let published = &mut self.published;
        let writer = &self.writer;
        let site = &self.site;
        let work = plans.into_iter().filter_map(|(key, plan)| {
            let before = published.get_mut(&key)?.take();
            Some((key, plan, before))
        });
        let work: Vec<_> = work.collect();
        let attempts: Vec<_> = work
            .into_iter()
            .map(|work| publish_one(writer, site, seen, work))
            .collect();
        let outcomes = futures::stream::iter(attempts)
            .buffer_unordered(CONCURRENCY)
            .collect::<Vec<_>>()
            .await;
        for (key, after, outcome) in outcomes {
            let revision = after.as_ref().map(|after| after.index.revision);
            self.published.insert(key.clone(), after);
            self.note(key, revision, outcome, started);
        }
    }

    fn note(
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
                    self.writer.metrics.published(&key, took);
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

    /// Gauges that also change without a pass.
    pub(crate) fn remeasure(&self) {
        let namespaces = &self.site.namespaces;
        let mut seen = Seen::of(&self.writer.index.lock(), Instant::now(), namespaces);
        seen.ignore_unpublished(|gateway| self.highest(gateway));
        self.measure(&seen);
    }

    fn measure(&self, seen: &Seen) {
        for (key, published) in &self.published {
            let Some(published) = published else {
                continue;
            };
            let size = ConfigSize {
                revision: published.index.revision,
                bytes: published.bytes,
                parts: published.index.shards.len() + published.index.secrets.len(),
            };
            let lag = seen.pods(key).lag(&published.history, seen.now);
            let ignored = seen.ignored().iter().filter(|(_, of, _)| of == key);
            let metrics = &self.writer.metrics;
            metrics.config(key, size, lag);
            metrics.ignored(key, ignored.count());
        }
    }
}

/// Publishes one Gateway; true when there was something new.
async fn publish_one(
    writer: &Writer,
    installation: &Installation,
    seen: &Seen,
    (key, plan, before): (ObjectKey, GatewayPlan, Option<Published>),
) -> (ObjectKey, Option<Published>, Result<bool, PublishError>) {
    let mut published = before;
    let Some(gateway) = seen.gateways.get(&key).map(Arc::clone) else {
        return (key, published, Ok(false));
    };
    let pods: &Pods = seen.pods(&key);
    // What every live pod has, nobody has to be asked about again.
    if let (Some(published), Some(revision)) = (&mut published, pods.slowest()) {
        published.history.acknowledged(revision);
    }
    let revision = published.as_ref().map(|published| published.index.revision);
    let mut leases = seen.lease_names(&key, &gateway);
    let election = &installation.election;
    leases.retain(|name| key.namespace != election.namespace || *name != election.name);
    let publication = Publication {
        writer,
        site: Site::new(&gateway, &key, &installation.image),
        pods,
        leases,
        acknowledged: seen.acknowledged(&key),
        now: seen.now,
    };
    let outcome = publication.publish(plan, &mut published).await;
    let now = published.as_ref().map(|published| published.index.revision);
    let outcome = outcome.map(|()| now != revision);
    (key, published, outcome)
}

/// How long to wait before trying again what failed `times` in a row.
pub(crate) fn retry_after(times: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(30);
    FIRST.saturating_mul(1 << times.min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests;
