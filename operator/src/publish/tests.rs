use serde_json::{Value, json};

use super::*;
use crate::leader_election::{LeaderElection, Leadership};
use crate::metrics::Metrics;
use crate::testing::{Server, api_config, gateway, gateway_config, pods};

const CORE: &str = "/api/v1/namespaces/shop";

/// One Gateway `shop/edge`, published again and again.
struct Fixture {
    server: Server,
    cache: SharedCache,
    writer: Writer,
    gateway: tidegate_api::Gateway,
    key: ObjectKey,
    pods: Pods,
    acknowledged: u64,
    published: Option<Published>,
    /// Names of the APIs at the last attempt.
    apis: Vec<String>,
    now: Instant,
}

fn writer(server: &Server, leadership: Leadership, cache: &SharedCache) -> Writer {
    let metrics = Metrics::new().unwrap();
    Writer::new(server.client(), leadership, cache.clone(), metrics)
}

impl Fixture {
    fn new() -> Self {
        let server = Server::default();
        let cache = SharedCache::default();
        let writer = writer(&server, Leadership::always(), &cache);
        Self {
            server,
            cache,
            writer,
            gateway: gateway(json!({})),
            key: ObjectKey::new("shop", "edge"),
            pods: Pods::default(),
            acknowledged: 0,
            published: None,
            apis: Vec::new(),
            now: Instant::now(),
        }
    }

    async fn publish(&mut self, apis: &[&str]) -> Result<(), PublishError> {
        let mut config = gateway_config("shop", "edge");
        let api = |name: &&str| Arc::new(api_config("shop", name));
        config.apis = apis.iter().map(api).collect();
        let plan = GatewayPlan {
            config,
            secret_data: Arc::default(),
        };
        let rendered = Rendered::new(&plan.config, &plan.secret_data);
        let changed = self.changed(apis);
        let content = Content {
            plan: &plan,
            rendered: &rendered,
            changed: &changed,
        };
        let publication = Publication {
            writer: &self.writer,
            cache: &self.cache,
            target: Target::new(&self.gateway, &self.key, "image:1"),
            pods: &self.pods,
            leases: Vec::new(),
            acknowledged: self.acknowledged,
            now: self.now,
        };
        let outcome = publication.publish(&content, &mut self.published).await;
        self.apis = apis.iter().map(ToString::to_string).collect();
        outcome
    }

    /// What differs from the last attempt.
    fn changed(&self, apis: &[&str]) -> ChangedConfig {
        let before = self.apis.iter().map(String::as_str);
        let all: std::collections::BTreeSet<_> = before.chain(apis.iter().copied()).collect();
        let differing = all
            .into_iter()
            .filter(|name| self.apis.iter().any(|before| before == name) != apis.contains(name));
        ChangedConfig {
            apis: differing.map(|name| ObjectKey::new("shop", name)).collect(),
            ..ChangedConfig::default()
        }
    }

    fn revision(&self) -> u64 {
        self.published.as_ref().map_or(0, |p| p.index.revision)
    }

    /// Does what the watch would do after somebody's change.
    fn observe(&self, kind: OwnedKind, name: &str, object: Option<Value>) {
        let mut cache = self.cache.lock();
        let store = cache.owned.entry(kind).or_default();
        let key = ObjectKey::new("shop", name);
        store.remove(&key);
        if let Some(mut object) = object {
            object["metadata"]["resourceVersion"] = json!("1000000");
            let live = Owned::of(kind, serde_json::from_value(object).unwrap());
            store.store_created(&key, "1000000", live);
        }
    }

