//! The watches: streams of events from the API server into the cache. Client required.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use rand::Rng;
use tidegate_api::{
    Gateway, LABEL_MANAGED_BY, MANAGED_BY, PolicyFragment, Product, Subscription,
    SubscriptionRequest, WebSocketApi,
};
use tidegate_config::{
    LABEL_GATEWAY, LABEL_PART, ObjectKey, PART_ACK, PART_INDEX, PART_SECRET_DATA, PART_SHARD,
};
use tidegate_plan::generated_keys::PART_KEYS;
use tokio::time::Instant;

use super::watched::{
    Acks, CustomObject, CustomObjects, GatewayPods, KeySecrets, NamespaceLabels, OwnedObjects,
    Versions, Watched,
};
use super::{SharedCache, Trigger, Urgency, WatchHealth};
use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::objects::OwnedKind;
use crate::objects::names::PART_ADMIN;

/// Every watch lists again this often, which repairs the effects of a stalled stream or a lost event. Varied
/// by up to a fifth, so that the watches do not all list at once.
pub(crate) const RELIST_INTERVAL: Duration = Duration::from_secs(600);

/// Pause after the first error of a watch; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Longest pause after an error. Short, so that everything converges at once when the API server is back.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The namespaces of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WatchScope {
    /// All of them, with cluster-wide permissions.
    Cluster,
    /// One, with permissions in that namespace.
    Namespace(String),
}

impl WatchScope {
    /// One scope for each of `namespaces`; the whole cluster when there are none.
    pub(crate) fn of_namespaces(namespaces: &[String]) -> Vec<Self> {
        match namespaces {
            [] => vec![Self::Cluster],
            some => some.iter().cloned().map(Self::Namespace).collect(),
        }
    }

    fn covers(&self, key: &ObjectKey) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(namespace) => key.namespace == *namespace,
        }
    }

    fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        match self {
            Self::Cluster => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }

    fn dynamic_api(&self, client: Client, kind: OwnedKind) -> Api<DynamicObject> {
        match self {
            Self::Cluster => Api::all_with(client, &kind.resource()),
            Self::Namespace(namespace) => Api::namespaced_with(client, namespace, &kind.resource()),
        }
    }
}

/// What all watches share: where their events go.
#[derive(Clone)]
pub(crate) struct WatchContext {
    pub(crate) cache: SharedCache,
    pub(crate) trigger: Trigger,
    pub(crate) health: WatchHealth,
    pub(crate) metrics: Metrics,
}

/// Starts every watch.
pub(crate) fn spawn_watches(
    client: &Client,
    scopes: &[WatchScope],
    context: &WatchContext,
    drain: &Drain,
) {
    for scope in scopes {
        let watches = Watches {
            client,
            scope,
            context,
            drain,
        };
        watches.custom::<Gateway>();
        watches.custom::<WebSocketApi>();
        watches.custom::<Product>();
        watches.custom::<PolicyFragment>();
        watches.custom::<Subscription>();
        watches.custom::<SubscriptionRequest>();
        watches.secrets_and_config_maps();
        watches.owned();
        let leases = format!("{LABEL_PART}={PART_ACK}");
        watches.spawn("Lease", scope.api(client.clone()), Acks, &leases);
        let api: Api<PartialObjectMeta<Pod>> = scope.api(client.clone());
        watches.spawn("Pod", api, GatewayPods, LABEL_GATEWAY);
    }
    // With permissions in some namespaces only, Namespaces cannot be read; a selector then sees the one label
    // that follows from the name.
    if scopes.contains(&WatchScope::Cluster) {
        let api: Api<PartialObjectMeta<Namespace>> = cluster_api(client.clone());
        let watches = Watches {
            client,
            scope: &WatchScope::Cluster,
            context,
            drain,
        };
        watches.spawn("Namespace", api, NamespaceLabels, "");
    }
}

fn cluster_api<K>(client: Client) -> Api<K>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType: Default>,
{
    Api::all(client)
}

struct Watches<'a> {
    client: &'a Client,
    scope: &'a WatchScope,
    context: &'a WatchContext,
    drain: &'a Drain,
}

