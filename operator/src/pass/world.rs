//! What a pass sees: the index at one moment. Pure; objects are shared, not copied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};
use tidegate_api::{Gateway, PolicyFragment, Product, Subscription, WebSocketApi};
use tidegate_config::ObjectKey;
use tidegate_plan::{Plan, World};
use tokio::time::Instant;

use super::leases::{Ignored, Leases};
use crate::gather::{Broken, Index, Named, Store};
use crate::metrics::Metrics;
use crate::objects::{Kind, ObjectRef};
use crate::published::Pods;
use crate::status::Outages;

/// Processes that somebody else runs may take these names of Leases after the Gateway's, see
/// [`Seen::lease_names`].
const OWN_PROCESSES: u32 = 10;

/// The label that every Namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The index at one moment.
pub(super) struct Seen {
    pub(super) now: Instant,
    /// The same moment in seconds since 1970.
    wall: i64,
    pub(super) gateways: BTreeMap<ObjectKey, Arc<Gateway>>,
    pub(super) apis: Vec<Arc<WebSocketApi>>,
    pub(super) products: Vec<Arc<Product>>,
    pub(super) fragments: Vec<Arc<PolicyFragment>>,
    pub(super) subscriptions: Vec<Arc<Subscription>>,
    key_secrets: Vec<(ObjectKey, Arc<Secret>)>,
    namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
    leases: Leases,
    /// The Gateway of each pod.
    owners: BTreeMap<ObjectKey, String>,
    pods: BTreeMap<ObjectKey, Pods>,
    no_pods: Pods,
    pub(super) unreadable: Vec<(ObjectRef, Broken)>,
    counts: [(Kind, usize, usize); 5],
}

impl Seen {
    pub(super) fn of(index: &Index, now: Instant, namespaces: &[String]) -> Self {
        let gateways = index.gateways.iter();
        let gateways = gateways.filter(|(_, gateway)| is_here(gateway.as_ref()));
        let leases = Leases::of(&index.acks, &index.pods, now);
        Self {
            now,
            wall: k8s_openapi::jiff::Timestamp::now().as_second(),
            gateways: gateways.map(|(key, g)| (key.clone(), g.clone())).collect(),
            apis: here(&index.apis),
            products: here(&index.products),
            fragments: here(&index.fragments),
            subscriptions: here(&index.subscriptions),
            key_secrets: index
                .key_secrets
                .iter()
                .map(|(key, secret)| (key.clone(), secret.clone()))
                .collect(),
            namespace_labels: namespace_labels(index, namespaces),
            owners: index
                .pods
                .iter()
                .map(|(key, gateway)| (key.clone(), gateway.as_ref().clone()))
                .collect(),
            pods: leases.pods(),
            leases,
            no_pods: Pods::default(),
            unreadable: unreadable(index),
            counts: [
                count(Kind::Gateway, &index.gateways),
                count(Kind::WebSocketApi, &index.apis),
                count(Kind::Product, &index.products),
                count(Kind::PolicyFragment, &index.fragments),
                count(Kind::Subscription, &index.subscriptions),
            ],
        }
    }

    /// What a plan is made of, but for what was published before.
    pub(super) fn world(&self, named: &Named) -> World {
        let keys = self.key_secrets.iter().cloned();
        World {
            gateways: self.gateways.values().cloned().collect(),
            apis: self.apis.clone(),
            products: self.products.clone(),
            fragments: self.fragments.clone(),
            subscriptions: self.subscriptions.clone(),
            secrets: named.secrets().chain(keys).collect(),
            config_maps: named.config_maps(),
            namespace_labels: self.namespace_labels.clone(),
            now: self.wall,
            ..World::default()
        }
    }

    /// Takes back what is acknowledged above what was published, `published` by Gateway; 0: nothing is.
    pub(super) fn ignore_unpublished(&mut self, published: impl Fn(&ObjectKey) -> u64) {
        self.leases.ignore_unpublished(published);
        self.pods = self.leases.pods();
    }

    /// Leases that do not count: the Lease, the Gateway it speaks of, and why.
    pub(super) fn ignored(&self) -> &[(ObjectKey, ObjectKey, Ignored)] {
        &self.leases.ignored
    }

    /// Leases of pods long gone.
    pub(super) fn stale_leases(&self) -> &[ObjectKey] {
        &self.leases.stale
    }

