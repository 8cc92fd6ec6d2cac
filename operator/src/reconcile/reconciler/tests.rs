use serde_json::{Value, json};
use tidegate_api::{Gateway, Subscription, WebSocketApi};

use super::*;
use crate::drain::Drain;
use crate::leader_election::Leadership;
use crate::status::StatusWriter;
use crate::testing::{Server, lease, parse};
use crate::watch::{Ack, CustomObject, SharedCache, Trigger, Unreadable, Urgency};
use crate::work_queue::Worker;

const GROUP: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop";
const SECRETS: &str = "/api/v1/namespaces/shop/secrets";

/// The operator without watches: the test fills the cache as the watches would.
struct Fixture {
    server: Server,
    cache: SharedCache,
    reconciler: Reconciler,
    queue: WorkQueue,
    version: u64,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::default();
        let cache = SharedCache::default();
        let metrics = Metrics::new().unwrap();
        let writer = Writer::new(
            server.client(),
            Leadership::always(),
            cache.clone(),
            metrics.clone(),
        );
        let queue = WorkQueue::default();
        let installation = Installation {
            image: "image:1".to_owned(),
            namespaces: Vec::new(),
            election: ObjectKey::new("shop", "election"),
        };
        let context = Context {
            client: server.client(),
            cache: cache.clone(),
            metrics,
            installation,
        };
        let reconciler = Reconciler::new(context, writer, queue.clone());
        Self {
            server,
            cache,
            reconciler,
            queue,
            version: 1_000_000,
        }
    }

    fn put_in_cache<K: CustomObject>(&mut self, name: &str, spec: Value, status: Value) {
        self.version += 1;
        let object: K = parse(json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": K::kind(&()),
            "metadata": {
                "namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": 1,
                "creationTimestamp": "2031-01-01T00:00:00Z",
            },
            "spec": spec, "status": status,
        }));
        let mut cache = self.cache.lock();
        let key = ObjectKey::new("shop", name);
        let version = self.version.to_string();
        K::store(&mut cache).upsert(key, version, |_| Ok(object), |_, _| Urgency::Now);
    }

    fn put_pod_in_cache(&mut self, revision: u64) {
        self.version += 1;
        let keep = |_: Option<&Ack>| {
            let lease = lease(revision, &json!([]));
            Ok(Ack::of(lease, None, Instant::now()))
        };
        let key = ObjectKey::new("shop", "pod-x");
        let version = self.version.to_string();
        let acks = &mut self.cache.lock().acks;
        acks.upsert(key, version, keep, |_, _| Urgency::Now);
    }

    /// One pass and all its tasks; returns what was written.
    async fn reconcile(&mut self) -> Vec<String> {
        self.reconciler.reconcile(false).await.unwrap();
        let drain = Drain::default();
        let worker = self.worker();
        drain.spawn(worker.run(drain.clone()));
        let idle = async {
            while !self.queue.is_idle() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), idle).await;
        waited.expect("the queue was not empty within a minute");
        drain.ask();
        assert!(
            drain.finished(Duration::from_secs(10)).await,
            "the worker did not end in 10 s"
        );
        self.server.writes()
    }

    fn worker(&self) -> Worker {
        let (client, writer) = (self.server.client(), self.reconciler.writer.clone());
        let metrics = self.reconciler.context.metrics.clone();
        Worker {
            queue: self.queue.clone(),
            writer: writer.clone(),
            statuses: StatusWriter::new(client, writer, metrics, "op-0".to_owned()),
            trigger: Trigger::default(),
        }
    }

    fn status(&self, plural: &str, name: &str) -> Value {
        let path = format!("{GROUP}/{plural}/{name}/status");
        self.server.get(&path).unwrap()["status"].clone()
    }

    /// Puts the statuses that were written into the cache, as the watches would.
    fn observe_statuses(&mut self) {
        let status = self.status("gateways", "edge");
        self.put_in_cache::<Gateway>("edge", gateway(), status);
        let status = self.status("websocketapis", "chat");
        self.put_in_cache::<WebSocketApi>("chat", api(), status);
        let status = self.status("subscriptions", "trader");
        self.put_in_cache::<Subscription>("trader", subscription(), status);
    }
}

