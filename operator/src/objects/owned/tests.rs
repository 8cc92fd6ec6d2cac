use serde_json::json;

use super::*;
use crate::testing::parse;

fn deployment(body: Value) -> Owned {
    let mut body = body;
    body["apiVersion"] = json!("apps/v1");
    body["kind"] = json!("Deployment");
    Owned::of(OwnedKind::Deployment, parse(body))
}

fn manifest(kind: OwnedKind, body: Value) -> Manifest {
    Manifest {
        key: OwnedKey {
            kind,
            key: ObjectKey::new("shop", "edge"),
        },
        body,
    }
}

fn wanted() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "labels": { "a": "1" }, "annotations": { "m": "hash" } },
        "spec": {
            "replicas": 2,
            "list": ["x", "y"],
            "containers": [{ "name": "gateway", "env": [{ "name": "A", "value": "1" }] }],
            "nodeSelector": {},
        },
    })
}

/// Does the object still match after somebody's change?
fn still_matches(change: fn(&mut Value)) -> bool {
    let mut live = wanted();
    live["metadata"]["uid"] = json!("u");
    live["metadata"]["managedFields"] = json!([{}]);
    live["status"] = json!({ "readyReplicas": 1 });
    change(&mut live);
    deployment(live).matches(&manifest(OwnedKind::Deployment, wanted()))
}

#[test]
fn what_others_add_does_not_matter() {
    assert!(still_matches(|_| ()), "the same");
    assert!(
        still_matches(|o| o["metadata"]["labels"]["b"] = json!("2")),
        "a label"
    );
    assert!(
        still_matches(|o| o["spec"]["paused"] = json!(false)),
        "a defaulted field"
    );
    assert!(
        still_matches(|o| {
            let container = o["spec"]["containers"][0].take();
            o["spec"]["containers"] = json!([{ "name": "mesh" }, container]);
        }),
        "a container"
    );
    assert!(
        still_matches(|o| {
            let env = json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }]);
            o["spec"]["containers"][0]["env"] = env;
        }),
        "a variable"
    );
}

#[test]
fn a_change_of_a_wanted_field_is_noticed() {
    assert!(
        !still_matches(|o| o["spec"]["replicas"] = json!(5)),
        "a value"
    );
    assert!(
        !still_matches(|o| o["spec"]["containers"][0]["env"] = json!([])),
        "a variable removed"
    );
    assert!(
        !still_matches(|o| o["spec"]["list"] = json!(["x", "y", "z"])),
        "a list without names"
    );
    assert!(
        !still_matches(|o| o["metadata"]["labels"] = json!({})),
        "a label removed"
    );
    let other = |o: &mut Value| o["metadata"]["annotations"]["m"] = json!("before");
    assert!(!still_matches(other), "applied from another manifest");
}

#[test]
fn data_is_kept_as_a_hash_which_is_the_same_for_config_maps_and_secrets() {
    let map = |text: &str| json!({ "metadata": {}, "data": { "shard.json": text } });
    let secret = json!({ "metadata": {}, "data": { "shard.json": "aGVsbG8=" } });
    let map_of = |text: &str| Owned::of(OwnedKind::ConfigMap, parse(map(text)));
    let kept = Owned::of(OwnedKind::Secret, parse(secret));
    assert_eq!(kept.body["data"], map_of("hello").body["data"]);
    assert!(!map_of("hello").body.to_string().contains("hello"));
    assert!(map_of("hello").matches(&manifest(OwnedKind::ConfigMap, map("hello"))));
    assert!(!map_of("hullo").matches(&manifest(OwnedKind::ConfigMap, map("hello"))));
}

#[test]
fn the_index_is_kept_as_it_is() {
    let index = json!({ "metadata": {}, "data": { "index.json": "{}" } });
    let kept = Owned::of(OwnedKind::ConfigMap, parse(index));
    assert_eq!(kept.body["data"]["index.json"], "{}");
}

#[test]
fn versions_follow_the_desired_state_where_the_kind_has_a_generation() {
    let with = |metadata: Value| deployment(json!({ "metadata": metadata })).version;
    assert_eq!(
        with(json!({ "resourceVersion": "8", "generation": 2 })),
        "2"
    );
    assert_eq!(with(json!({ "resourceVersion": "8" })), "8");
}