    /// Names of the Leases that pods of a Gateway may write: their own. Processes that somebody else
    /// runs may have no pod: for them `NAME-0` to `NAME-9`.
    pub(super) fn lease_names(&self, key: &ObjectKey, gateway: &Gateway) -> Vec<String> {
        let pods = self.owners.range(ObjectKey::new(&key.namespace, "")..);
        let pods = pods.take_while(|(pod, _)| pod.namespace == key.namespace);
        let own = pods.filter(|(_, owner)| **owner == key.name);
        let mut names: BTreeSet<String> = own.map(|(pod, _)| pod.name.clone()).collect();
        if !gateway.spec.deployment.managed {
            let numbered = (0..OWN_PROCESSES).map(|number| format!("{}-{number}", key.name));
            let free = |name: &String| {
                let pod = ObjectKey::new(&key.namespace, name);
                !self.owners.contains_key(&pod)
            };
            names.extend(numbered.filter(free));
        }
        names.into_iter().collect()
    }

    /// The live pods of a Gateway.
    pub(super) fn pods(&self, gateway: &ObjectKey) -> &Pods {
        self.pods.get(gateway).unwrap_or(&self.no_pods)
    }

    /// What live pods need and cannot reach.
    pub(super) fn outages(&self, plan: &Plan) -> Outages {
        let mut outages = Outages::default();
        for (key, pods) in &self.pods {
            if let Some(gateway) = plan.gateways.get(key) {
                outages.add(key, &gateway.config, pods);
            }
        }
        outages
    }

    /// The highest revision that any pod of a Gateway ever acknowledged, as far as is known.
    pub(super) fn acknowledged(&self, gateway: &ObjectKey) -> u64 {
        let acknowledged = &self.leases.acknowledged;
        acknowledged.get(gateway).copied().unwrap_or_default()
    }

    /// Time until `at`, in seconds since 1970.
    pub(super) fn until(&self, at: i64) -> Duration {
        Duration::from_secs(u64::try_from(at.saturating_sub(self.wall)).unwrap_or_default())
    }

    pub(super) fn measure(&self, metrics: &Metrics) {
        for (kind, all, unreadable) in &self.counts {
            metrics.objects(kind.as_str(), *all, *unreadable);
        }
    }
}

/// An object that is being deleted is as good as gone: whoever holds it up with a finalizer does not
/// keep it in service.
fn is_here<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_none()
}

fn here<K: Resource>(store: &Store<K>) -> Vec<Arc<K>> {
    let objects = store.iter().map(|(_, object)| object);
    objects
        .filter(|object| is_here(object.as_ref()))
        .cloned()
        .collect()
}

/// With rights in some namespaces only, the one label is known that follows from the name.
fn namespace_labels(
    index: &Index,
    namespaces: &[String],
) -> BTreeMap<String, BTreeMap<String, String>> {
    let known = namespaces.iter().map(|name| {
        let label = (NAMESPACE_NAME.to_owned(), name.clone());
        (name.clone(), BTreeMap::from([label]))
    });
    let watched = index.namespaces.iter();
    let watched = watched.map(|(key, labels)| (key.name.clone(), labels.as_ref().clone()));
    known.chain(watched).collect()
}

fn unreadable(index: &Index) -> Vec<(ObjectRef, Broken)> {
    let of = |kind| {
        move |(key, broken): (&ObjectKey, &Broken)| (ObjectRef::new(kind, key), broken.clone())
    };
    let gateways = index.gateways.broken().map(of(Kind::Gateway));
    let apis = index.apis.broken().map(of(Kind::WebSocketApi));
    let products = index.products.broken().map(of(Kind::Product));
    let fragments = index.fragments.broken().map(of(Kind::PolicyFragment));
    let subscriptions = index.subscriptions.broken().map(of(Kind::Subscription));
    gateways
        .chain(apis)
        .chain(products)
        .chain(fragments)
        .chain(subscriptions)
        .collect()
}

fn count<K>(kind: Kind, store: &Store<K>) -> (Kind, usize, usize) {
    (kind, store.len(), store.broken().count())
}

/// Namespace and name of an object.
pub(super) fn key_of<K: Resource>(object: &K) -> ObjectKey {
    ObjectKey::new(object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
