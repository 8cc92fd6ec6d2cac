//! What a pass sees: the index at one moment. Pure; objects are shared, not copied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};
use tidegate_api::{Gateway, PolicyFragment, Product, Subscription, WebSocketApi};
use tidegate_config::ObjectKey;
use tidegate_plan::{Plan, World};
use tokio::time::Instant;

use crate::gather::{Ack, Broken, Index, Named, Store};
use crate::metrics::Metrics;
use crate::objects::{Kind, ObjectRef};
use crate::published::Pods;
use crate::status::Outages;

/// A Lease that expired this long ago is nobody's.
const LEASE_KEPT: Duration = Duration::from_secs(600);

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
    pods: BTreeMap<ObjectKey, Pods>,
    no_pods: Pods,
    acknowledged: BTreeMap<ObjectKey, u64>,
    pub(super) unreadable: Vec<(ObjectRef, Broken)>,
    pub(super) stale_leases: Vec<ObjectKey>,
    counts: [(Kind, usize, usize); 5],
}

impl Seen {
    pub(super) fn of(index: &Index, now: Instant, namespaces: &[String]) -> Self {
        let gateways = index.gateways.iter();
        let gateways = gateways.filter(|(_, gateway)| is_here(gateway.as_ref()));
        let leases = Leases::of(&index.acks, now);
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
            pods: leases
                .live
                .into_iter()
                .map(|(key, live)| (key, Pods::new(live)))
                .collect(),
            no_pods: Pods::default(),
            acknowledged: leases.acknowledged,
            stale_leases: leases.stale,
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

    /// The live pods of a Gateway.
    pub(super) fn pods(&self, gateway: &ObjectKey) -> &Pods {
        self.pods.get(gateway).unwrap_or(&self.no_pods)
    }

    /// What live pods need and can not reach.
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
        self.acknowledged.get(gateway).copied().unwrap_or_default()
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

/// Leases of gateway pods, sorted by what they mean.
#[derive(Default)]
struct Leases {
    live: BTreeMap<ObjectKey, Vec<(String, Arc<Ack>)>>,
    acknowledged: BTreeMap<ObjectKey, u64>,
    stale: Vec<ObjectKey>,
}

impl Leases {
    fn of(acks: &Store<Ack>, now: Instant) -> Self {
        let mut leases = Self::default();
        for (key, ack) in acks.iter() {
            let gateway = ObjectKey::new(key.namespace.clone(), ack.gateway.clone());
            let highest = leases.acknowledged.entry(gateway.clone()).or_default();
            *highest = (*highest).max(ack.revision);
            if ack.is_live(now) {
                let live = leases.live.entry(gateway).or_default();
                live.push((key.name.clone(), ack.clone()));
            } else if now >= ack.expires() + LEASE_KEPT {
                leases.stale.push(key.clone());
            }
        }
        leases
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