impl Watches<'_> {
    fn custom<K>(&self)
    where
        K: CustomObject + Resource<Scope = NamespaceResourceScope>,
    {
        let api = self.scope.api(self.client.clone());
        let kind = K::kind(&()).into_owned();
        self.spawn(&kind, api, CustomObjects::<K>(PhantomData), "");
    }

    /// RBAC cannot grant metadata alone, so these watches need permission to read all Secrets and ConfigMaps
    /// of the namespaces. The content is read only of those that an object names.
    fn secrets_and_config_maps(&self) {
        let client = self.client.clone();
        let keys = format!("{LABEL_PART}={PART_KEYS}");
        self.spawn("Secret (keys)", self.scope.api(client), KeySecrets, &keys);
        let api: Api<PartialObjectMeta<Secret>> = self.scope.api(self.client.clone());
        let selector = format!("{LABEL_PART} notin ({PART_KEYS},{PART_SECRET_DATA},{PART_ADMIN})");
        self.spawn("Secret", api, Versions::of_secrets(), &selector);
        let api: Api<PartialObjectMeta<ConfigMap>> = self.scope.api(self.client.clone());
        let selector = format!("{LABEL_PART} notin ({PART_INDEX},{PART_SHARD})");
        self.spawn("ConfigMap", api, Versions::of_config_maps(), &selector);
    }

    fn owned(&self) {
        for kind in OwnedKind::ALL {
            let api = self.scope.dynamic_api(self.client.clone(), kind);
            let selector = match kind {
                OwnedKind::ConfigMap => format!("{LABEL_PART} in ({PART_INDEX},{PART_SHARD})"),
                OwnedKind::Secret => format!("{LABEL_PART} in ({PART_SECRET_DATA},{PART_ADMIN})"),
                OwnedKind::ServiceAccount
                | OwnedKind::Role
                | OwnedKind::RoleBinding
                | OwnedKind::Deployment
                | OwnedKind::Service
                | OwnedKind::PodDisruptionBudget
                | OwnedKind::HorizontalPodAutoscaler => {
                    format!("{LABEL_GATEWAY},{LABEL_MANAGED_BY}={MANAGED_BY}")
                }
            };
            self.spawn(&format!("{kind} (own)"), api, OwnedObjects(kind), &selector);
        }
    }

    fn spawn<W: Watched>(&self, kind: &str, api: Api<W::Object>, watched: W, selector: &str) {
        let name = match self.scope {
            WatchScope::Cluster => kind.to_owned(),
            WatchScope::Namespace(namespace) => format!("{kind} in {namespace}"),
        };
        self.context.health.register(&name);
        let mut config = watcher::Config::default().streaming_lists();
        if !selector.is_empty() {
            config = config.labels(selector);
        }
        let watch = Watch {
            name,
            scope: self.scope.clone(),
            api,
            config,
            watched,
            context: self.context.clone(),
            listed: None,
        };
        let drain = self.drain.clone();
        self.drain.spawn(async move {
            tokio::select! {
                () = drain.asked() => {}
                () = watch.run() => {}
            }
        });
    }
}

/// One watch.
struct Watch<W: Watched> {
    name: String,
    scope: WatchScope,
    api: Api<W::Object>,
    config: watcher::Config,
    watched: W,
    context: WatchContext,
    /// During a list: what it contained so far.
    listed: Option<HashSet<ObjectKey>>,
}

impl<W: Watched> Watch<W> {
    async fn run(mut self) {
        let mut pause = FIRST_BACKOFF;
        loop {
            let share = rand::rng().random_range(0.8..1.2);
            let relist = Instant::now() + RELIST_INTERVAL.mul_f64(share);
            let mut stream = pin!(watcher(self.api.clone(), self.config.clone()));
            loop {
                let next = tokio::time::timeout_at(relist, stream.next()).await;
                match next {
                    Err(_) | Ok(None) => break,
                    Ok(Some(Ok(event))) => {
                        pause = FIRST_BACKOFF;
                        self.handle(event);
                    }
                    Ok(Some(Err(error))) => {
                        if self.failed(&error) {
                            break;
                        }
                        let share = rand::rng().random_range(0.5..1.0);
                        tokio::time::sleep(pause.mul_f64(share)).await;
                        pause = (pause * 2).min(MAX_BACKOFF);
                    }
                }
            }
        }
    }

    fn handle(&mut self, event: Event<W::Object>) {
        let list_ended = matches!(event, Event::InitDone);
        let urgency = match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                Urgency::Never
            }
            Event::InitApply(object) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(key_of(&object));
                }
                self.upsert(object)
            }
            Event::Apply(object) => self.upsert(object),
            Event::Delete(object) => {
                let mut cache = self.context.cache.lock();
                self.watched.store(&mut cache).remove(&key_of(&object))
            }
            Event::InitDone => self.remove_unlisted(),
        };
        self.context.health.received(&self.name, list_ended);
        // Nothing may be decided before the first list is complete; its end wakes the loop.
        let urgency = if list_ended { Urgency::Now } else { urgency };
        self.context.trigger.request(urgency);
    }

    fn upsert(&self, object: W::Object) -> Urgency {
        let key = key_of(&object);
        let version = object.resource_version().unwrap_or_default();
        let mut cache = self.context.cache.lock();
        let store = self.watched.store(&mut cache);
        store.upsert(
            key,
            version,
            |before| self.watched.keep(object, before),
            |before, after| self.watched.urgency(before, after),
        )
    }

    fn remove_unlisted(&mut self) -> Urgency {
        let Some(listed) = self.listed.take() else {
            return Urgency::Never;
        };
        let mut cache = self.context.cache.lock();
        let store = self.watched.store(&mut cache);
        store.retain_listed(|key| self.scope.covers(key), &listed)
    }

    /// Records an error; true when the watch has to start again.
    fn failed(&mut self, error: &watcher::Error) -> bool {
        self.context.metrics.watch_failed(&self.name);
        let status = status_of(error);
        // Servers before 1.32 answer a request for a list as a stream (WatchList) with 422.
        let streaming = watcher::InitialListStrategy::StreamingList;
        if status.is_some_and(|status| status.code == 422)
            && self.config.initial_list_strategy == streaming
        {
            self.config.initial_list_strategy = watcher::InitialListStrategy::ListWatch;
            return true;
        }
        let error = match status {
            Some(status) if status.code == 404 => "the kind is not installed; run `kubectl apply \
                --server-side -f crds/` from the release of this operator"
                .to_owned(),
            Some(status) => status.message.clone(),
            None => crate::error_chain(error),
        };
        if self.context.health.failed(&self.name, &error) {
            tracing::warn!(
                watch = self.name,
                problem = error,
                "watch failed, trying again"
            );
        }
        false
    }
}

fn status_of(error: &watcher::Error) -> Option<&kube::core::Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        watcher::Error::WatchError(status) => Some(status),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

fn key_of<K: Resource>(object: &K) -> ObjectKey {
    let metadata = object.meta();
    ObjectKey::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}
