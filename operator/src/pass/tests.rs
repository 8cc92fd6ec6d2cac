use serde_json::{Value, json};
use tidegate_api::{Gateway, Subscription, WebSocketApi};

use super::*;
use crate::drain::Drain;
use crate::gather::{Custom, SharedIndex, Wake, Waker};
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::testing::{Server, lease, parse};

const GROUP: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop";
const SECRETS: &str = "/api/v1/namespaces/shop/secrets";

/// The operator without watches: the test tells the index what the watches would.
struct Bench {
    server: Server,
    index: SharedIndex,
    pass: Pass,
    chores: Chores,
    version: u64,
}

impl Bench {
    fn new() -> Self {
        let server = Server::default();
        let index = SharedIndex::default();
        let metrics = Metrics::new().unwrap();
        let writer = Writer::new(
            server.client(),
            Leadership::forever(),
            index.clone(),
            metrics,
        );
        let chores = Chores::default();
        let site = Installation {
            image: "image:1".to_owned(),
            namespaces: Vec::new(),
            election: ObjectKey::new("shop", "election"),
        };
        let pass = Pass::new(writer, chores.clone(), site);
        Self {
            server,
            index,
            pass,
            chores,
            version: 1_000_000,
        }
    }

    fn see<K: Custom>(&mut self, name: &str, spec: Value, status: Value) {
        self.version += 1;
        let object: K = parse(json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": K::kind(&()),
            "metadata": {
                "namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": 1,
                "creationTimestamp": "2031-01-01T00:00:00Z",
            },
            "spec": spec, "status": status,
        }));
        let mut index = self.index.lock();
        let key = ObjectKey::new("shop", name);
        let version = self.version.to_string();
        K::store(&mut index).upsert(key, version, |_| Ok(object), |_, _| Wake::Now);
    }

    fn see_pod(&mut self, revision: u64) {
        self.version += 1;
        let keep = |_: Option<&crate::gather::Ack>| {
            let lease = lease(revision, &json!([]));
            Ok(crate::gather::Ack::of(lease, None, Instant::now()))
        };
        let key = ObjectKey::new("shop", "pod-x");
        let version = self.version.to_string();
        let acks = &mut self.index.lock().acks;
        acks.upsert(key, version, keep, |_, _| Wake::Now);
    }

    /// One pass and all its chores; what was written.
    async fn turn(&mut self) -> Vec<String> {
        self.pass.run().await.unwrap();
        let drain = Drain::default();
        let (writer, waker) = (self.pass.writer.clone(), Waker::default());
        let work = self.chores.clone();
        drain.spawn(work.run(writer, "op-0".to_owned(), waker, drain.clone()));
        let idle = async {
            while !self.chores.is_idle() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), idle).await;
        waited.expect("the chores were not done within a minute");
        drain.ask();
        assert!(
            drain.finished(Duration::from_secs(10)).await,
            "chores did not end in 10 s"
        );
        self.server.writes()
    }

    fn status(&self, plural: &str, name: &str) -> Value {
        let path = format!("{GROUP}/{plural}/{name}/status");
        self.server.get(&path).unwrap()["status"].clone()
    }

    /// The watches tell of the statuses that were written.
    fn reflect(&mut self) {
        let status = self.status("gateways", "edge");
        self.see::<Gateway>("edge", gateway(), status);
        let status = self.status("websocketapis", "chat");
        self.see::<WebSocketApi>("chat", api(), status);
        let status = self.status("subscriptions", "trader");
        self.see::<Subscription>("trader", subscription(), status);
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

async fn settled() -> Bench {
    let mut bench = Bench::new();
    bench.see::<Gateway>("edge", gateway(), Value::Null);
    bench.see::<WebSocketApi>("chat", api(), Value::Null);
    bench.see::<Subscription>("trader", subscription(), Value::Null);
    let first = bench.turn().await;
    assert!(
        first.contains(&"POST secrets/trader-keys".to_owned()),
        "{first:?}"
    );
    assert!(
        !first.contains(&"PATCH trader/status".to_owned()),
        "{first:?}"
    );
    let second = bench.turn().await;
    assert!(
        second.contains(&"PATCH trader/status".to_owned()),
        "{second:?}"
    );
    bench.reflect();
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_stands_still_is_written_once() {
    let mut bench = settled().await;
    assert_eq!(bench.turn().await, Vec::<String>::new());
    let chat = bench.status("websocketapis", "chat");
    assert_eq!(condition(&chat, "Accepted"), "Accepted");
    assert_eq!(condition(&chat, "Programmed"), "NoPods");
    assert_eq!(chat["gateways"][0]["applied"], "0/0");
}

#[tokio::test(flavor = "multi_thread")]
async fn programmed_follows_from_the_pods_word_alone() {
    let mut bench = settled().await;
    bench.see_pod(2);
    let writes = bench.turn().await;
    assert!(
        writes.contains(&"PATCH chat/status".to_owned()),
        "{writes:?}"
    );
    for (plural, name) in [
        ("gateways", "edge"),
        ("websocketapis", "chat"),
        ("subscriptions", "trader"),
    ] {
        let status = bench.status(plural, name);
        assert_eq!(condition(&status, "Programmed"), "Programmed", "{name}");
    }
    assert_eq!(bench.status("gateways", "edge")["pods"]["summary"], "1/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_finds_everything_as_it_is() {
    let mut bench = settled().await;
    bench.see_pod(2);
    bench.turn().await;
    bench.reflect();
    assert_eq!(bench.turn().await, Vec::<String>::new());
    bench.pass.reset();
    assert_eq!(bench.turn().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_back_stops_the_pass_and_nothing_is_written() {
    let mut bench = settled().await;
    bench.pass.reset();
    bench.server.fail("GET configmaps/edge-config", 500);
    assert!(bench.pass.run().await.is_err());
    assert_eq!(bench.server.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_secret_is_made_anew() {
    let mut bench = settled().await;
    let path = format!("{SECRETS}/trader-keys");
    let before = bench.server.get(&path).unwrap();
    bench.server.forget(&path);
    let key = ObjectKey::new("shop", "trader-keys");
    bench.index.lock().key_secrets.remove(&key);
    bench.turn().await;
    let after = bench.server.get(&path).unwrap();
    assert_ne!(before["data"], after["data"]);
}
