//! Publishes one Gateway: its configuration, and the objects that run its pods. Client required.
//!
//! The order is the guarantee: parts first, then permission to read them, then the index, which makes the
//! revision valid; old parts are deleted last, when no pod can need them any more. A step that fails ends the
//! attempt, so that an index never names a part that does not exist.

mod changed_objects;
mod history;
mod published;
mod read_published;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tidegate_config::{ChangedConfig, ConfigIndex, ObjectKey, Rendered};
use tidegate_plan::GatewayPlan;
use tokio::time::Instant;

use crate::keys::{self, RandomnessError};
use crate::manifests::{self, Part, PodAccess, Target};
use crate::objects::{Manifest, Owned, OwnedKey, OwnedKind};
use crate::snapshot::Pods;
use crate::watch::SharedCache;
use crate::write::{WriteError, Writer};
pub(crate) use history::{Applied, History};
pub(crate) use published::Published;
use published::Retired;
pub(crate) use read_published::read_published;

/// Parts that are written at the same time: 50,000 subscriptions are a few hundred parts.
const CONCURRENCY: usize = 8;

/// A part that the index no longer names is kept this long while a pod has not acknowledged that: longer than
/// a pod needs to start and to load the revision that it found.
const RETIRED_PART_RETENTION: Duration = Duration::from_secs(600);

/// Why a Gateway's configuration could not be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("{0} does not fit into a ConfigMap")]
    TooLarge(ObjectKey),
    #[error("{0} is missing, and its content is not known")]
    Unrecoverable(OwnedKey),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("failed to generate the token of the admin server")]
    Token(#[from] RandomnessError),
}

impl PublishError {
    /// The namespace of the Gateway is being deleted.
    pub(crate) fn is_terminating(&self) -> bool {
        matches!(self, Self::Write(error) if error.is_terminating())
    }

    /// The text for a status. It is the same for every attempt that fails in the same way.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::TooLarge(_) | Self::Unrecoverable(_) | Self::Token(_) => self.to_string(),
            Self::Write(error) => error.summary(),
        }
    }
}

/// One Gateway that is published.
pub(crate) struct Publication<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) cache: &'a SharedCache,
    pub(crate) target: Target<'a>,
    pub(crate) pods: &'a Pods,
    /// Names of the Leases that its pods may write.
    pub(crate) leases: Vec<String>,
    /// Highest revision that a pod acknowledged, dead pods included. While nothing is published, revisions
    /// continue after it.
    pub(crate) acknowledged: u64,
    pub(crate) now: Instant,
}

/// What a Gateway is to serve.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) plan: &'a GatewayPlan,
    /// The plan as parts.
    pub(crate) rendered: &'a Rendered,
    /// What of it is not published yet.
    pub(crate) changed: &'a ChangedConfig,
}

