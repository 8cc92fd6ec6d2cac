use serde_json::json;
use tidegate_config::{ConfigParts, GatewayConfig, SecretData, SecretDataId};

use super::*;
use crate::manifests::Target;
use crate::testing::{Server, api_config, gateway, gateway_config};

fn config() -> (GatewayConfig, SecretData) {
    let mut config = gateway_config("shop", "edge");
    config.apis = vec![std::sync::Arc::new(api_config("shop", "chat"))];
    let mut secret_data = SecretData::default();
    secret_data.insert(
        SecretDataId::secret("shop", "tls", "tls.key"),
        vec![1, 2, 3],
    );
    (config, secret_data)
}

fn publish(server: &Server, gateway: &ObjectKey) -> ConfigParts {
    let (config, secret_data) = config();
    let parts = tidegate_config::split_config(&config, &secret_data, 7).unwrap();
    let rendered = tidegate_config::Rendered::new(&config, &secret_data);
    let owner = self::gateway(json!({}));
    let target = Target::new(&owner, gateway, "image:1");
    let core = "/api/v1/namespaces/shop";
    for part in manifests::parts(&parts.index) {
        let text = part.text(&rendered).unwrap();
        let manifest = manifests::part_manifest(&target, &part, &text);
        let plural = part.key.kind.resource().plural;
        server.put(
            &format!("{core}/{plural}/{}", part.key.key.name),
            manifest.body,
        );
    }
    let index = manifests::index_manifest(&target, &parts.index);
    server.put(&format!("{core}/configmaps/edge-config"), index.body);
    parts
}

#[tokio::test]
async fn what_was_published_is_read_back_completely() {
    let (server, key) = (Server::default(), ObjectKey::new("shop", "edge"));
    assert!(
        read_published(&server.client(), &key)
            .await
            .unwrap()
            .is_none()
    );
    publish(&server, &key);
    let found = read_published(&server.client(), &key)
        .await
        .unwrap()
        .unwrap();
    let (config, secret_data) = config();
    assert_eq!(found.content(), Some(&(config, secret_data)));
    assert_eq!(found.index.revision, 7);
}

#[tokio::test]
async fn of_a_missing_part_only_its_own_content_is_lost() {
    let (server, key) = (Server::default(), ObjectKey::new("shop", "edge"));
    let parts = publish(&server, &key);
    let shard = parts
        .shards
        .keys()
        .find(|name| name.contains("apis"))
        .unwrap();
    server.forget(&format!("/api/v1/namespaces/shop/configmaps/{shard}"));
    let found = read_published(&server.client(), &key)
        .await
        .unwrap()
        .unwrap();
    let (config, secret_data) = config();
    let (found_config, found_data) = found.content().unwrap();
    assert_eq!(found_config.settings, config.settings);
    assert_eq!(*found_data, secret_data);
    assert!(found_config.apis.is_empty());
    assert_eq!(
        found.index, parts.index,
        "what the index names is still known"
    );
}

#[tokio::test]
async fn a_damaged_index_counts_as_none_and_a_failed_request_is_an_error() {
    let (server, key) = (Server::default(), ObjectKey::new("shop", "edge"));
    publish(&server, &key);
    let path = "/api/v1/namespaces/shop/configmaps/edge-config";
    server.fail("edge-config", 503);
    assert!(read_published(&server.client(), &key).await.is_err());
    server.recover();
    let mut damaged = server.get(path).unwrap();
    damaged["data"]["index.json"] = json!("{\"format\":");
    server.put(path, damaged);
    assert!(
        read_published(&server.client(), &key)
            .await
            .unwrap()
            .is_none()
    );
}
