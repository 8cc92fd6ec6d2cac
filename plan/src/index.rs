//! Where each object of the world is, and which of two is older.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use tidegate_api::{Gateway, Product, Subscription, WebSocketApi};
use tidegate_config::ObjectKey;

use crate::World;

/// Namespace of objects that name none: those of files.
const DEFAULT_NAMESPACE: &str = "default";

/// All objects of one kind by key.
pub(crate) type Objects<'a, K> = BTreeMap<ObjectKey, &'a K>;

/// All objects by kind and key.
pub(crate) struct ObjectIndex<'a> {
    pub(crate) gateways: Objects<'a, Gateway>,
    pub(crate) apis: Objects<'a, WebSocketApi>,
    pub(crate) products: Objects<'a, Product>,
    pub(crate) subscriptions: Objects<'a, Subscription>,
    /// Names of the APIs of each namespace.
    pub(crate) apis_by_namespace: BTreeMap<String, Vec<ObjectKey>>,
}

impl<'a> ObjectIndex<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let apis = by_key(&world.apis);
        let mut apis_by_namespace: BTreeMap<String, Vec<ObjectKey>> = BTreeMap::new();
        for key in apis.keys() {
            let names = apis_by_namespace.entry(key.namespace.clone()).or_default();
            names.push(key.clone());
        }
        Self {
            gateways: by_key(&world.gateways),
            apis,
            products: by_key(&world.products),
            subscriptions: by_key(&world.subscriptions),
            apis_by_namespace,
        }
    }
}

pub(crate) fn by_key<K: ResourceExt>(objects: &[Arc<K>]) -> Objects<'_, K> {
    let entry = |object: &'_ Arc<K>| key_of(object.as_ref());
    objects.iter().map(|o| (entry(o), o.as_ref())).collect()
}

/// Namespace and name of an object.
pub(crate) fn key_of<K: ResourceExt>(object: &K) -> ObjectKey {
    let namespace = object.namespace();
    ObjectKey::new(
        namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        object.name_any(),
    )
}

/// `metadata.generation`; objects of files have none.
pub(crate) fn generation_of<K: ResourceExt>(object: &K) -> i64 {
    object.meta().generation.unwrap_or_default()
}

/// All objects, the oldest first: where two want the same, the first one gets it.
pub(crate) fn oldest_first<'i, 'a, K: ResourceExt>(
    objects: &'i Objects<'a, K>,
) -> Vec<(&'i ObjectKey, &'a K)> {
    let all: Vec<_> = objects.iter().map(|(key, object)| (key, *object)).collect();
    let order = order_of_age(all.iter().map(|(_, object)| *object));
    order.into_iter().map(|position| all[position]).collect()
}

/// Positions of objects, the oldest first; of the same age in the order given.
pub(crate) fn order_of_age<'k, K: ResourceExt + 'k>(
    objects: impl Iterator<Item = &'k K>,
) -> Vec<usize> {
    let age = |object: &K| object.meta().creation_timestamp.as_ref().map(|time| time.0);
    let mut order: Vec<_> = objects.map(age).zip(0..).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, position)| position).collect()
}
