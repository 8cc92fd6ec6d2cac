//! The watches: streams of the API server's events into the index. Client required.

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
    Gateway, LABEL_MANAGED_BY, MANAGED_BY, PolicyFragment, Product, Subscription, WebSocketApi,
};
use tidegate_config::{
    LABEL_GATEWAY, LABEL_PART, ObjectKey, PART_ACK, PART_INDEX, PART_SECRET_DATA, PART_SHARD,
};
use tokio::time::Instant;

use super::watched::{
    Acks, Custom, GatewayPods, KeySecrets, NamespaceLabels, OwnedObjects, Resources, Versions,
    Watched,
};
use super::{Health, SharedIndex, Wake, Waker};
use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::names::{PART_ADMIN, PART_KEYS};
use crate::owned::OwnedKind;

/// Every watch lists anew this often: what a stalled stream or a lost event left behind is repaired
/// then at the latest. Spread by a fifth, so that the watches do not list all at once.
pub(crate) const RELIST: Duration = Duration::from_secs(600);

/// First and longest pause after an error. The longest is short because nothing is served from here
/// while the API server is away, and everything should converge at once when it is back.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them, with cluster-wide rights.
    Cluster,
    /// One, with rights in it.
    Namespace(String),
}

impl Scope {
    /// One scope per given namespace; the whole cluster when there is none.
    pub(crate) fn of(namespaces: &[String]) -> Vec<Self> {
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

/// What all watches share.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) index: SharedIndex,
    pub(crate) waker: Waker,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
}

/// Starts every watch.
pub(crate) fn spawn_watches(client: &Client, scopes: &[Scope], sink: &Sink, drain: &Drain) {
    for scope in scopes {
        let watches = Watches {
            client,
            scope,
            sink,
            drain,
        };
        watches.custom::<Gateway>();
        watches.custom::<WebSocketApi>();
        watches.custom::<Product>();
        watches.custom::<PolicyFragment>();
        watches.custom::<Subscription>();
        watches.secrets_and_config_maps();
        watches.owned();
        let leases = format!("{LABEL_PART}={PART_ACK}");
        watches.spawn("Lease", scope.api(client.clone()), Acks, &leases);
        let api: Api<PartialObjectMeta<Pod>> = scope.api(client.clone());
        watches.spawn("Pod", api, GatewayPods, LABEL_GATEWAY);
    }
    // With rights in some namespaces only, labels of Namespaces cannot be read; a selector then sees
    // the one label that follows from the name.
    if scopes.contains(&Scope::Cluster) {
        let api: Api<PartialObjectMeta<Namespace>> = cluster_api(client.clone());
        let watches = Watches {
            client,
            scope: &Scope::Cluster,
            sink,
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
    scope: &'a Scope,
    sink: &'a Sink,
    drain: &'a Drain,
}

impl Watches<'_> {
    fn custom<K>(&self)
    where
        K: Custom + Resource<Scope = NamespaceResourceScope>,
    {
        let api = self.scope.api(self.client.clone());
        let kind = K::kind(&()).into_owned();
        self.spawn(&kind, api, Resources::<K>(PhantomData), "");
    }

    /// RBAC knows no "metadata only", so these watches need the right to read all Secrets and
    /// ConfigMaps of the namespaces; but only what an object names is ever fetched and kept.
    fn secrets_and_config_maps(&self) {
        let client = self.client.clone();
        let keys = format!("{LABEL_PART}={PART_KEYS}");
        self.spawn("Secret (keys)", self.scope.api(client), KeySecrets, &keys);
        let api: Api<PartialObjectMeta<Secret>> = self.scope.api(self.client.clone());
        let foreign = format!("{LABEL_PART} notin ({PART_KEYS},{PART_SECRET_DATA},{PART_ADMIN})");
        self.spawn("Secret", api, Versions::of_secrets(), &foreign);
        let api: Api<PartialObjectMeta<ConfigMap>> = self.scope.api(self.client.clone());
        let foreign = format!("{LABEL_PART} notin ({PART_INDEX},{PART_SHARD})");
        self.spawn("ConfigMap", api, Versions::of_config_maps(), &foreign);
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
            Scope::Cluster => kind.to_owned(),
            Scope::Namespace(namespace) => format!("{kind} in {namespace}"),
        };
        self.sink.health.register(&name);
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
            sink: self.sink.clone(),
            seen: None,
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
    scope: Scope,
    api: Api<W::Object>,
    config: watcher::Config,
    watched: W,
    sink: Sink,
    /// During a list: what it has given so far.
    seen: Option<HashSet<ObjectKey>>,
}

impl<W: Watched> Watch<W> {
    async fn run(mut self) {
        let mut pause = BACKOFF.0;
        loop {
            let share = rand::rng().random_range(0.8..1.2);
            let relist = Instant::now() + RELIST.mul_f64(share);
            let mut stream = pin!(watcher(self.api.clone(), self.config.clone()));
            loop {
                let next = tokio::time::timeout_at(relist, stream.next()).await;
                match next {
                    Err(_) | Ok(None) => break,
                    Ok(Some(Ok(event))) => {
                        pause = BACKOFF.0;
                        self.take(event);
                    }
                    Ok(Some(Err(error))) => {
                        if self.failed(&error) {
                            break;
                        }
                        let share = rand::rng().random_range(0.5..1.0);
                        tokio::time::sleep(pause.mul_f64(share)).await;
                        pause = (pause * 2).min(BACKOFF.1);
                    }
                }
            }
        }
    }

    fn take(&mut self, event: Event<W::Object>) {
        let listed = matches!(event, Event::InitDone);
        let urgency = match event {
            Event::Init => {
                self.seen = Some(HashSet::new());
                Wake::Never
            }
            Event::InitApply(object) => {
                if let Some(seen) = &mut self.seen {
                    seen.insert(key_of(&object));
                }
                self.upsert(object)
            }
            Event::Apply(object) => self.upsert(object),
            Event::Delete(object) => {
                let mut index = self.sink.index.lock();
                self.watched.store(&mut index).remove(&key_of(&object))
            }
            Event::InitDone => self.forget_unseen(),
        };
        self.sink.health.heard(&self.name, listed);
        // Before the first list is whole nothing may be decided; its end wakes the pass.
        let urgency = if listed { Wake::Now } else { urgency };
        self.sink.waker.wake(urgency);
    }

    fn upsert(&self, object: W::Object) -> Wake {
        let key = key_of(&object);
        let version = object.resource_version().unwrap_or_default();
        let mut index = self.sink.index.lock();
        let store = self.watched.store(&mut index);
        store.upsert(
            key,
            version,
            |before| self.watched.keep(object, before),
            |before, after| self.watched.wake(before, after),
        )
    }

    fn forget_unseen(&mut self) -> Wake {
        let Some(seen) = self.seen.take() else {
            return Wake::Never;
        };
        let mut index = self.sink.index.lock();
        let store = self.watched.store(&mut index);
        store.retain_seen(|key| self.scope.covers(key), &seen)
    }

    /// Notes an error; true when the watch has to start anew.
    fn failed(&mut self, error: &watcher::Error) -> bool {
        self.sink.metrics.watch_failed(&self.name);
        let status = status_of(error);
        // Servers before 1.32 do not know lists as streams (WatchList) and say so with 422.
        let streaming = watcher::InitialListStrategy::StreamingList;
        if status.is_some_and(|status| status.code == 422)
            && self.config.initial_list_strategy == streaming
        {
            self.config.initial_list_strategy = watcher::InitialListStrategy::ListWatch;
            return true;
        }
        let problem = match status {
            Some(status) if status.code == 404 => "the kind is not installed; run `kubectl apply \
                --server-side -f crds/` from the release of this operator"
                .to_owned(),
            Some(status) => status.message.clone(),
            None => crate::error_chain(error),
        };
        if self.sink.health.failed(&self.name, &problem) {
            tracing::warn!(watch = self.name, problem, "watch failed, trying again");
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
