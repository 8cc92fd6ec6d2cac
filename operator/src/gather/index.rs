//! The one in-memory index that all watches feed and every pass reads. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use tidegate_api::{Gateway, PolicyFragment, Product, Subscription, WebSocketApi};
use tokio::sync::Notify;

use super::{Ack, Store};
use crate::owned::{Owned, OwnedKind};

/// Labels of a Namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// Everything the operator knows of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) gateways: Store<Gateway>,
    pub(crate) apis: Store<WebSocketApi>,
    pub(crate) products: Store<Product>,
    pub(crate) fragments: Store<PolicyFragment>,
    pub(crate) subscriptions: Store<Subscription>,
    /// Keyed by name, with an empty namespace.
    pub(crate) namespaces: Store<Labels>,
    /// Secrets with generated subscription keys.
    pub(crate) key_secrets: Store<Secret>,
    /// Resource versions of all other Secrets: content is read only when something names it.
    pub(crate) secret_versions: Store<String>,
    /// Resource versions of all ConfigMaps that are not ours.
    pub(crate) config_map_versions: Store<String>,
    /// What the operator made for Gateways.
    pub(crate) owned: BTreeMap<OwnedKind, Store<Owned>>,
    /// Leases of gateway pods.
    pub(crate) acks: Store<Ack>,
    /// Names of the Gateways that pods belong to.
    pub(crate) pods: Store<String>,
}

/// How urgent a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// Nothing that a pass would act on.
    Never,
    /// Only a status changed: worth a look, since it may be wrong now, but nobody waits for it.
    Soon,
    /// Something that decides what is served.
    Now,
}

/// Wakes the pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waker {
    now: Arc<Notify>,
    soon: Arc<Notify>,
}

impl Waker {
    pub(crate) fn wake(&self, urgency: Wake) {
        match urgency {
            Wake::Never => {}
            Wake::Soon => self.soon.notify_one(),
            Wake::Now => self.now.notify_one(),
        }
    }

    /// Forgets all wake-ups until now.
    pub(crate) fn settle(&self) {
        use futures::FutureExt;
        let _ = self.now().now_or_never();
        let _ = self.soon().now_or_never();
    }

    /// Resolves when woken with [`Wake::Now`].
    pub(crate) async fn now(&self) {
        self.now.notified().await;
    }

    /// Resolves when woken with [`Wake::Soon`].
    pub(crate) async fn soon(&self) {
        self.soon.notified().await;
    }
}

/// The index as the tasks share it. The lock is never held across an await.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedIndex(Arc<Mutex<Index>>);

impl SharedIndex {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
