use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::testing::Server;
use crate::watch::{Cache, Urgency};

const PATH: &str = "/api/v1/namespaces/shop/secrets/token";

fn token() -> BTreeSet<ObjectKey> {
    [ObjectKey::new("shop", "token")].into()
}

fn see(cache: &mut Cache, version: &str) {
    let key = ObjectKey::new("shop", "token");
    let keep = |_: Option<&String>| Ok(version.to_owned());
    let store = &mut cache.secret_versions;
    store.upsert(key, version.to_owned(), keep, |_, _| Urgency::Now);
}

fn put(server: &Server, value: &str) {
    server.put(
        PATH,
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "namespace": "shop", "name": "token" },
            "data": { "token": value },
        }),
    );
}

#[tokio::test]
async fn an_object_is_read_once_per_version_and_only_when_it_is_named() {
    let server = Server::default();
    let client = server.client();
    let (mut referenced, mut cache) = (ReferencedObjects::default(), Cache::default());
    let none = BTreeSet::new();
    put(&server, "YQ==");
    assert!(
        referenced.outdated(&token(), &none, &cache).is_empty(),
        "it does not exist"
    );
    see(&mut cache, "1");
    assert!(
        referenced.outdated(&none, &none, &cache).is_empty(),
        "nothing names it"
    );
    let outdated = referenced.outdated(&token(), &none, &cache);
    assert!(!outdated.is_empty());
    referenced.read(&client, outdated).await.unwrap();
    assert!(referenced.outdated(&token(), &none, &cache).is_empty());
    put(&server, "Yg==");
    see(&mut cache, "2");
    let outdated = referenced.outdated(&token(), &none, &cache);
    referenced.read(&client, outdated).await.unwrap();
    let (_, secret) = referenced.secrets().next().unwrap();
    assert_eq!(secret.data.as_ref().unwrap()["token"].0, b"b");
    referenced.outdated(&none, &none, &cache);
    assert_eq!(
        referenced.secrets().count(),
        0,
        "no longer named, no longer kept"
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_never_treated_as_missing() {
    let server = Server::default();
    let (mut referenced, mut cache) = (ReferencedObjects::default(), Cache::default());
    put(&server, "YQ==");
    see(&mut cache, "1");
    server.fail("secrets/token", 500);
    let outdated = referenced.outdated(&token(), &BTreeSet::new(), &cache);
    let error = referenced
        .read(&server.client(), outdated)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "failed to read Secret shop/token");
}
