//! The objects of a world of a given size.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tidegate_e2e::cluster::Cluster;
use tidegate_e2e::scene::{Scene, Served};

use super::probe;

/// Requests at a time while everything is created.
const CONCURRENCY: usize = 32;

/// How many objects there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) apis: usize,
    pub(super) products: usize,
    pub(super) subscriptions: usize,
}

impl Size {
    pub(super) fn from_environment() -> anyhow::Result<Self> {
        let size = |name: &str, default: usize| match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(default),
        };
        let apis = size("APIS", 1_000)?;
        Ok(Self {
            apis,
            products: size("PRODUCTS", (apis / 25).max(1))?,
            subscriptions: size("SUBSCRIPTIONS", 10_000)?,
        })
    }
}

/// A namespace with APIs `api-N` at `/api-N`, products `product-N` and subscriptions `sub-N`.
pub(super) struct World {
    size: Size,
    client: Client,
    namespace: String,
}

impl World {
    /// With the APIs that are changed while nothing else is there.
    pub(super) async fn new(cluster: &Cluster, scene: &Scene, size: Size) -> anyhow::Result<Self> {
        let world = Self {
            size,
            client: cluster.client().await?,
            namespace: scene.namespace().name().to_owned(),
        };
        for number in 0..world.changed() {
            world.put("WebSocketApi", api(number)).await?;
        }
        Ok(world)
    }

    /// APIs that are changed.
    fn changed(&self) -> usize {
        self.size.apis.min(100)
    }

    fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("tidegate.dev", "v1alpha1", kind);
        let plural = format!("{}s", kind.kind.to_lowercase());
        let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    async fn put(&self, kind: &str, (name, spec): (String, Value)) -> anyhow::Result<()> {
        let object = serde_json::from_value(json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        }))?;
        let (objects, how) = (self.objects(kind), PostParams::default());
        let created = objects.create(&how, &object).await;
        created.with_context(|| format!("{kind} {name}"))?;
        Ok(())
    }

    async fn patch(&self, kind: &str, name: &str, spec: Value) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        let objects = self.objects(kind);
        objects.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Creates everything else.
    pub(super) async fn create(&self) -> anyhow::Result<()> {
        let Size {
            apis,
            products,
            subscriptions,
        } = self.size;
        let apis = (self.changed()..apis).map(|number| ("WebSocketApi", api(number)));
        let held = |number| product(number, self.size);
        let products = (0..products).map(|number| ("Product", held(number)));
        let scoped = |number| subscription(number, self.size);
        let subscriptions = (0..subscriptions).map(|number| ("Subscription", scoped(number)));
        let requests = apis.chain(products).chain(subscriptions);
        let requests = requests.map(|(kind, object)| self.put(kind, object));
        let mut requests = futures::stream::iter(requests).buffer_unordered(CONCURRENCY);
        while requests.try_next().await?.is_some() {}
        Ok(())
    }

    /// Changes an API, and waits until a handshake says so.
    pub(super) async fn change(&self, edge: &Served, number: usize) -> anyhow::Result<Duration> {
        let name = format!("api-{}", number % self.changed());
        let target = format!("/{name}");
        let before = edge.request(&target).send().await?.status();
        let after = if before == 418 { 419 } else { 418 };
        let start = Instant::now();
        let spec = json!({"onHandshake": {"inbound": steps(after)}});
        self.patch("WebSocketApi", &name, spec).await?;
        probe::until(edge, &target, None, after).await?;
        Ok(start.elapsed())
    }

    /// Suspends a subscription, and waits until its key is refused.
    pub(super) async fn suspend(&self, edge: &Served, number: usize) -> anyhow::Result<Duration> {
        let (name, key) = (format!("sub-{number}"), self.key(number).await?);
        let target = format!("/api-{}", first_api(number, self.size));
        let start = Instant::now();
        let spec = json!({"state": "Suspended"});
        self.patch("Subscription", &name, spec).await?;
        probe::until(edge, &target, Some(&key), 401).await?;
        Ok(start.elapsed())
    }

    /// The generated primary key of a subscription.
    async fn key(&self, number: usize) -> anyhow::Result<String> {
        let name = format!("sub-{number}-keys");
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&());
        let secrets: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let secret = secrets.get(&name).await?;
        let text = secret.data["data"]["primaryKey"].as_str();
        let bytes = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            text.context("no key")?,
        )?;
        Ok(String::from_utf8(bytes)?)
    }
}

/// Two policies: the second one answers, so that no backend is needed.
fn steps(status: u16) -> Value {
    json!([
        {"setHeader": {"name": "X-Team", "values": ["${request.path} of ${client.ip}"]}},
        {"returnResponse": {"status": status, "body": "measured"}},
    ])
}

fn api(number: usize) -> (String, Value) {
    let name = format!("api-{number}");
    let spec = json!({
        "gateways": [{"name": "edge"}],
        "path": format!("/{name}"),
        "backend": {"url": format!("ws://{name}.backend:7000/")},
        "subscriptionRequired": false,
        "onHandshake": {"inbound": steps(418)},
    });
    (name, spec)
}

fn first_api(number: usize, size: Size) -> usize {
    let each = (size.apis / size.products).max(1);
    number % size.products * each
}

fn product(number: usize, size: Size) -> (String, Value) {
    let first = first_api(number, size);
    let each = (size.apis / size.products).max(1);
    let apis = (first..first + each).map(|api| json!({"name": format!("api-{api}")}));
    let spec = json!({"apis": apis.collect::<Vec<_>>()});
    (format!("product-{number}"), spec)
}

fn subscription(number: usize, size: Size) -> (String, Value) {
    let product = format!("product-{}", number % size.products);
    let spec = json!({"scope": {"product": product}, "owner": format!("team-{}", number % 50)});
    (format!("sub-{number}"), spec)
}