impl Publication<'_> {
    /// Publishes `content`, and updates `published`, which is true after an error too.
    ///
    /// # Errors
    ///
    /// The step that failed. The next pass tries again.
    pub(crate) async fn publish(
        &self,
        content: &Content<'_>,
        published: &mut Option<Published>,
    ) -> Result<(), PublishError> {
        let (index, is_new) = self.index(content, published.as_ref())?;
        self.ensure_parts(&index, content.rendered).await?;
        let secrets = secret_names(&index, published.as_ref());
        let access = PodAccess {
            secrets: &secrets,
            leases: &self.leases,
        };
        for manifest in manifests::access_manifests(&self.target, access) {
            self.writer.apply(&manifest).await?;
        }
        self.writer
            .apply(&manifests::index_manifest(&self.target, &index))
            .await?;
        let Content { plan, changed, .. } = *content;
        if is_new {
            let before = (published.take(), changed);
            *published = Some(Published::next(plan, index, before, self.now));
        } else if let Some(published) = published {
            published.adopt(plan, changed);
        }
        // Before the pods that read it. When it fails, the pods are updated all the same.
        let token = self.ensure_admin_token().await;
        if let Some(published) = published {
            self.apply_workload(plan, published).await?;
        }
        token
    }

    /// Creates the token of the admin server, unless there is one.
    async fn ensure_admin_token(&self) -> Result<(), PublishError> {
        let key = manifests::admin_token_key(self.target.key);
        let owner = &self.target.owner.uid;
        let has_token = |live: &Owned| manifests::has_token(live, owner);
        if self.cache.owned(&key).is_some_and(|live| has_token(&live)) {
            return Ok(());
        }
        let manifest = manifests::admin_token_manifest(&self.target, &keys::new_token()?);
        Ok(self.writer.create_unless(&manifest, has_token).await?)
    }

    /// The index of the content, and whether it is a new one.
    fn index(
        &self,
        content: &Content<'_>,
        published: Option<&Published>,
    ) -> Result<(ConfigIndex, bool), PublishError> {
        let known = published.map_or(0, |p| p.index.revision);
        let seen = match live_revision(self.cache, self.target.key) {
            // Once something is published, pods cannot raise the revision by what they acknowledge.
            0 if known == 0 => self.acknowledged,
            live => live,
        };
        // A higher revision that this replica did not write may have any content.
        let overtaken = seen > known;
        let index = content.rendered.index(next_revision([known, seen]));
        let index = index.map_err(PublishError::TooLarge)?;
        match published {
            Some(published) if same_parts(&published.index, &index) && !overtaken => {
                Ok((published.index.clone(), false))
            }
            Some(_) | None => Ok((index, true)),
        }
    }

    /// Creates the parts that are missing or damaged.
    async fn ensure_parts(
        &self,
        index: &ConfigIndex,
        rendered: &Rendered,
    ) -> Result<(), PublishError> {
        let named = manifests::parts(index);
        let missing: Vec<Part> = named.filter(|part| !self.exists(part)).collect();
        let requests: Vec<_> = missing
            .iter()
            .map(|part| self.create_part(part, rendered))
            .collect();
        futures::stream::iter(requests)
            .buffer_unordered(CONCURRENCY)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn create_part(&self, part: &Part, rendered: &Rendered) -> Result<(), PublishError> {
        let text = part
            .text(rendered)
            .ok_or_else(|| PublishError::Unrecoverable(part.key.clone()))?;
        let manifest = manifests::part_manifest(&self.target, part, &text);
        Ok(self.writer.create(&manifest).await?)
    }

    fn exists(&self, part: &Part) -> bool {
        let live = self.cache.owned(&part.key);
        live.is_some_and(|live| part.is_intact(&live, &self.target))
    }

    /// Applies the objects that run the pods, then deletes what is no longer needed.
    async fn apply_workload(
        &self,
        plan: &GatewayPlan,
        published: &mut Published,
    ) -> Result<(), PublishError> {
        let workload = manifests::workload_manifests(&self.target, &plan.config);
        self.release_replicas(&workload).await?;
        for manifest in &workload {
            self.writer.apply(manifest).await?;
        }
        let kept = workload.into_iter().map(|manifest| manifest.key).collect();
        self.prune(published, &kept).await
    }

    /// Keeps the number of pods when an autoscaler is about to take it over. A field that its only manager stops
    /// applying is removed, and the default is one pod: all others would be deleted, with their tunnels.
    async fn release_replicas(&self, workload: &[Manifest]) -> Result<(), PublishError> {
        let autoscaler =
            manifests::same_name_key(OwnedKind::HorizontalPodAutoscaler, self.target.key);
        let wanted = workload.iter().any(|manifest| manifest.key == autoscaler);
        if wanted && self.cache.owned(&autoscaler).is_none() {
            let deployment = manifests::same_name_key(OwnedKind::Deployment, self.target.key);
            self.writer.release_field(&deployment, "replicas").await?;
        }
        Ok(())
    }

    /// Deletes what this Gateway no longer needs.
    async fn prune(
        &self,
        published: &mut Published,
        kept: &HashSet<OwnedKey>,
    ) -> Result<(), PublishError> {
        let obsolete = self.obsolete(published, kept);
        for (key, uid) in obsolete {
            self.writer.delete(&key, &uid).await?;
            published.retired.remove(&key);
        }
        Ok(())
    }

    fn obsolete(
        &self,
        published: &mut Published,
        kept: &HashSet<OwnedKey>,
    ) -> Vec<(OwnedKey, String)> {
        let used: HashSet<OwnedKey> = manifests::parts(&published.index)
            .map(|part| part.key)
            .chain([
                manifests::index_key(self.target.key),
                manifests::admin_token_key(self.target.key),
            ])
            .chain(kept.iter().cloned())
            .chain(access_keys(self.target.key))
            .collect();
        let mut obsolete = Vec::new();
        let mut retired = BTreeMap::new();
        for (key, live) in self.owned_objects_except(&used) {
            let is_part = matches!(key.kind, OwnedKind::ConfigMap | OwnedKind::Secret);
            let retired_now = Retired {
                revision: published.index.revision,
                since: self.now,
            };
            let known = published.retired.get(&key).copied();
            let since = known.unwrap_or(retired_now);
            if is_part && !self.is_unused(since) {
                retired.insert(key, since);
            } else {
                obsolete.push((key, live.uid.clone()));
            }
        }
        published.retired = retired;
        obsolete
    }

    /// Objects of this Gateway that are not `used`.
    fn owned_objects_except(&self, used: &HashSet<OwnedKey>) -> Vec<(OwnedKey, Arc<Owned>)> {
        let cache = self.cache.lock();
        let mut unused = Vec::new();
        for (kind, store) in &cache.owned {
            for (key, live) in store.iter() {
                let owned_key = OwnedKey {
                    kind: *kind,
                    key: key.clone(),
                };
                if key.namespace == self.target.key.namespace
                    && live.is_owned_by(&self.target.owner.uid)
                    && !live.is_being_deleted()
                    && !used.contains(&owned_key)
                {
                    unused.push((owned_key, live.clone()));
                }
            }
        }
        unused
    }

    /// True when no pod can need a part that was retired then.
    fn is_unused(&self, retired: Retired) -> bool {
        let lowest = self.pods.lowest_revision();
        lowest.is_some_and(|lowest| lowest >= retired.revision)
            || self.now.duration_since(retired.since) >= RETIRED_PART_RETENTION
    }
}

