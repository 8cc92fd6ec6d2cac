use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::gather::{Index, Wake};
use crate::testing::Server;

const PATH: &str = "/api/v1/namespaces/shop/secrets/token";

fn token() -> BTreeSet<ObjectKey> {
    [ObjectKey::new("shop", "token")].into()
}

fn see(index: &mut Index, version: &str) {
    let key = ObjectKey::new("shop", "token");
    let keep = |_: Option<&String>| Ok(version.to_owned());
    let store = &mut index.secret_versions;
    store.upsert(key, version.to_owned(), keep, |_, _| Wake::Now);
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
async fn an_object_is_read_once_per_version_and_only_when_wanted() {
    let server = Server::default();
    let client = server.client();
    let (mut named, mut index) = (Named::default(), Index::default());
    let none = BTreeSet::new();
    put(&server, "YQ==");
    assert!(
        named.missing(&token(), &none, &index).is_empty(),
        "it does not exist"
    );
    see(&mut index, "1");
    assert!(
        named.missing(&none, &none, &index).is_empty(),
        "nobody wants it"
    );
    let missing = named.missing(&token(), &none, &index);
    assert!(!missing.is_empty());
    named.read(&client, missing).await.unwrap();
    assert!(named.missing(&token(), &none, &index).is_empty());
    put(&server, "Yg==");
    see(&mut index, "2");
    let missing = named.missing(&token(), &none, &index);
    named.read(&client, missing).await.unwrap();
    let (_, secret) = named.secrets().next().unwrap();
    assert_eq!(secret.data.as_ref().unwrap()["token"].0, b"b");
    named.missing(&none, &none, &index);
    assert_eq!(
        named.secrets().count(),
        0,
        "no longer wanted, no longer kept"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_never_taken_for_missing() {
    let server = Server::default();
    let (mut named, mut index) = (Named::default(), Index::default());
    put(&server, "YQ==");
    see(&mut index, "1");
    server.fail("secrets/token", 500);
    let missing = named.missing(&token(), &BTreeSet::new(), &index);
    let error = named.read(&server.client(), missing).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to read Secret shop/token");
}
