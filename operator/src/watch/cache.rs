//! The one in-memory cache that all watches fill and every pass reads. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use parking_lot::{Mutex, MutexGuard};
use tidegate_api::{
    Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest, WebSocketApi,
};

use super::{Ack, Store};
use crate::objects::{Owned, OwnedKey, OwnedKind};

/// Labels of a Namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// Everything that the operator knows of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pub(crate) gateways: Store<Gateway>,
    pub(crate) apis: Store<WebSocketApi>,
    pub(crate) products: Store<Product>,
    pub(crate) fragments: Store<PolicyFragment>,
    pub(crate) subscriptions: Store<Subscription>,
    pub(crate) requests: Store<SubscriptionRequest>,
    /// Keyed by name, with an empty namespace.
    pub(crate) namespaces: Store<Labels>,
    /// Secrets with generated subscription keys.
    pub(crate) key_secrets: Store<Secret>,
    /// Resource versions of all other Secrets. The content is read only of those that an object names.
    pub(crate) secret_versions: Store<String>,
    /// Resource versions of all ConfigMaps that the operator did not make.
    pub(crate) config_map_versions: Store<String>,
    /// Objects that the operator made for Gateways.
    pub(crate) owned: BTreeMap<OwnedKind, Store<Owned>>,
    /// Acknowledgements: the Leases of gateway pods.
    pub(crate) acks: Store<Ack>,
    /// Name of the Gateway that each pod belongs to.
    pub(crate) pods: Store<String>,
}

impl Cache {
    /// Everything that a plan depends on counts as changed.
    pub(crate) fn change_all(&mut self) {
        self.gateways.change_all();
        self.apis.change_all();
        self.products.change_all();
        self.fragments.change_all();
        self.subscriptions.change_all();
        self.requests.change_all();
        self.namespaces.change_all();
        self.key_secrets.change_all();
        self.secret_versions.change_all();
        self.config_map_versions.change_all();
    }

    /// Nobody is going to ask what changed until now.
    pub(crate) fn forget_changed(&mut self) {
        self.gateways.forget_changed();
        self.apis.forget_changed();
        self.products.forget_changed();
        self.fragments.forget_changed();
        self.subscriptions.forget_changed();
        self.requests.forget_changed();
        self.namespaces.forget_changed();
        self.key_secrets.forget_changed();
        self.secret_versions.forget_changed();
        self.config_map_versions.forget_changed();
        self.forget_unasked();
    }

    /// Nobody asks what changed of these.
    pub(crate) fn forget_unasked(&mut self) {
        self.acks.forget_changed();
        self.pods.forget_changed();
        self.owned.values_mut().for_each(Store::forget_changed);
    }
}

/// The cache as the tasks share it. The lock is never held across an await.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedCache(Arc<Mutex<Cache>>);

impl SharedCache {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Cache> {
        self.0.lock()
    }

    /// An object that the operator made, as it is in the cluster.
    pub(crate) fn owned(&self, key: &OwnedKey) -> Option<Arc<Owned>> {
        let cache = self.lock();
        cache.owned.get(&key.kind)?.get(&key.key).cloned()
    }
}