fn gateway() -> Value {
    json!({ "listeners": [{ "name": "plain", "port": 8000, "protocol": "WS" }] })
}

fn api() -> Value {
    json!({
        "gateways": [{ "name": "edge" }], "path": "/chat",
        "backend": { "url": "ws://backend:9000/" },
    })
}

fn subscription() -> Value {
    json!({ "scope": { "api": "chat" } })
}

fn condition(status: &Value, type_: &str) -> String {
    let conditions = status["conditions"].as_array().unwrap();
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == type_);
    found.unwrap()["reason"].as_str().unwrap().to_owned()
}

async fn settled() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.put_in_cache::<Gateway>("edge", gateway(), Value::Null);
    fixture.put_in_cache::<WebSocketApi>("chat", api(), Value::Null);
    fixture.put_in_cache::<Subscription>("trader", subscription(), Value::Null);
    let first = fixture.reconcile().await;
    assert!(
        first.contains(&"POST secrets/trader-keys".to_owned()),
        "{first:?}"
    );
    assert!(
        !first.contains(&"PATCH trader/status".to_owned()),
        "{first:?}"
    );
    let second = fixture.reconcile().await;
    assert!(
        second.contains(&"PATCH trader/status".to_owned()),
        "{second:?}"
    );
    fixture.observe_statuses();
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pass_without_a_change_writes_nothing() {
    let mut fixture = settled().await;
    assert_eq!(fixture.reconcile().await, Vec::<String>::new());
    let chat = fixture.status("websocketapis", "chat");
    assert_eq!(condition(&chat, "Accepted"), "Accepted");
    assert_eq!(condition(&chat, "Programmed"), "NoPods");
    assert_eq!(chat["gateways"][0]["applied"], "0/0");
}