    fn shard(&self, kind: &str) -> String {
        let index = &self.published.as_ref().unwrap().index;
        let name = index.shards.iter().find(|part| part.name.contains(kind));
        name.unwrap().name.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn parts_come_first_then_rights_then_the_index_then_pods() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    let writes = fixture.server.writes();
    let position = |text: &str| {
        writes
            .iter()
            .position(|write| write.contains(text))
            .unwrap()
    };
    let order = [
        position("POST configmaps/edge-config-apis"),
        position("PATCH serviceaccounts/edge"),
        position("PATCH roles/edge"),
        position("PATCH rolebindings/edge"),
        position("PATCH configmaps/edge-config"),
        position("PATCH deployments/edge"),
        position("PATCH services/edge"),
        position("PATCH poddisruptionbudgets/edge"),
    ];
    assert!(order.is_sorted(), "{writes:?}");
    assert_eq!(fixture.revision(), 1);
}

#[tokio::test(start_paused = true)]
async fn equal_content_writes_nothing() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    fixture.server.writes();
    fixture.publish(&["chat"]).await.unwrap();
    assert_eq!(fixture.server.writes(), Vec::<String>::new());
    assert_eq!(fixture.revision(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_moves_one_shard_and_the_index() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    fixture.server.writes();
    fixture.publish(&["chat", "news"]).await.unwrap();
    let writes = fixture.server.writes();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert!(writes[0].starts_with("POST configmaps/edge-config-apis-0-"));
    assert_eq!(writes[1], "PATCH configmaps/edge-config");
    assert_eq!(fixture.revision(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_index_never_names_a_part_that_could_not_be_written() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    fixture.server.writes();
    fixture.server.fail("POST configmaps", 500);
    assert!(fixture.publish(&["chat", "news"]).await.is_err());
    let writes = fixture.server.writes();
    assert!(
        !writes.iter().any(|write| write.ends_with("/edge-config")),
        "{writes:?}"
    );
    assert_eq!(
        fixture.revision(),
        1,
        "the old revision is still what is published"
    );
    fixture.server.recover();
    fixture.publish(&["chat", "news"]).await.unwrap();
    assert_eq!(fixture.revision(), 2);
}

#[tokio::test(start_paused = true)]
async fn old_parts_stay_until_every_pod_has_a_revision_without_them() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    let old = fixture.shard("apis");
    let path = format!("{CORE}/configmaps/{old}");
    fixture.pods = pods(&[1, 1]);
    fixture.publish(&["news"]).await.unwrap();
    for (revisions, there) in [(&[1, 1][..], true), (&[2, 1], true), (&[2, 2], false)] {
        fixture.pods = pods(revisions);
        fixture.publish(&["news"]).await.unwrap();
        assert_eq!(fixture.server.get(&path).is_some(), there, "{revisions:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgements_old_parts_stay_ten_minutes() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    let path = format!("{CORE}/configmaps/{}", fixture.shard("apis"));
    fixture.publish(&["news"]).await.unwrap();
    for (seconds, there) in [(599, true), (1, false)] {
        fixture.now += Duration::from_secs(seconds);
        fixture.publish(&["news"]).await.unwrap();
        assert_eq!(
            fixture.server.get(&path).is_some(),
            there,
            "after {seconds} s more"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_and_deleted_parts_are_restored() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    let shard = fixture.shard("apis");
    let damage: fn(&mut Value) = |shard| shard["data"]["shard.json"] = json!("damaged");
    let truncate: fn(&mut Value) = |index| index["data"]["index.json"] = json!("{");
    let cases = [
        ("a deleted shard", shard.as_str(), None, &["POST"][..]),
        ("a damaged shard", &shard, Some(damage), &["DELETE", "POST"]),
        ("a deleted index", "edge-config", None, &["PATCH"]),
        (
            "a truncated index",
            "edge-config",
            Some(truncate),
            &["PATCH"],
        ),
    ];
    for (name, object, change, verbs) in cases {
        let path = format!("{CORE}/configmaps/{object}");
        let good = fixture.server.get(&path).unwrap();
        let seen = change.map(|change| {
            let mut seen = good.clone();
            change(&mut seen);
            seen
        });
        if seen.is_none() {
            fixture.server.forget(&path);
        }
        fixture.observe(OwnedKind::ConfigMap, object, seen);
        fixture.server.writes();
        fixture.publish(&["chat"]).await.unwrap();
        let verbs = verbs.iter();
        let expected: Vec<_> = verbs
            .map(|verb| format!("{verb} configmaps/{object}"))
            .collect();
        assert_eq!(fixture.server.writes(), expected, "{name}");
        let now = fixture.server.get(&path).unwrap();
        assert_eq!(now["data"], good["data"], "{name}");
        assert_eq!(fixture.revision(), 1, "{name}: the content is the same");
    }
}

#[tokio::test(start_paused = true)]
async fn a_users_object_of_the_same_name_is_left_alone() {
    let mut fixture = Fixture::new();
    let path = format!("{CORE}/configmaps/edge-config");
    let users = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "namespace": "shop", "name": "edge-config" },
        "data": { "mine": "1" },
    });
    fixture.server.put(&path, users);
    let error = fixture.publish(&["chat"]).await.unwrap_err();
    assert_eq!(
        error.summary(),
        "ConfigMap shop/edge-config exists but is not managed by Tidegate: rename or delete it"
    );
    assert_eq!(fixture.server.get(&path).unwrap()["data"]["mine"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_is_higher_than_every_known_one() {
    let mut fixture = Fixture::new();
    fixture.acknowledged = 41;
    fixture.publish(&["chat"]).await.unwrap();
    assert_eq!(
        fixture.revision(),
        42,
        "pods of an earlier Gateway of this name had 41"
    );
    let mut raised = fixture
        .server
        .get(&format!("{CORE}/configmaps/edge-config"))
        .unwrap();
    let text = raised["data"]["index.json"].as_str().unwrap();
    raised["data"]["index.json"] = json!(text.replace("42", "90"));
    fixture.observe(OwnedKind::ConfigMap, "edge-config", Some(raised));
    fixture.publish(&["chat"]).await.unwrap();
    assert_eq!(fixture.revision(), 91, "somebody wrote 90 by hand");
    fixture.publish(&["chat"]).await.unwrap();
    assert_eq!(fixture.revision(), 91);
}

#[tokio::test(start_paused = true)]
async fn an_unmanaged_gateway_keeps_the_rights_and_loses_the_workload() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    fixture.server.writes();
    fixture.gateway = gateway(json!({ "deployment": { "managed": false } }));
    fixture.publish(&["chat"]).await.unwrap();
    assert_eq!(
        fixture.server.writes(),
        [
            "DELETE deployments/edge",
            "DELETE services/edge",
            "DELETE poddisruptionbudgets/edge"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_does_not_lead_writes_nothing() {
    let mut fixture = Fixture::new();
    let client = fixture.server.client();
    let (_, leadership) = LeaderElection::new(client, "shop", "lease", "nobody".to_owned());
    fixture.writer = writer(&fixture.server, leadership, &fixture.cache);
    assert!(fixture.publish(&["chat"]).await.is_err());
    assert_eq!(fixture.server.writes(), Vec::<String>::new());
}

const TOKEN: &str = "POST secrets/edge-admin";

impl Fixture {
    fn token(&self) -> Value {
        let secret = self.server.get(&format!("{CORE}/secrets/edge-admin"));
        secret.map_or(Value::Null, |secret| secret["data"]["token"].clone())
    }

    /// Another replica, which has an empty cache.
    fn restart(&mut self) {
        self.cache = SharedCache::default();
        self.writer = writer(&self.server, Leadership::always(), &self.cache);
    }
}

#[tokio::test(start_paused = true)]
async fn the_admin_token_is_created_once_before_the_pods() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    let writes = fixture.server.writes();
    let position = |text: &str| writes.iter().position(|write| write == text);
    assert!(
        position(TOKEN) < position("PATCH deployments/edge"),
        "{writes:?}"
    );
    assert!(position(TOKEN).is_some(), "{writes:?}");
    let token = fixture.token();
    assert!(
        token.as_str().is_some_and(|token| token.len() > 40),
        "{token}"
    );
    let secret = fixture
        .server
        .get(&format!("{CORE}/secrets/edge-admin"))
        .unwrap();
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "uid-edge");
    assert_eq!(secret["metadata"]["labels"]["tidegate.dev/part"], "admin");
    for _ in 0..2 {
        fixture.restart();
        fixture.publish(&["chat", "news"]).await.unwrap();
        assert_eq!(fixture.token(), token, "a restart changes nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_admin_token_is_created_again() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    let token = fixture.token();
    fixture.server.forget(&format!("{CORE}/secrets/edge-admin"));
    fixture.observe(OwnedKind::Secret, "edge-admin", None);
    fixture.publish(&["chat"]).await.unwrap();
    assert!(fixture.token().is_string());
    assert_ne!(fixture.token(), token);
}

#[tokio::test(start_paused = true)]
async fn the_admin_token_of_an_earlier_gateway_is_replaced() {
    let mut fixture = Fixture::new();
    fixture.publish(&["chat"]).await.unwrap();
    let token = fixture.token();
    let path = format!("{CORE}/secrets/edge-admin");
    let mut secret = fixture.server.get(&path).unwrap();
    secret["metadata"]["ownerReferences"][0]["uid"] = json!("uid-before");
    fixture.server.put(&path, secret);
    fixture.restart();
    fixture.publish(&["chat"]).await.unwrap();
    assert_ne!(fixture.token(), token);
}

#[tokio::test(start_paused = true)]
async fn a_users_secret_of_the_admin_tokens_name_is_left_alone_and_blocks_nothing() {
    let mut fixture = Fixture::new();
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "namespace": "shop", "name": "edge-admin" },
        "data": { "password": "aHVudGVyMg==" },
    });
    fixture
        .server
        .put(&format!("{CORE}/secrets/edge-admin"), theirs);
    let error = fixture.publish(&["chat"]).await.unwrap_err();
    let text = error.summary();
    assert!(
        text.contains("Secret shop/edge-admin exists but is not managed by Tidegate"),
        "{text}"
    );
    assert_eq!(fixture.token(), Value::Null);
    let writes = fixture.server.writes();
    assert!(
        writes.iter().any(|write| write == "PATCH deployments/edge"),
        "{writes:?}"
    );
    assert_eq!(fixture.revision(), 1);
}
