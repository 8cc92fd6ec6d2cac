use serde_json::{Value, json};
use tidegate_api::{LABEL_MANAGED_BY, MANAGED_BY};
use tidegate_config::{LABEL_GATEWAY, ObjectKey};

use super::*;
use crate::objects::{Manifest, Owned, OwnedKind};
use crate::testing::Server;

const PATH: &str = "/api/v1/namespaces/shop/serviceaccounts/edge";

fn writer(server: &Server) -> Writer {
    let metrics = Metrics::new().unwrap();
    Writer::new(
        server.client(),
        Leadership::always(),
        SharedCache::default(),
        metrics,
    )
}

fn manifest(labels: &Value) -> Manifest {
    Manifest {
        key: OwnedKey {
            kind: OwnedKind::ServiceAccount,
            key: ObjectKey::new("shop", "edge"),
        },
        body: json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {
                "namespace": "shop", "name": "edge", "labels": labels,
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Gateway", "name": "edge", "uid": "uid-edge",
                }],
            },
        }),
    }
}

fn ours() -> Value {
    json!({ LABEL_GATEWAY: "edge", LABEL_MANAGED_BY: MANAGED_BY })
}

#[tokio::test]
async fn an_object_that_the_watch_does_not_deliver_is_taken_over_only_when_it_is_ours() {
    let earlier =
        json!([{ "apiVersion": "v1", "kind": "Gateway", "name": "edge", "uid": "uid-before" }]);
    let same =
        json!([{ "apiVersion": "v1", "kind": "Gateway", "name": "edge", "uid": "uid-edge" }]);
    let cases = [
        ("a user's", json!({}), json!([]), false),
        (
            "another gateway's",
            json!({ LABEL_GATEWAY: "other", LABEL_MANAGED_BY: MANAGED_BY }),
            json!([]),
            false,
        ),
        ("ours, without its labels", json!({}), same, true),
        ("of an earlier Gateway of this name", ours(), earlier, true),
    ];
    for (name, labels, owners, expected) in cases {
        let server = Server::default();
        let mut found = manifest(&labels).body;
        found["metadata"]["ownerReferences"] = owners;
        server.put(PATH, found);
        let outcome = writer(&server).apply(&manifest(&ours())).await;
        assert_eq!(outcome.is_ok(), expected, "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_the_server_writes_in_another_form_is_not_applied_again_and_again() {
    let server = Server::default();
    let writer = writer(&server);
    let wanted = manifest(&ours());
    writer.apply(&wanted).await.unwrap();
    // As after a normalisation: the object differs from the manifest in the version that was applied.
    let version = change_in_cache(&writer, "1000", |live| {
        live.body["metadata"]["labels"][LABEL_GATEWAY] = json!("EDGE");
    });
    server.writes();
    writer.apply(&wanted).await.unwrap();
    assert_eq!(server.writes(), Vec::<String>::new());
    change_in_cache(&writer, "1001", |live| live.version = format!("{version}0"));
    writer.apply(&wanted).await.unwrap();
    assert_eq!(server.writes().len(), 1, "somebody changed it since");
}

/// Changes the object in the cache; returns the version that it had.
fn change_in_cache(
    writer: &Writer,
    resource_version: &str,
    change: impl FnOnce(&mut Owned),
) -> String {
    let key = ObjectKey::new("shop", "edge");
    let mut cache = writer.cache.lock();
    let store = cache.owned.entry(OwnedKind::ServiceAccount).or_default();
    let mut live = store.get(&key).unwrap().as_ref().clone();
    let version = live.version.clone();
    change(&mut live);
    store.store_updated(&key, resource_version, live);
    version
}

#[tokio::test]
async fn an_object_that_is_gone_counts_as_deleted_and_another_one_of_the_name_stays() {
    let server = Server::default();
    let writer = writer(&server);
    let key = manifest(&ours()).key;
    writer.delete(&key, "uid-old").await.unwrap();
    server.put(PATH, manifest(&ours()).body);
    assert!(writer.delete(&key, "uid-old").await.is_err());
    assert!(server.get(PATH).is_some());
    writer.delete(&key, "uid-foreign").await.unwrap();
    assert!(server.get(PATH).is_none());
}

#[test]
fn summaries_do_not_change_from_one_attempt_to_the_next() {
    let key = manifest(&ours()).key;
    let foreign = WriteError::Foreign(key);
    assert_eq!(
        foreign.summary(),
        "ServiceAccount shop/edge exists but is not managed by Tidegate: rename or delete it"
    );
    let status = kube::core::Status::failure("no room", "Quota").with_code(403);
    let refused = WriteError::Request {
        verb: "create",
        object: "ConfigMap shop/x".to_owned(),
        source: kube::Error::Api(Box::new(status)),
    };
    assert_eq!(
        refused.summary(),
        "failed to create ConfigMap shop/x: no room"
    );
}
