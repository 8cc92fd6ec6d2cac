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
use tidegate_config::{ConfigIndex, ConfigParts, GatewayConfig, ObjectKey, SecretData};
use tidegate_plan::GatewayPlan;
use tokio::time::Instant;

use crate::keys::{self, RandomnessError};
use crate::manifests::{self, Part, PodAccess, Target};
use crate::objects::{Manifest, Owned, OwnedKey, OwnedKind};
use crate::snapshot::Pods;
use crate::watch::SharedCache;
use crate::write::{WriteError, Writer};
use changed_objects::{all_objects, changed_objects};
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

impl Publication<'_> {
    /// Publishes `plan`, and updates `published`, which is true after an error too.
    ///
    /// # Errors
    ///
    /// The step that failed. The next pass tries again.
    pub(crate) async fn publish(
        &self,
        plan: GatewayPlan,
        published: &mut Option<Published>,
    ) -> Result<(), PublishError> {
        let new = self.new_content(plan, published)?;
        let index = match (&new, &*published) {
            (Some(new), _) => new.parts.index.clone(),
            (None, Some(published)) => published.index.clone(),
            // Nothing is published and nothing is new.
            (None, None) => return Ok(()),
        };
        self.ensure_parts(&index, new.as_ref(), published.as_ref())
            .await?;
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
        if let Some(new) = new {
            *published = Some(new.into_published(published.take(), self.now));
        }
        // Before the pods that read it. When it fails, the pods are updated all the same.
        let token = self.ensure_admin_token().await;
        if let Some(published) = published {
            self.apply_workload(published).await?;
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

    /// The content to publish; `None` when it is published already.
    fn new_content(
        &self,
        plan: GatewayPlan,
        published: &mut Option<Published>,
    ) -> Result<Option<NewContent>, PublishError> {
        let GatewayPlan {
            config,
            secret_data,
        } = plan;
        let known = published.as_ref().map_or(0, |p| p.index.revision);
        let seen = match live_revision(self.cache, self.target.key) {
            // Once something is published, pods cannot raise the revision by what they acknowledge.
            0 if known == 0 => self.acknowledged,
            live => live,
        };
        // A higher revision that this replica did not write may have any content.
        let overtaken = seen > known;
        if let Some(published) = published.as_ref()
            && published.has_content(&config, &secret_data)
            && !overtaken
        {
            return Ok(None);
        }
        let revision = next_revision([known, seen]);
        let parts = tidegate_config::split_config(&config, &secret_data, revision)
            .map_err(PublishError::TooLarge)?;
        let bytes = size(&parts);
        if let Some(published) = published.as_mut()
            && same_parts(&published.index, &parts.index)
            && !overtaken
        {
            published.replace_content(config, secret_data, bytes);
            return Ok(None);
        }
        Ok(Some(NewContent {
            config,
            secret_data,
            parts,
        }))
    }

    /// Creates the parts that are missing or damaged.
    async fn ensure_parts(
        &self,
        index: &ConfigIndex,
        new: Option<&NewContent>,
        published: Option<&Published>,
    ) -> Result<(), PublishError> {
        let named = manifests::parts(index);
        let missing: Vec<Part> = named.filter(|part| !self.exists(part)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let split_again;
        let parts = match (new, published) {
            (Some(new), _) => &new.parts,
            (None, Some(published)) => {
                split_again = published.split().map_err(PublishError::TooLarge)?;
                &split_again
            }
            (None, None) => return Ok(()),
        };
        let requests: Vec<_> = missing
            .iter()
            .map(|part| self.create_part(part, parts))
            .collect();
        futures::stream::iter(requests)
            .buffer_unordered(CONCURRENCY)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn create_part(&self, part: &Part, parts: &ConfigParts) -> Result<(), PublishError> {
        let text = part
            .text(parts)
            .ok_or_else(|| PublishError::Unrecoverable(part.key.clone()))?;
        let manifest = manifests::part_manifest(&self.target, part, text);
        Ok(self.writer.create(&manifest).await?)
    }

    fn exists(&self, part: &Part) -> bool {
        let live = self.cache.owned(&part.key);
        live.is_some_and(|live| part.is_intact(&live, &self.target))
    }

    /// Applies the objects that run the pods, then deletes what is no longer needed.
    async fn apply_workload(&self, published: &mut Published) -> Result<(), PublishError> {
        let workload = manifests::workload_manifests(&self.target, &published.config);
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

/// New content of a Gateway.
struct NewContent {
    config: GatewayConfig,
    secret_data: Arc<SecretData>,
    parts: ConfigParts,
}

impl NewContent {
    /// What is published once the index is written.
    fn into_published(self, before: Option<Published>, now: Instant) -> Published {
        let index = self.parts.index.clone();
        let revision = index.revision;
        let (history, retired) = match before {
            Some(before) => {
                let changed = changed_objects(
                    (&before.config, &before.secret_data),
                    (&self.config, &self.secret_data),
                );
                let mut history = before.history;
                history.record(revision, changed, now);
                (history, before.retired)
            }
            None => {
                let mut history = History::starting_at(revision);
                history.record(revision, all_objects(&self.config), now);
                (history, BTreeMap::new())
            }
        };
        Published {
            bytes: size(&self.parts),
            config: Arc::new(self.config),
            secret_data: self.secret_data,
            index,
            history,
            retired,
            complete: true,
        }
    }
}

fn same_parts(a: &ConfigIndex, b: &ConfigIndex) -> bool {
    a.format == b.format && a.shards == b.shards && a.secrets == b.secrets
}

fn size(parts: &ConfigParts) -> usize {
    let texts = parts.shards.values().chain(parts.secrets.values());
    texts.map(String::len).sum()
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
