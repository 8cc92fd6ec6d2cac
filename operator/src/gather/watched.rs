//! What is watched, and what is kept of it. Pure.

use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::Resource;
use kube::api::{DynamicObject, PartialObjectMeta};
use serde::de::DeserializeOwned;
use tidegate_api::{Gateway, PolicyFragment, Product, Subscription, WebSocketApi};
use tidegate_config::LABEL_GATEWAY;
use tokio::time::Instant;

use super::guarded::Guarded;
use super::index::Labels;
use super::{Ack, Broken, Index, Store, Wake};
use crate::owned::{Owned, OwnedKind};

/// One kind of watch.
pub(crate) trait Watched: Send + Sync + 'static {
    /// What comes through the watch.
    type Object: Resource<DynamicType: Send + Sync>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static;
    /// What is kept of it.
    type Kept: Send + Sync;

    /// Its store.
    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<Self::Kept>;
    /// Makes what is kept.
    fn keep(&self, object: Self::Object, before: Option<&Self::Kept>)
    -> Result<Self::Kept, Broken>;
    /// How urgent the difference is.
    fn wake(&self, before: &Self::Kept, after: &Self::Kept) -> Wake;
}

/// One of our custom kinds.
pub(crate) trait Custom:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    fn store(index: &mut Index) -> &mut Store<Self>;
}

macro_rules! custom {
    ($($kind:ty: $field:ident),*) => {
        $(impl Custom for $kind {
            fn store(index: &mut Index) -> &mut Store<Self> {
                &mut index.$field
            }
        })*
    };
}

custom!(
    Gateway: gateways,
    WebSocketApi: apis,
    Product: products,
    PolicyFragment: fragments,
    Subscription: subscriptions
);

/// Objects of a custom kind, whole. One that cannot be read does not end the watch.
pub(crate) struct Resources<K>(pub(crate) PhantomData<K>);

impl<K: Custom> Watched for Resources<K> {
    type Object = Guarded<K>;
    type Kept = K;

    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<K> {
        K::store(index)
    }

    fn keep(&self, object: Guarded<K>, _: Option<&K>) -> Result<K, Broken> {
        let mut object = object.read()?;
        strip(object.meta_mut());
        Ok(object)
    }

    fn wake(&self, before: &K, after: &K) -> Wake {
        let (before, after) = (before.meta(), after.meta());
        let same = before.uid == after.uid
            && before.generation == after.generation
            && before.labels == after.labels
            && before.deletion_timestamp == after.deletion_timestamp;
        if same { Wake::Soon } else { Wake::Now }
    }
}

/// Removes what is never looked at: with 50,000 objects it would be most of the memory.
pub(crate) fn strip(metadata: &mut kube::api::ObjectMeta) {
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.owner_references = None;
    metadata.finalizers = None;
}

/// Labels of Namespaces; needs list and watch on namespaces. Nothing else of them is read.
pub(crate) struct NamespaceLabels;

impl Watched for NamespaceLabels {
    type Object = PartialObjectMeta<Namespace>;
    type Kept = Labels;

    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<Labels> {
        &mut index.namespaces
    }

    fn keep(&self, object: Self::Object, _: Option<&Labels>) -> Result<Labels, Broken> {
        Ok(object.metadata.labels.unwrap_or_default())
    }

    fn wake(&self, before: &Labels, after: &Labels) -> Wake {
        if before == after {
            Wake::Never
        } else {
            Wake::Now
        }
    }
}

/// Secrets with generated subscription keys, whole.
pub(crate) struct KeySecrets;

impl Watched for KeySecrets {
    type Object = Secret;
    type Kept = Secret;

    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<Secret> {
        &mut index.key_secrets
    }

    fn keep(&self, mut object: Secret, _: Option<&Secret>) -> Result<Secret, Broken> {
        object.metadata.managed_fields = None;
        Ok(object)
    }

    fn wake(&self, before: &Secret, after: &Secret) -> Wake {
        let same = before.data == after.data
            && before.metadata.annotations == after.metadata.annotations
            && before.metadata.owner_references == after.metadata.owner_references;
        if same { Wake::Never } else { Wake::Now }
    }
}

/// Only which version each object has; the few that are named somewhere are read by name.
pub(crate) struct Versions<K> {
    store: fn(&mut Index) -> &mut Store<String>,
    kind: PhantomData<K>,
}

impl Versions<Secret> {
    pub(crate) fn of_secrets() -> Self {
        Self {
            store: |index| &mut index.secret_versions,
            kind: PhantomData,
        }
    }
}

impl Versions<ConfigMap> {
    pub(crate) fn of_config_maps() -> Self {
        Self {
            store: |index| &mut index.config_map_versions,
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

    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<String> {
        (self.store)(index)
    }

    fn keep(&self, object: Self::Object, _: Option<&String>) -> Result<String, Broken> {
        Ok(object.metadata.resource_version.unwrap_or_default())
    }

    fn wake(&self, before: &String, after: &String) -> Wake {
        if before == after {
            Wake::Never
        } else {
            Wake::Now
        }
    }
}

/// What the operator made, of one kind.
pub(crate) struct OwnedObjects(pub(crate) OwnedKind);

impl Watched for OwnedObjects {
    type Object = DynamicObject;
    type Kept = Owned;

    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<Owned> {
        index.owned.entry(self.0).or_default()
    }

    fn keep(&self, object: DynamicObject, _: Option<&Owned>) -> Result<Owned, Broken> {
        Ok(Owned::of(self.0, object))
    }

    fn wake(&self, before: &Owned, after: &Owned) -> Wake {
        if before.uid != after.uid || before.version != after.version {
            Wake::Now
        } else if before.body == after.body {
            Wake::Never
        } else {
            Wake::Soon
        }
    }
}

/// Leases of gateway pods.
pub(crate) struct Acks;

impl Watched for Acks {
    type Object = Lease;
    type Kept = Ack;

    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<Ack> {
        &mut index.acks
    }

    fn keep(&self, object: Lease, before: Option<&Ack>) -> Result<Ack, Broken> {
        Ok(Ack::of(object, before, Instant::now()))
    }

    fn wake(&self, before: &Ack, after: &Ack) -> Wake {
        if before.is_news(after) {
            Wake::Now
        } else {
            Wake::Never
        }
    }
}

/// Which pods there are of which Gateway; needs list and watch on pods. Nothing else of them is read.
pub(crate) struct GatewayPods;

impl Watched for GatewayPods {
    type Object = PartialObjectMeta<Pod>;
    type Kept = String;

    fn store<'a>(&self, index: &'a mut Index) -> &'a mut Store<String> {
        &mut index.pods
    }

    fn keep(&self, object: Self::Object, _: Option<&String>) -> Result<String, Broken> {
        let labels = object.metadata.labels.unwrap_or_default();
        Ok(labels.get(LABEL_GATEWAY).cloned().unwrap_or_default())
    }

    fn wake(&self, before: &String, after: &String) -> Wake {
        if before == after {
            Wake::Never
        } else {
            Wake::Now
        }
    }
}