#[tokio::test(flavor = "multi_thread")]
async fn programmed_follows_from_the_acknowledgement_of_the_pod() {
    let mut fixture = settled().await;
    fixture.put_pod_in_cache(2);
    let writes = fixture.reconcile().await;
    assert!(
        writes.contains(&"PATCH chat/status".to_owned()),
        "{writes:?}"
    );
    for (plural, name) in [
        ("gateways", "edge"),
        ("websocketapis", "chat"),
        ("subscriptions", "trader"),
    ] {
        let status = fixture.status(plural, name);
        assert_eq!(condition(&status, "Programmed"), "Programmed", "{name}");
    }
    assert_eq!(fixture.status("gateways", "edge")["pods"]["summary"], "1/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_reads_back_what_is_published_and_writes_nothing() {
    let mut fixture = settled().await;
    fixture.put_pod_in_cache(2);
    fixture.reconcile().await;
    fixture.observe_statuses();
    assert_eq!(fixture.reconcile().await, Vec::<String>::new());
    fixture.reconciler.reset();
    assert_eq!(fixture.reconcile().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_cannot_read_back_what_is_published_writes_nothing() {
    let mut fixture = settled().await;
    fixture.reconciler.reset();
    fixture.server.fail("GET configmaps/edge-config", 500);
    assert!(fixture.reconciler.reconcile(false).await.is_err());
    assert_eq!(fixture.server.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_secret_is_created_again() {
    let mut fixture = settled().await;
    let path = format!("{SECRETS}/trader-keys");
    let before = fixture.server.get(&path).unwrap();
    fixture.server.forget(&path);
    let key = ObjectKey::new("shop", "trader-keys");
    fixture.cache.lock().key_secrets.remove(&key);
    fixture.reconcile().await;
    let after = fixture.server.get(&path).unwrap();
    assert_ne!(before["data"], after["data"]);
}

/// Plans that one pass makes.
async fn plans(fixture: &mut Fixture) -> u64 {
    let metrics = fixture.reconciler.context.metrics.clone();
    let before = metrics.plans();
    fixture.reconcile().await;
    metrics.plans() - before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_plans_for_a_changed_spec_and_for_a_changed_secret_and_for_nothing_else() {
    let mut fixture = settled().await;
    fixture.reconcile().await;
    assert_eq!(plans(&mut fixture).await, 0, "nothing happened");
    fixture.observe_statuses();
    assert_eq!(plans(&mut fixture).await, 0, "statuses were written");
    fixture.put_pod_in_cache(2);
    assert_eq!(plans(&mut fixture).await, 0, "a pod acknowledged");
    fixture.observe_statuses();
    let mut api = api();
    api["displayName"] = json!("Chat");
    fixture.put_in_cache::<WebSocketApi>("chat", api, Value::Null);
    assert_eq!(plans(&mut fixture).await, 1, "a spec changed");
    assert_eq!(plans(&mut fixture).await, 0, "it was published");
    let key = ObjectKey::new("shop", "trader-keys");
    fixture.cache.lock().key_secrets.remove(&key);
    assert_eq!(plans(&mut fixture).await, 1, "a Secret of keys changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_looks_at_everything_writes_what_differs_only() {
    let mut fixture = settled().await;
    fixture.reconcile().await;
    fixture.observe_statuses();
    fixture.reconcile().await;
    fixture.reconciler.reconcile(true).await.unwrap();
    assert!(fixture.queue.is_idle(), "every status is as it should be");
    let lost = json!({ "conditions": [] });
    fixture.put_in_cache::<WebSocketApi>("chat", api(), lost);
    assert!(
        fixture
            .reconcile()
            .await
            .contains(&"PATCH chat/status".to_owned()),
        "somebody else changed it"
    );
}

/// A Subscription that asks for a product of another namespace.
fn asking() -> Value {
    json!({ "scope": { "namespace": "market", "product": "gold" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_of_another_namespace_gets_one_request_and_an_outdated_one_goes() {
    let mut fixture = Fixture::new();
    let requests = " subscriptionrequests/";
    let product: tidegate_api::Product = parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product",
        "metadata": { "namespace": "market", "name": "gold", "uid": "uid-gold", "generation": 1 },
        "spec": { "subscriptionNamespaces": { "from": "All" } },
    }));
    fixture.cache.lock().products.upsert(
        ObjectKey::new("market", "gold"),
        "1".to_owned(),
        |_| Ok(product),
        |_, _| Urgency::Now,
    );
    fixture.put_in_cache::<Subscription>("trader", asking(), Value::Null);
    let made = |writes: &[String]| -> Vec<String> {
        let about = writes.iter().filter(|write| write.contains(requests));
        about.cloned().collect()
    };
    let writes = made(&fixture.reconcile().await);
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert!(writes[0].starts_with("POST "), "{writes:?}");

    // Another one is about nothing. While its Subscription cannot be read, nobody knows.
    let other: tidegate_api::SubscriptionRequest = parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "SubscriptionRequest",
        "metadata": { "namespace": "market", "name": "old", "uid": "uid-old", "generation": 1 },
        "spec": {
            "subscription": { "namespace": "shop", "name": "lost", "uid": "uid-lost" },
            "terms": { "product": "gold" }, "approval": "Approved",
        },
    }));
    {
        let mut cache = fixture.cache.lock();
        let key = ObjectKey::new("market", "old");
        let version = "2".to_owned();
        cache
            .requests
            .upsert(key, version, |_| Ok(other), |_, _| Urgency::Now);
        let unreadable = Unreadable {
            uid: "uid-lost".to_owned(),
            generation: 1,
            error: "a later version".to_owned(),
        };
        let lost = ObjectKey::new("shop", "lost");
        let subscriptions = &mut cache.subscriptions;
        subscriptions.upsert(
            lost,
            "3".to_owned(),
            |_| Err(unreadable),
            |_, _| Urgency::Now,
        );
    }
    let deleted = |writes: &[String]| writes.iter().any(|write| write.starts_with("DELETE "));
    assert!(!deleted(&made(&fixture.reconcile().await)));
    let lost = ObjectKey::new("shop", "lost");
    fixture.cache.lock().subscriptions.remove(&lost);
    assert!(deleted(&made(&fixture.reconcile().await)));
}
