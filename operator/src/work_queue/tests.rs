use serde_json::json;

use super::*;
use crate::drain::Drain;
use crate::leader_election::Leadership;
use crate::metrics::Metrics;
use crate::status::{Status, StatusWriter};
use crate::testing::{Server, parse};
use crate::watch::{SharedCache, Trigger};
use crate::write::Writer;

const GROUP: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop";
const SECRETS: &str = "/api/v1/namespaces/shop/secrets";

/// A queue and its worker, against a server.
struct Fixture {
    server: Server,
    queue: WorkQueue,
    drain: Drain,
    trigger: Trigger,
}

impl Fixture {
    fn start() -> Self {
        let server = Server::default();
        let metrics = Metrics::new().unwrap();
        let (queue, drain, trigger) = (WorkQueue::default(), Drain::default(), Trigger::default());
        let writer = Writer::new(
            server.client(),
            Leadership::always(),
            SharedCache::default(),
            metrics.clone(),
        );
        let replica = "op-0".to_owned();
        let worker = Worker {
            queue: queue.clone(),
            statuses: StatusWriter::new(server.client(), writer.clone(), metrics, replica),
            writer,
            trigger: trigger.clone(),
        };
        drain.spawn(worker.run(drain.clone()));
        Self {
            server,
            queue,
            drain,
            trigger,
        }
    }

    /// Replaces the queue by `tasks` and waits until all were tried; returns what was written.
    async fn process(&self, tasks: BTreeMap<TaskKey, Task>) -> Vec<String> {
        self.queue.replace(tasks, |_| true);
        let idle = async {
            while !self.queue.is_idle() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), idle).await;
        waited.expect("the queue was not empty within a minute");
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

fn keys(exists: bool, primary: Option<i64>, secondary: Option<i64>) -> (TaskKey, Task) {
    let secret = ObjectKey::new("shop", "trader-keys");
    let request = KeyRequest {
        subscription: ObjectKey::new("shop", "trader"),
        secret: secret.clone(),
        exists,
        primary,
        secondary,
    };
    (TaskKey::Keys(secret), Task::Keys(request, subscription()))
}

fn status(conditions: serde_json::Value) -> (TaskKey, Task) {
    let object = ObjectRef::new(CustomKind::Subscription, &ObjectKey::new("shop", "trader"));
    let status = parse(json!({ "state": "Active", "conditions": conditions }));
    let update = StatusUpdate {
        uid: "uid-trader".to_owned(),
        status: Status::Subscription(status),
        events: Vec::new(),
    };
    (TaskKey::Status(object), Task::Status(Box::new(update)))
}

#[tokio::test(start_paused = true)]
async fn keys_are_generated_before_the_status_of_their_subscription_is_written() {
    let fixture = Fixture::start();
    let both = BTreeMap::from([keys(false, Some(1), Some(1)), status(json!([]))]);
    assert_eq!(fixture.process(both).await, ["POST secrets/trader-keys"]);
    let then = BTreeMap::from([status(json!([]))]);
    assert_eq!(fixture.process(then).await, ["PATCH trader/status"]);
    fixture.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_gateway_is_written_at_most_twice_a_second_and_the_last_one_counts() {
    let fixture = Fixture::start();
    let object = ObjectRef::new(CustomKind::Gateway, &ObjectKey::new("shop", "edge"));
    let update = |revision: u64| {
        let update = StatusUpdate {
            uid: "uid-edge".to_owned(),
            status: Status::Gateway(parse(json!({ "revision": revision }))),
            events: Vec::new(),
        };
        let task = Task::Status(Box::new(update));
        BTreeMap::from([(TaskKey::Status(object.clone()), task)])
    };
    let mut writes = 0;
    for revision in 1..=100 {
        fixture.queue.replace(update(revision), |_| true);
        tokio::time::sleep(Duration::from_millis(10)).await;
        writes += fixture.server.writes().len();
    }
    assert_eq!(writes, 2, "in one second");
    fixture.process(update(101)).await;
    let status = fixture
        .server
        .get(&format!("{GROUP}/gateways/edge/status"))
        .unwrap();
    assert_eq!(status["status"]["revision"], 101);
    fixture.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_subscription_whose_keys_failed_is_written() {
    let fixture = Fixture::start();
    fixture.server.fail("secrets/trader-keys", 500);
    let both = || BTreeMap::from([keys(false, Some(1), Some(1)), status(json!([]))]);
    assert_eq!(fixture.process(both()).await, ["POST secrets/trader-keys"]);
    let again = fixture.process(both()).await;
    assert!(
        again.contains(&"PATCH trader/status".to_owned()),
        "{again:?}"
    );
    let woken = tokio::time::timeout(Duration::from_secs(5), fixture.trigger.soon()).await;
    assert!(woken.is_ok(), "a pass has to ask again");
    fixture.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn only_the_requested_key_changes_and_only_in_a_generated_secret() {
    let fixture = Fixture::start();
    let path = format!("{SECRETS}/trader-keys");
    fixture
        .process(BTreeMap::from([keys(false, Some(1), Some(1))]))
        .await;
    let before = fixture.server.get(&path).unwrap();
    let renewal = || BTreeMap::from([keys(true, Some(2), None)]);
    assert_eq!(
        fixture.process(renewal()).await,
        ["PUT secrets/trader-keys"]
    );
    let after = fixture.server.get(&path).unwrap();
    assert_ne!(before["data"]["primaryKey"], after["data"]["primaryKey"]);
    assert_eq!(
        before["data"]["secondaryKey"],
        after["data"]["secondaryKey"]
    );
    let mut users = after.clone();
    users["metadata"]["ownerReferences"] = json!([]);
    fixture.server.put(&path, users);
    assert_eq!(fixture.process(renewal()).await, Vec::<String>::new());
    fixture.drain.ask();
}

#[tokio::test(start_paused = true)]
async fn the_status_of_an_unreadable_object_is_written_once() {
    let fixture = Fixture::start();
    fixture.server.put(
        &format!("{GROUP}/products/odd/status"),
        json!({ "metadata": { "name": "odd", "namespace": "shop" } }),
    );
    let unreadable = |message: &str| {
        let object = ObjectRef::new(CustomKind::Product, &ObjectKey::new("shop", "odd"));
        let unreadable = Unreadable {
            uid: "u".to_owned(),
            generation: 3,
            error: message.to_owned(),
        };
        let condition: Condition = parse(json!({
            "type": "Accepted", "status": "False", "reason": "Invalid", "message": message,
            "lastTransitionTime": "2031-01-01T00:00:00Z",
        }));
        let task = Task::Unreadable(unreadable, Box::new(condition));
        BTreeMap::from([(TaskKey::Status(object), task)])
    };
    let first = fixture.process(unreadable("bad")).await;
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
    assert_eq!(
        fixture.process(unreadable("bad")).await,
        Vec::<String>::new()
    );
    assert!(
        !fixture
            .process(unreadable("bad otherwise"))
            .await
            .is_empty()
    );
    fixture.process(BTreeMap::new()).await;
    assert!(
        !fixture
            .process(unreadable("bad otherwise"))
            .await
            .is_empty(),
        "it was readable between"
    );
    fixture.drain.ask();
}
