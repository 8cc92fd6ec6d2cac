//! Brings one Gateway's objects into the cluster. Client required.
//!
//! The order is the guarantee: parts first, then the right to read them, then the index, which makes
//! the revision valid; old parts go last, when nobody can need them any more. A step that fails ends
//! the attempt, so that an index never names what is not there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tidegate_config::{ConfigIndex, ConfigParts, GatewayConfig, ObjectKey, SecretData};
use tidegate_plan::GatewayPlan;
use tokio::time::Instant;

use crate::keys::{self, NoRandomness};
use crate::owned::{Manifest, Owned, OwnedKey, OwnedKind};
use crate::published::{History, Pods, Published, Retired, difference, everything, next_revision};
use crate::render::{self, Own, Part, Site};
use crate::write::{WriteError, Writer};

/// Parts written at a time: a first start with 50,000 subscriptions has a few hundred.
const CONCURRENCY: usize = 8;

/// A part that no revision names is kept this long when pods have not all acknowledged: longer than
/// a pod needs to start and to load the revision it found.
const KEEP: Duration = Duration::from_secs(600);

/// Why a Gateway's configuration could not be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("{0} does not fit into a ConfigMap")]
    TooLarge(ObjectKey),
    #[error("{0} is gone and cannot be made again")]
    Lost(OwnedKey),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("failed to make the token of the admin server")]
    Token(#[from] NoRandomness),
}

impl PublishError {
    /// The Gateway is about to be gone.
    pub(crate) fn is_terminating(&self) -> bool {
        matches!(self, Self::Write(error) if error.is_terminating())
    }

    pub(crate) fn summary(&self) -> String {
        match self {
            Self::TooLarge(_) | Self::Lost(_) | Self::Token(_) => self.to_string(),
            Self::Write(error) => error.summary(),
        }
    }
}

/// One Gateway to publish.
pub(crate) struct Publication<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) site: Site<'a>,
    pub(crate) pods: &'a Pods,
    /// Leases that its pods may write.
    pub(crate) leases: Vec<String>,
    /// Highest revision that pods, dead ones included, have acknowledged: where to go on when nothing
    /// is published.
    pub(crate) acknowledged: u64,
    pub(crate) now: Instant,
}

