//! Tells the planner what changed in the cache. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::Resource;
use tidegate_api::{
    Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest, WebSocketApi,
};
use tidegate_config::ObjectKey;
use tidegate_plan::{Kind, Planner};

use crate::objects::{CustomKind, ObjectRef};
use crate::watch::{Cache, CustomObject, Labels};

/// The label that every Namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// What changed and is not told the planner yet.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Custom resources that are not as they were, be it in their status alone.
    pub(super) objects: BTreeSet<ObjectRef>,
    /// Secrets that may have to be read again.
    pub(super) secrets: BTreeSet<ObjectKey>,
    /// The same of ConfigMaps.
    pub(super) config_maps: BTreeSet<ObjectKey>,
}

/// Tells the planner what changed in the cache since it was told last. `namespaces`: those that are watched, if the
/// operator has no permissions elsewhere.
pub(super) fn feed(cache: &mut Cache, planner: &mut Planner, namespaces: &[String]) -> Fed {
    let mut fed = Fed::default();
    fed.objects::<Gateway>(CustomKind::Gateway, cache, planner);
    fed.objects::<WebSocketApi>(CustomKind::WebSocketApi, cache, planner);
    fed.objects::<Product>(CustomKind::Product, cache, planner);
    fed.objects::<PolicyFragment>(CustomKind::PolicyFragment, cache, planner);
    fed.objects::<Subscription>(CustomKind::Subscription, cache, planner);
    fed.objects::<SubscriptionRequest>(CustomKind::SubscriptionRequest, cache, planner);
    for (key, secret) in cache.key_secrets.take_changed() {
        // Without the label it is no longer a Secret of keys, but may exist.
        if secret.is_none() {
            fed.secrets.insert(key.clone());
        }
        planner.set_secret(&key, secret);
    }
    for (key, labels) in cache.namespaces.take_changed() {
        let labels = labels.map(|labels| labels.as_ref().clone());
        planner.set_namespace(&key.name, labels.or_else(|| known(&key.name, namespaces)));
    }
    for name in namespaces {
        if !planner.world().namespace_labels.contains_key(name) {
            planner.set_namespace(name, known(name, namespaces));
        }
    }
    let secrets = cache.secret_versions.take_changed().into_iter();
    fed.secrets.extend(secrets.map(|(key, _)| key));
    let config_maps = cache.config_map_versions.take_changed().into_iter();
    fed.config_maps.extend(config_maps.map(|(key, _)| key));
    cache.forget_unasked();
    planner.set_now(k8s_openapi::jiff::Timestamp::now().as_second());
    fed
}

/// With permissions in some namespaces only, the one label is known that follows from the name.
fn known(name: &str, namespaces: &[String]) -> Option<Labels> {
    let is_watched = namespaces.iter().any(|watched| watched == name);
    is_watched.then(|| BTreeMap::from([(NAMESPACE_NAME.to_owned(), name.to_owned())]))
}

impl Fed {
    fn objects<K: CustomObject + Kind>(
        &mut self,
        kind: CustomKind,
        cache: &mut Cache,
        planner: &mut Planner,
    ) {
        for (key, object) in K::store(cache).take_changed() {
            planner.set(&key, object.filter(|object| exists(object)));
            self.objects.insert(ObjectRef { kind, key });
        }
    }
}

/// An object that is being deleted counts as gone: a finalizer does not keep it in service.
fn exists<K: Resource>(object: &Arc<K>) -> bool {
    object.meta().deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests;
