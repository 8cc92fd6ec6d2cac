//! What is watched, and what the cache keeps of it. Pure.

use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::Resource;
use kube::api::{DynamicObject, PartialObjectMeta};
use serde::de::DeserializeOwned;
use tidegate_api::{
    Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest, WebSocketApi,
};
use tidegate_config::LABEL_GATEWAY;
use tokio::time::Instant;

use super::cache::Labels;
use super::guarded::Guarded;
use super::{Ack, Cache, Store, Unreadable, Urgency};
use crate::objects::{Owned, OwnedKind};

/// One watch.
pub(crate) trait Watched: Send + Sync + 'static {
    /// What the API server sends.
    type Object: Resource<DynamicType: Send + Sync>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static;
    /// What the cache keeps of it.
    type Kept: Send + Sync;

    /// Where it is kept.
    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<Self::Kept>;
    /// Makes what is kept; `before` is what was kept of an earlier version.
    fn keep(
        &self,
        object: Self::Object,
        before: Option<&Self::Kept>,
    ) -> Result<Self::Kept, Unreadable>;
    /// Judges a difference.
    fn urgency(&self, before: &Self::Kept, after: &Self::Kept) -> Urgency;
}

/// A custom resource, with its place in the cache.
pub(crate) trait CustomObject:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    fn store(cache: &mut Cache) -> &mut Store<Self>;
}

macro_rules! custom {
    ($($kind:ty: $field:ident),*) => {
        $(impl CustomObject for $kind {
            fn store(cache: &mut Cache) -> &mut Store<Self> {
                &mut cache.$field
            }
        })*
    };
}

custom!(
    Gateway: gateways,
    WebSocketApi: apis,
    Product: products,
    PolicyFragment: fragments,
    Subscription: subscriptions,
    SubscriptionRequest: requests
);

/// Custom resources, complete. One that cannot be read does not end the watch.
pub(crate) struct CustomObjects<K>(pub(crate) PhantomData<K>);

impl<K: CustomObject> Watched for CustomObjects<K> {
    type Object = Guarded<K>;
    type Kept = K;

    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<K> {
        K::store(cache)
    }

    fn keep(&self, object: Guarded<K>, _: Option<&K>) -> Result<K, Unreadable> {
        let mut object = object.read()?;
        strip(object.meta_mut());
        Ok(object)
    }

    fn urgency(&self, before: &K, after: &K) -> Urgency {
        let (before, after) = (before.meta(), after.meta());
        let same = before.uid == after.uid
            && before.generation == after.generation
            && before.labels == after.labels
            && before.deletion_timestamp == after.deletion_timestamp;
        if same { Urgency::Soon } else { Urgency::Now }
    }
}

/// Removes metadata that the operator never reads: with 50,000 objects it would be most of the memory.
pub(crate) fn strip(metadata: &mut kube::api::ObjectMeta) {
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.owner_references = None;
    metadata.finalizers = None;
}

/// Labels of Namespaces. Needs the verbs list and watch on namespaces; only metadata is read.
pub(crate) struct NamespaceLabels;

impl Watched for NamespaceLabels {
    type Object = PartialObjectMeta<Namespace>;
    type Kept = Labels;

    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<Labels> {
        &mut cache.namespaces
    }

    fn keep(&self, object: Self::Object, _: Option<&Labels>) -> Result<Labels, Unreadable> {
        Ok(object.metadata.labels.unwrap_or_default())
    }

    fn urgency(&self, before: &Labels, after: &Labels) -> Urgency {
        if before == after {
            Urgency::Never
        } else {
            Urgency::Now
        }
    }
}

/// Secrets with generated subscription keys, complete.
pub(crate) struct KeySecrets;

impl Watched for KeySecrets {
    type Object = Secret;
    type Kept = Secret;

    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<Secret> {
        &mut cache.key_secrets
    }

    fn keep(&self, mut object: Secret, _: Option<&Secret>) -> Result<Secret, Unreadable> {
        object.metadata.managed_fields = None;
        Ok(object)
    }

    fn urgency(&self, before: &Secret, after: &Secret) -> Urgency {
        let same = before.data == after.data
            && before.metadata.annotations == after.metadata.annotations
            && before.metadata.owner_references == after.metadata.owner_references;
        if same { Urgency::Never } else { Urgency::Now }
    }
}

/// Resource versions only; the few objects that are named somewhere are read by name.
pub(crate) struct Versions<K> {
    store: fn(&mut Cache) -> &mut Store<String>,
    kind: PhantomData<K>,
}

impl Versions<Secret> {
    pub(crate) fn of_secrets() -> Self {
        Self {
            store: |cache| &mut cache.secret_versions,
            kind: PhantomData,
        }
    }
}

impl Versions<ConfigMap> {
    pub(crate) fn of_config_maps() -> Self {
        Self {
            store: |cache| &mut cache.config_map_versions,
            kind: PhantomData,
        }
    }
}

impl<K> Watched for Versions<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    type Object = PartialObjectMeta<K>;
    type Kept = String;

    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<String> {
        (self.store)(cache)
    }

    fn keep(&self, object: Self::Object, _: Option<&String>) -> Result<String, Unreadable> {
        Ok(object.metadata.resource_version.unwrap_or_default())
    }

    fn urgency(&self, before: &String, after: &String) -> Urgency {
        if before == after {
            Urgency::Never
        } else {
            Urgency::Now
        }
    }
}

/// Objects of one kind that the operator made.
pub(crate) struct OwnedObjects(pub(crate) OwnedKind);

impl Watched for OwnedObjects {
    type Object = DynamicObject;
    type Kept = Owned;

    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<Owned> {
        cache.owned.entry(self.0).or_default()
    }

    fn keep(&self, object: DynamicObject, _: Option<&Owned>) -> Result<Owned, Unreadable> {
        Ok(Owned::of(self.0, object))
    }

    fn urgency(&self, before: &Owned, after: &Owned) -> Urgency {
        if before.uid != after.uid || before.version != after.version {
            Urgency::Now
        } else if before.body == after.body {
            Urgency::Never
        } else {
            Urgency::Soon
        }
    }
}

/// Leases of gateway pods.
pub(crate) struct Acks;

impl Watched for Acks {
    type Object = Lease;
    type Kept = Ack;

    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<Ack> {
        &mut cache.acks
    }

    fn keep(&self, object: Lease, before: Option<&Ack>) -> Result<Ack, Unreadable> {
        Ok(Ack::of(object, before, Instant::now()))
    }

    fn urgency(&self, before: &Ack, after: &Ack) -> Urgency {
        if before.differs_from(after) {
            Urgency::Now
        } else {
            Urgency::Never
        }
    }
}

/// The Gateway of each pod. Needs the verbs list and watch on pods; only metadata is read.
pub(crate) struct GatewayPods;

impl Watched for GatewayPods {
    type Object = PartialObjectMeta<Pod>;
    type Kept = String;

    fn store<'a>(&self, cache: &'a mut Cache) -> &'a mut Store<String> {
        &mut cache.pods
    }

    fn keep(&self, object: Self::Object, _: Option<&String>) -> Result<String, Unreadable> {
        let labels = object.metadata.labels.unwrap_or_default();
        Ok(labels.get(LABEL_GATEWAY).cloned().unwrap_or_default())
    }

    fn urgency(&self, before: &String, after: &String) -> Urgency {
        if before == after {
            Urgency::Never
        } else {
            Urgency::Now
        }
    }
}