impl Publication<'_> {
    /// Publishes `plan`. What `published` says is true afterwards, also after an error.
    pub(crate) async fn publish(
        &self,
        plan: GatewayPlan,
        published: &mut Option<Published>,
    ) -> Result<(), PublishError> {
        let new = self.new_content(plan, published)?;
        let index = match (&new, &*published) {
            (Some(new), _) => new.rendered.index.clone(),
            (None, Some(published)) => published.index.clone(),
            // Nothing is published and nothing is new: there is no such Gateway.
            (None, None) => return Ok(()),
        };
        self.ensure_parts(&index, new.as_ref(), published.as_ref())
            .await?;
        let secrets = secret_names(&index, published.as_ref());
        let own = Own {
            secrets: &secrets,
            leases: &self.leases,
        };
        for manifest in render::access(&self.site, own) {
            self.writer.apply(&manifest).await?;
        }
        self.writer
            .apply(&render::index(&self.site, &index))
            .await?;
        if let Some(new) = new {
            *published = Some(new.published(published.take(), self.now));
        }
        // Before the pods that read it, and never in the way of what they serve.
        let token = self.ensure_admin_token().await;
        if let Some(published) = published {
            self.run(published).await?;
        }
        token
    }

    /// Makes the token of the admin server once. Whoever deletes it gets another one.
    async fn ensure_admin_token(&self) -> Result<(), PublishError> {
        let key = render::admin_token_key(self.site.key);
        let owner = &self.site.owner.uid;
        let is_right = |live: &Owned| render::has_token(live, owner);
        if self.writer.live(&key).is_some_and(|live| is_right(&live)) {
            return Ok(());
        }
        let manifest = render::admin_token(&self.site, &keys::new_token()?);
        Ok(self.writer.create_once(&manifest, is_right).await?)
    }

    /// What has to be published anew; nothing when the content is what is published.
    fn new_content(
        &self,
        plan: GatewayPlan,
        published: &mut Option<Published>,
    ) -> Result<Option<New>, PublishError> {
        let GatewayPlan {
            config,
            secret_data,
        } = plan;
        let known = published.as_ref().map_or(0, |p| p.index.revision);
        let seen = match live_revision(self.writer, self.site.key) {
            // What is published decides: a pod's word must not drive revisions up.
            0 if known == 0 => self.acknowledged,
            live => live,
        };
        // A revision above ours that we did not write could hold anything.
        let overtaken = seen > known;
        if let Some(published) = published.as_ref()
            && published.has(&config, &secret_data)
            && !overtaken
        {
            return Ok(None);
        }
        let revision = next_revision([known, seen]);
        let rendered = tidegate_config::split_config(&config, &secret_data, revision)
            .map_err(PublishError::TooLarge)?;
        let bytes = size(&rendered);
        if let Some(published) = published.as_mut()
            && same_parts(&published.index, &rendered.index)
            && !overtaken
        {
            published.becomes(config, secret_data, bytes);
            return Ok(None);
        }
        Ok(Some(New {
            config,
            secret_data,
            rendered,
        }))
    }

    /// Makes sure that every part is there as it should be.
    async fn ensure_parts(
        &self,
        index: &ConfigIndex,
        new: Option<&New>,
        published: Option<&Published>,
    ) -> Result<(), PublishError> {
        let parts = render::part_keys(index);
        let missing: Vec<Part> = parts.filter(|part| !self.is_there(part)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let again;
        let rendered = match (new, published) {
            (Some(new), _) => &new.rendered,
            (None, Some(published)) => {
                again = published.render().map_err(PublishError::TooLarge)?;
                &again
            }
            (None, None) => return Ok(()),
        };
        let creations: Vec<_> = missing
            .iter()
            .map(|part| self.create_part(part, rendered))
            .collect();
        futures::stream::iter(creations)
            .buffer_unordered(CONCURRENCY)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn create_part(&self, part: &Part, rendered: &ConfigParts) -> Result<(), PublishError> {
        let text = part
            .text(rendered)
            .ok_or_else(|| PublishError::Lost(part.key.clone()))?;
        let manifest = render::part_manifest(&self.site, part, text);
        Ok(self.writer.create(&manifest).await?)
    }

    fn is_there(&self, part: &Part) -> bool {
        let index = self.writer.index.lock();
        let store = index.owned.get(&part.key.kind);
        let live = store.and_then(|store| store.get(&part.key.key));
        live.is_some_and(|live| part.is_in(live, &self.site))
    }

    /// The objects that run the pods; then removes what is no longer needed.
    async fn run(&self, published: &mut Published) -> Result<(), PublishError> {
        let workload = render::workload(&self.site, &published.config);
        self.leave_replicas(&workload).await?;
        for manifest in &workload {
            self.writer.apply(manifest).await?;
        }
        let kept = workload.into_iter().map(|manifest| manifest.key).collect();
        self.prune(published, &kept).await
    }

    /// The number of pods is about to be an autoscaler's. Whoever stops applying a field that nobody else has applied
    /// removes it, and the default is one pod: all others, and their tunnels, would go.
    async fn leave_replicas(&self, workload: &[Manifest]) -> Result<(), PublishError> {
        let autoscaler = render::named(OwnedKind::HorizontalPodAutoscaler, self.site.key);
        let wanted = workload.iter().any(|manifest| manifest.key == autoscaler);
        if wanted && self.writer.live(&autoscaler).is_none() {
            let deployment = render::named(OwnedKind::Deployment, self.site.key);
            self.writer.leave(&deployment, "replicas").await?;
        }
        Ok(())
    }

    /// Removes what this Gateway no longer needs.
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
        let used: HashSet<OwnedKey> = render::part_keys(&published.index)
            .map(|part| part.key)
            .chain([
                render::index_key(self.site.key),
                render::admin_token_key(self.site.key),
            ])
            .chain(kept.iter().cloned())
            .chain(access_keys(self.site.key))
            .collect();
        let mut obsolete = Vec::new();
        let mut retired = BTreeMap::new();
        for (key, live) in self.own(&used) {
            let is_part = matches!(key.kind, OwnedKind::ConfigMap | OwnedKind::Secret);
            let fresh = Retired {
                revision: published.index.revision,
                since: self.now,
            };
            let since = published.retired.get(&key).copied().unwrap_or(fresh);
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
    fn own(&self, used: &HashSet<OwnedKey>) -> Vec<(OwnedKey, Arc<Owned>)> {
        let index = self.writer.index.lock();
        let mut own = Vec::new();
        for (kind, store) in &index.owned {
            for (key, live) in store.iter() {
                let owned_key = OwnedKey {
                    kind: *kind,
                    key: key.clone(),
                };
                if key.namespace == self.site.key.namespace
                    && live.is_owned_by(&self.site.owner.uid)
                    && !live.is_going()
                    && !used.contains(&owned_key)
                {
                    own.push((owned_key, live.clone()));
                }
            }
        }
        own
    }

    /// Can nobody need a part that went out of use then?
    fn is_unused(&self, retired: Retired) -> bool {
        let slowest = self.pods.slowest();
        slowest.is_some_and(|slowest| slowest >= retired.revision)
            || self.now.duration_since(retired.since) >= KEEP
    }
}

/// Revision of a Gateway's index in the cluster; 0 when there is none that can be read.
pub(crate) fn live_revision(writer: &Writer, gateway: &ObjectKey) -> u64 {
    let index = writer.index.lock();
    let OwnedKey { kind, key } = render::index_key(gateway);
    let owned = index.owned.get(&kind).and_then(|store| store.get(&key));
    let read = owned.and_then(|owned| render::read_index(owned));
    read.map_or(0, |index| index.revision)
}

fn access_keys(gateway: &ObjectKey) -> impl Iterator<Item = OwnedKey> {
    let kinds = [
        OwnedKind::ServiceAccount,
        OwnedKind::Role,
        OwnedKind::RoleBinding,
    ];
    kinds.into_iter().map(|kind| render::named(kind, gateway))
}

/// New content of a Gateway.
struct New {
    config: GatewayConfig,
    secret_data: SecretData,
    rendered: ConfigParts,
}

impl New {
    /// What is published, now that its index is.
    fn published(self, before: Option<Published>, now: Instant) -> Published {
        let index = self.rendered.index.clone();
        let revision = index.revision;
        let (history, retired) = match before {
            Some(before) => {
                let changed = difference(
                    (&before.config, &before.secret_data),
                    (&self.config, &self.secret_data),
                );
                let mut history = before.history;
                history.record(revision, changed, now);
                (history, before.retired)
            }
            None => {
                let mut history = History::starting_at(revision);
                history.record(revision, everything(&self.config), now);
                (history, BTreeMap::new())
            }
        };
        Published {
            bytes: size(&self.rendered),
            config: Arc::new(self.config),
            secret_data: Arc::new(self.secret_data),
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

fn size(rendered: &ConfigParts) -> usize {
    let texts = rendered.shards.values().chain(rendered.secrets.values());
    texts.map(String::len).sum()
}

/// Secrets that pods may read: those of this revision, and those that a pod may still need.
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