/// Revision of a Gateway's index in the cluster; 0 when there is none that can be read.
pub(crate) fn live_revision(cache: &SharedCache, gateway: &ObjectKey) -> u64 {
    let live = cache.owned(&manifests::index_key(gateway));
    let index = live.and_then(|live| manifests::read_index(&live));
    index.map_or(0, |index| index.revision)
}

/// The revision for new content: higher than every known one, so that no pod can take it for an old one.
fn next_revision(known: [u64; 2]) -> u64 {
    known[0].max(known[1]).saturating_add(1)
}

fn access_keys(gateway: &ObjectKey) -> impl Iterator<Item = OwnedKey> {
    let kinds = [
        OwnedKind::ServiceAccount,
        OwnedKind::Role,
        OwnedKind::RoleBinding,
    ];
    kinds
        .into_iter()
        .map(|kind| manifests::same_name_key(kind, gateway))
}

fn same_parts(a: &ConfigIndex, b: &ConfigIndex) -> bool {
    a.format == b.format && a.shards == b.shards && a.secrets == b.secrets
}

/// Names of the Secrets that pods may read: those of this revision, and those that a pod may still need.
fn secret_names(index: &ConfigIndex, published: Option<&Published>) -> Vec<String> {
    let current = index.secrets.iter().map(|part| part.name.clone());
    let before = published.into_iter().flat_map(|published| {
        let retired = published.retired.keys();
        let retired = retired.filter(|key| key.kind == OwnedKind::Secret);
        let last = published.index.secrets.iter().map(|part| part.name.clone());
        retired.map(|key| key.key.name.clone()).chain(last)
    });
    let names: BTreeSet<String> = current.chain(before).collect();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests;
