use serde_json::json;

use super::*;
use crate::gather::SharedIndex;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::testing::{Server, parse};

const GROUP: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop";
const SECRETS: &str = "/api/v1/namespaces/shop/secrets";

/// The task that does chores, against a server.
struct Bench {
    server: Server,
    chores: Chores,
    drain: Drain,
    waker: Waker,
}

impl Bench {
    fn start() -> Self {
        let server = Server::default();
        let (chores, drain, waker) = (Chores::default(), Drain::default(), Waker::default());
        let writer = Writer::new(
            server.client(),
            Leadership::forever(),
            SharedIndex::default(),
            Metrics::new().unwrap(),
        );
        let work = chores.clone();
        drain.spawn(work.run(writer, "op-0".to_owned(), waker.clone(), drain.clone()));
        Self {
            server,
            chores,
            drain,
            waker,
        }
    }

    /// Does `list` and waits until all of it was tried.
    async fn settle(&self, list: BTreeMap<About, Chore>) -> Vec<String> {
        self.chores.replace(list);
        let idle = async {
            while !self.chores.is_idle() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), idle).await;
        waited.expect("the chores were not done within a minute");
        self.server.writes()
    }
}

fn subscription() -> Arc<Subscription> {
    Arc::new(parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
        "metadata": { "namespace": "shop", "name": "trader", "uid": "uid-trader" },
        "spec": { "scope": { "product": "all" } },
    })))
}

fn keys(exists: bool, primary: Option<i64>, secondary: Option<i64>) -> (About, Chore) {
    let secret = ObjectKey::new("shop", "trader-keys");
    let request = KeyRequest {
        subscription: ObjectKey::new("shop", "trader"),
        secret: secret.clone(),
        exists,
        primary,
        secondary,
    };
    (About::Keys(secret), Chore::Keys(request, subscription()))
}

fn status(conditions: serde_json::Value) -> (About, Chore) {
    let object = ObjectRef::new(Kind::Subscription, &ObjectKey::new("shop", "trader"));
    let report = Report {
        uid: "uid-trader".to_owned(),
        status: parse(json!({ "state": "Active", "conditions": conditions })),
        transitions: Vec::new(),
    };
    (About::Status(object), Chore::Subscription(report))
}

#[tokio::test(start_paused = true)]
async fn keys_are_made_before_their_subscription_is_reported() {
    let bench = Bench::start();
    let both = BTreeMap::from([keys(false, Some(1), Some(1)), status(json!([]))]);
    assert_eq!(bench.settle(both).await, ["POST secrets/trader-keys"]);
    let then = BTreeMap::from([status(json!([]))]);
    assert_eq!(bench.settle(then).await, ["PATCH trader/status"]);
    bench.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn a_gateways_status_is_written_twice_a_second_at_most_and_the_last_one_counts() {
    let bench = Bench::start();
    let object = ObjectRef::new(Kind::Gateway, &ObjectKey::new("shop", "edge"));
    let report = |revision: u64| {
        let report = Report {
            uid: "uid-edge".to_owned(),
            status: parse(json!({ "revision": revision })),
            transitions: Vec::new(),
        };
        BTreeMap::from([(About::Status(object.clone()), Chore::Gateway(report))])
    };
    let mut writes = 0;
    for revision in 1..=100 {
        bench.chores.replace(report(revision));
        tokio::time::sleep(Duration::from_millis(10)).await;
        writes += bench.server.writes().len();
    }
    assert_eq!(writes, 2, "in one second");
    bench.settle(report(101)).await;
    let status = bench
        .server
        .get(&format!("{GROUP}/gateways/edge/status"))
        .unwrap();
    assert_eq!(status["status"]["revision"], 101);
    bench.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn a_subscription_whose_keys_cannot_be_made_is_reported() {
    let bench = Bench::start();
    bench.server.fail("secrets/trader-keys", 500);
    let both = || BTreeMap::from([keys(false, Some(1), Some(1)), status(json!([]))]);
    assert_eq!(bench.settle(both()).await, ["POST secrets/trader-keys"]);
    let again = bench.settle(both()).await;
    assert!(
        again.contains(&"PATCH trader/status".to_owned()),
        "{again:?}"
    );
    let woken = tokio::time::timeout(Duration::from_secs(5), bench.waker.soon()).await;
    assert!(woken.is_ok(), "a pass has to ask again");
    bench.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn only_the_requested_key_changes_and_only_in_a_generated_secret() {
    let bench = Bench::start();
    let path = format!("{SECRETS}/trader-keys");
    bench
        .settle(BTreeMap::from([keys(false, Some(1), Some(1))]))
        .await;
    let before = bench.server.get(&path).unwrap();
    let renewal = || BTreeMap::from([keys(true, Some(2), None)]);
    assert_eq!(bench.settle(renewal()).await, ["PUT secrets/trader-keys"]);
    let after = bench.server.get(&path).unwrap();
    assert_ne!(before["data"]["primaryKey"], after["data"]["primaryKey"]);
    assert_eq!(
        before["data"]["secondaryKey"],
        after["data"]["secondaryKey"]
    );
    let mut users = after.clone();
    users["metadata"]["ownerReferences"] = json!([]);
    bench.server.put(&path, users);
    assert_eq!(bench.settle(renewal()).await, Vec::<String>::new());
    bench.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_object_is_reported_once() {
    let bench = Bench::start();
    bench.server.put(
        &format!("{GROUP}/products/odd/status"),
        json!({ "metadata": { "name": "odd", "namespace": "shop" } }),
    );
    let broken = |message: &str| {
        let object = ObjectRef::new(Kind::Product, &ObjectKey::new("shop", "odd"));
        let broken = Broken {
            uid: "u".to_owned(),
            generation: 3,
            message: message.to_owned(),
        };
        let condition: Condition = parse(json!({
            "type": "Accepted", "status": "False", "reason": "Invalid", "message": message,
            "lastTransitionTime": "2031-01-01T00:00:00Z",
        }));
        let chore = Chore::Unreadable(broken, Box::new(condition));
        BTreeMap::from([(About::Status(object), chore)])
    };
    let first = bench.settle(broken("bad")).await;
    assert_eq!(
        first
            .iter()
            .filter(|write| write.contains("odd/status"))
            .count(),
        1,
        "{first:?}"
    );
    assert!(
        first.iter().any(|write| write.contains("POST events/odd")),
        "{first:?}"
    );
    assert_eq!(bench.settle(broken("bad")).await, Vec::<String>::new());
    assert!(!bench.settle(broken("bad otherwise")).await.is_empty());
    bench.settle(BTreeMap::new()).await;
    assert!(
        !bench.settle(broken("bad otherwise")).await.is_empty(),
        "it was readable between"
    );
    bench.drain.ask();
}
