//! Who a Subscription in files is. A cluster gives each a uid, and its keys go with it. Files give none: a Subscription
//! that stays gets the uid that its keys were generated for, and one that was removed and written again another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use tidegate_api::Subscription;
use tidegate_config::ObjectKey;
use tidegate_plan::generated_keys::{self, secret_key};
use tokio::time::Instant;

use crate::input::STDIN_NAME;
use crate::keys::{KeyStore, absolute};
use crate::objects::{Loaded, Object, ObjectId, Objects};

/// How long a Subscription may be missing before its keys are removed: tools that replace a file may remove it first.
const GRACE: Duration = Duration::from_secs(1);

/// The uids of all Subscriptions.
#[derive(Debug, Default)]
pub struct Identities {
    known: BTreeMap<ObjectKey, String>,
    /// Of Subscriptions that are gone for good.
    retired: BTreeSet<String>,
    missing_since: BTreeMap<ObjectKey, Instant>,
}

/// What was read: a Subscription that is not in it may be elsewhere.
pub struct Coverage<'a> {
    /// The files.
    pub files: &'a [PathBuf],
    /// Files and directories that were asked for.
    pub paths: &'a [PathBuf],
}

/// Keys whose Subscription is gone.
#[derive(Debug, Default)]
pub struct StaleKeys {
    /// Secrets to remove.
    pub secrets: Vec<ObjectKey>,
    /// When there will be more.
    pub next: Option<Instant>,
}

impl Identities {
    /// Sets the uid of each Subscription. Keys of earlier versions, which name no owner, become those of the
    /// Subscription that uses them.
    pub fn assign(&mut self, objects: &mut Objects, store: &KeyStore) {
        let owners: BTreeMap<_, _> = stored(objects, store)
            .filter_map(|(_, secret)| generated_keys::owner(secret))
            .map(|(key, uid)| (key, uid.to_owned()))
            .collect();
        let mut users = BTreeMap::new();
        for (id, loaded) in &mut objects.all {
            let Object::Subscription(subscription) = &mut loaded.object else {
                continue;
            };
            let subscription = Arc::make_mut(subscription);
            let uid = self.uid(&id.key, subscription, &owners);
            subscription.metadata.namespace = Some(id.key.namespace.clone());
            subscription.metadata.uid = Some(uid.clone());
            self.known.insert(id.key.clone(), uid);
            users.insert(secret_key(&id.key, subscription), subscription.clone());
        }
        for (id, loaded) in &mut objects.all {
            if let (Some(user), Object::Secret(secret)) = (users.get(&id.key), &mut loaded.object)
                && store.holds(&loaded.document.file)
                && is_of_nobody(secret)
            {
                generated_keys::own(Arc::make_mut(secret), user);
            }
        }
    }

    fn uid(
        &self,
        key: &ObjectKey,
        subscription: &Subscription,
        owners: &BTreeMap<ObjectKey, String>,
    ) -> String {
        let kept = owners.get(key).filter(|uid| !self.retired.contains(*uid));
        let uid = subscription.uid();
        let uid = uid.or_else(|| self.known.get(key).cloned());
        uid.or_else(|| kept.cloned())
            .unwrap_or_else(|| hex::encode(rand::random::<[u8; 16]>()))
    }

    /// The keys to remove. After [`assign`](Self::assign).
    pub fn stale(
        &mut self,
        objects: &Objects,
        store: &KeyStore,
        coverage: &Coverage<'_>,
    ) -> StaleKeys {
        let mut stale = StaleKeys::default();
        let mut missing = BTreeMap::new();
        let is_complete = is_complete(objects, store);
        for (id, secret) in stored(objects, store) {
            let Some((owner, uid)) = generated_keys::owner(secret) else {
                continue;
            };
            match subscription(objects, &owner) {
                Some(found) if found.uid().as_deref() == Some(uid) => {}
                Some(_) => stale.secrets.push(id.key.clone()),
                None if is_complete
                    && !is_broken(objects, &owner)
                    && (self.known.contains_key(&owner)
                        || coverage.had(store.manifest(secret))) =>
                {
                    let since = self.missing_since.get(&owner).copied();
                    let since = since.unwrap_or_else(Instant::now);
                    if since.elapsed() >= GRACE {
                        self.known.remove(&owner);
                        self.retired.insert(uid.to_owned());
                        stale.secrets.push(id.key.clone());
                    } else {
                        stale.next = stale.next.into_iter().chain([since + GRACE]).min();
                        missing.insert(owner, since);
                    }
                }
                None => {}
            }
        }
        self.missing_since = missing;
        stale
    }
}

impl Coverage<'_> {
    /// Would a Subscription of this manifest have been read?
    fn had(&self, manifest: Option<PathBuf>) -> bool {
        // Standard input has other content each time.
        let manifest = manifest.filter(|manifest| !manifest.ends_with(STDIN_NAME));
        let Some(manifest) = manifest else {
            return false;
        };
        let mut files = self.files.iter();
        let mut paths = self.paths.iter();
        files.any(|file| absolute(file) == manifest)
            || !manifest.exists() && paths.any(|path| manifest.starts_with(absolute(path)))
    }
}

/// Secrets of the key store.
fn stored<'o>(
    objects: &'o Objects,
    store: &'o KeyStore,
) -> impl Iterator<Item = (&'o ObjectId, &'o Arc<Secret>)> {
    let of = |(id, loaded): (&'o ObjectId, &'o Loaded)| match &loaded.object {
        Object::Secret(secret) if store.holds(&loaded.document.file) => Some((id, secret)),
        _ => None,
    };
    objects.all.iter().filter_map(of)
}

/// Files of earlier versions name no owner.
fn is_of_nobody(secret: &Secret) -> bool {
    generated_keys::is_managed(secret) && secret.owner_references().is_empty()
}

fn subscription_id(key: &ObjectKey) -> ObjectId {
    ObjectId {
        kind: "Subscription".to_owned(),
        key: key.clone(),
    }
}

/// The Subscription of this name, and the file that has it.
pub(crate) fn subscription<'o>(
    objects: &'o Objects,
    key: &ObjectKey,
) -> Option<&'o Arc<Subscription>> {
    match &objects.all.get(&subscription_id(key))?.object {
        Object::Subscription(found) => Some(found),
        _ => None,
    }
}

/// The file with the Subscription.
pub(crate) fn manifest_of<'o>(objects: &'o Objects, key: &ObjectKey) -> Option<&'o Path> {
    let loaded = objects.all.get(&subscription_id(key))?;
    Some(&loaded.document.file)
}

fn is_broken(objects: &Objects, key: &ObjectKey) -> bool {
    objects.broken.contains(&subscription_id(key))
}

/// Could every manifest be read? If not, nobody knows which Subscriptions there are.
fn is_complete(objects: &Objects, store: &KeyStore) -> bool {
    let mut findings = objects.findings.iter();
    !findings.any(|found| found.object.is_none() && !found.is_warning && !store.holds(&found.file))
}
