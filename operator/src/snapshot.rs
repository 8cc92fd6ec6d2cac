//! The cache at one moment, as one pass sees it. Pure; objects are shared, not copied.

mod leases;
mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use tidegate_api::Gateway;
use tidegate_config::ObjectKey;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::objects::{CustomKind, ObjectRef};
use crate::watch::{Cache, Store, Unreadable};
pub(crate) use leases::IgnoredReason;
use leases::Leases;
pub(crate) use pods::{PodFacts, Pods, UnreachableDependency};

/// Processes of an unmanaged Gateway may use this many Leases, see [`Snapshot::lease_names`].
const UNMANAGED_LEASES: u32 = 10;

/// The cache at one moment.
pub(crate) struct Snapshot {
    pub(crate) now: Instant,
    /// The same moment in seconds since 1970.
    unix_now: i64,
    pub(crate) gateways: BTreeMap<ObjectKey, Arc<Gateway>>,
    leases: Leases,
    /// The Gateway of each pod.
    gateway_of_pod: BTreeMap<ObjectKey, String>,
    /// The live pods of each Gateway.
    pods: BTreeMap<ObjectKey, Pods>,
    no_pods: Pods,
    pub(crate) unreadable: Vec<(ObjectRef, Unreadable)>,
    /// Of each kind: all objects, and those that cannot be read.
    counts: [(CustomKind, usize, usize); 6],
}

impl Snapshot {
    pub(crate) fn of(cache: &Cache, now: Instant) -> Self {
        let gateways = cache.gateways.iter();
        let gateways = gateways.filter(|(_, gateway)| exists(gateway.as_ref()));
        let leases = Leases::of(&cache.acks, &cache.pods, now);
        Self {
            now,
            unix_now: k8s_openapi::jiff::Timestamp::now().as_second(),
            gateways: gateways.map(|(key, g)| (key.clone(), g.clone())).collect(),
            gateway_of_pod: cache
                .pods
                .iter()
                .map(|(key, gateway)| (key.clone(), gateway.as_ref().clone()))
                .collect(),
            pods: leases.pods(),
            leases,
            no_pods: Pods::default(),
            unreadable: unreadable(cache),
            counts: [
                count(CustomKind::Gateway, &cache.gateways),
                count(CustomKind::WebSocketApi, &cache.apis),
                count(CustomKind::Product, &cache.products),
                count(CustomKind::PolicyFragment, &cache.fragments),
                count(CustomKind::Subscription, &cache.subscriptions),
                count(CustomKind::SubscriptionRequest, &cache.requests),
            ],
        }
    }

    /// Ignores acknowledgements of revisions above the published one, which `published` returns for a
    /// Gateway; 0 when nothing is published.
    pub(crate) fn ignore_unpublished(&mut self, published: impl Fn(&ObjectKey) -> u64) {
        self.leases.ignore_unpublished(published);
        self.pods = self.leases.pods();
    }

    /// Leases that do not count, the Gateway that they name, and why.
    pub(crate) fn ignored(&self) -> &[(ObjectKey, ObjectKey, IgnoredReason)] {
        &self.leases.ignored
    }

    /// Leases of pods that are long gone.
    pub(crate) fn stale_leases(&self) -> &[ObjectKey] {
        &self.leases.stale
    }

    /// Names of the Leases that the pods of a Gateway may write: their own. The processes of an unmanaged
    /// Gateway may have no pod, and use `NAME-0` to `NAME-9`.
    pub(crate) fn lease_names(&self, key: &ObjectKey, gateway: &Gateway) -> Vec<String> {
        let pods = self
            .gateway_of_pod
            .range(ObjectKey::new(&key.namespace, "")..);
        let pods = pods.take_while(|(pod, _)| pod.namespace == key.namespace);
        let own = pods.filter(|(_, owner)| **owner == key.name);
        let mut names: BTreeSet<String> = own.map(|(pod, _)| pod.name.clone()).collect();
        if !gateway.spec.deployment.managed {
            let numbered = (0..UNMANAGED_LEASES).map(|number| format!("{}-{number}", key.name));
            let free = |name: &String| {
                let pod = ObjectKey::new(&key.namespace, name);
                !self.gateway_of_pod.contains_key(&pod)
            };
            names.extend(numbered.filter(free));
        }
        names.into_iter().collect()
    }

    /// The live pods of a Gateway.
    pub(crate) fn pods(&self, gateway: &ObjectKey) -> &Pods {
        self.pods.get(gateway).unwrap_or(&self.no_pods)
    }

    /// The live pods of each Gateway that has any.
    pub(crate) fn pods_by_gateway(&self) -> impl Iterator<Item = (&ObjectKey, &Pods)> {
        self.pods.iter()
    }

    /// The highest revision that a pod of a Gateway acknowledged, dead pods included; 0 for none.
    pub(crate) fn acknowledged(&self, gateway: &ObjectKey) -> u64 {
        let acknowledged = &self.leases.acknowledged;
        acknowledged.get(gateway).copied().unwrap_or_default()
    }

    /// Can the latest version of an object be read, or is it gone?
    pub(crate) fn can_read(&self, object: &ObjectRef) -> bool {
        self.unreadable.iter().all(|(other, _)| other != object)
    }

    /// Time until `at`, in seconds since 1970.
    pub(crate) fn until(&self, at: i64) -> Duration {
        Duration::from_secs(u64::try_from(at.saturating_sub(self.unix_now)).unwrap_or_default())
    }

    /// Sets the gauges that count objects.
    pub(crate) fn measure(&self, metrics: &Metrics) {
        for (kind, all, unreadable) in &self.counts {
            metrics.objects(kind.as_str(), *all, *unreadable);
        }
    }
}

/// An object that is being deleted counts as gone: a finalizer does not keep it in service.
fn exists<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_none()
}

fn unreadable(cache: &Cache) -> Vec<(ObjectRef, Unreadable)> {
    let of = |kind| {
        move |(key, unreadable): (&ObjectKey, &Unreadable)| {
            (ObjectRef::new(kind, key), unreadable.clone())
        }
    };
    let gateways = cache.gateways.unreadable().map(of(CustomKind::Gateway));
    let apis = cache.apis.unreadable().map(of(CustomKind::WebSocketApi));
    let products = cache.products.unreadable().map(of(CustomKind::Product));
    let fragments = cache
        .fragments
        .unreadable()
        .map(of(CustomKind::PolicyFragment));
    let subscriptions = cache
        .subscriptions
        .unreadable()
        .map(of(CustomKind::Subscription));
    let requests = cache.requests.unreadable();
    let requests = requests.map(of(CustomKind::SubscriptionRequest));
    gateways
        .chain(apis)
        .chain(products)
        .chain(fragments)
        .chain(subscriptions)
        .chain(requests)
        .collect()
}

fn count<K>(kind: CustomKind, store: &Store<K>) -> (CustomKind, usize, usize) {
    (kind, store.len(), store.unreadable().len())
}

#[cfg(test)]
mod tests;
