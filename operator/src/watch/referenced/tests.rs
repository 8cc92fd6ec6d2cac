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

fn look(
    referenced: &mut ReferencedObjects,
    wanted: &BTreeSet<ObjectKey>,
    cache: &Cache,
) -> (OutdatedObjects, FoundObjects) {
    let none = BTreeSet::new();
    referenced.check((&token(), &none));
    referenced.look((wanted, &none), cache)
}

#[tokio::test]
async fn an_object_is_read_once_per_version_and_only_when_it_is_named() {
    let server = Server::default();
    let client = server.client();
    let (mut referenced, mut cache) = (ReferencedObjects::default(), Cache::default());
    let none = BTreeSet::new();
    put(&server, "YQ==");
    let (outdated, _) = look(&mut referenced, &token(), &cache);
    assert!(outdated.is_empty(), "it does not exist");
    see(&mut cache, "1");
    let (outdated, _) = look(&mut referenced, &none, &cache);
    assert!(outdated.is_empty(), "nothing names it");
    let (outdated, _) = look(&mut referenced, &token(), &cache);
    let found = referenced.read(&client, outdated).await.unwrap();
    let (_, secret) = &found.secrets[0];
    assert_eq!(
        secret.as_ref().unwrap().data.as_ref().unwrap()["token"].0,
        b"a"
    );
    let (outdated, _) = look(&mut referenced, &token(), &cache);
    assert!(outdated.is_empty(), "it was read");
    see(&mut cache, "2");
    let (outdated, _) = look(&mut referenced, &token(), &cache);
    assert!(!outdated.is_empty(), "another version");
    referenced.read(&client, outdated).await.unwrap();
    let (_, gone) = look(&mut referenced, &none, &cache);
    assert_eq!(gone.secrets, [(ObjectKey::new("shop", "token"), None)]);
    let (_, gone) = look(&mut referenced, &none, &cache);
    assert!(gone.secrets.is_empty(), "nothing is kept of it");
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_never_treated_as_missing() {
    let server = Server::default();
    let client = server.client();
    let (mut referenced, mut cache) = (ReferencedObjects::default(), Cache::default());
    let none = BTreeSet::new();
    see(&mut cache, "1");
    let (outdated, _) = look(&mut referenced, &token(), &cache);
    server.fail("secrets/token", 500);
    let failed = referenced.read(&client, outdated).await;
    assert_eq!(
        failed.unwrap_err().to_string(),
        "failed to read Secret shop/token"
    );
    server.recover();
    let (outdated, _) = referenced.look((&token(), &none), &cache);
    assert!(!outdated.is_empty(), "without being told again");
    let found = referenced.read(&client, outdated).await.unwrap();
    assert_eq!(found.secrets, [(ObjectKey::new("shop", "token"), None)]);
}
