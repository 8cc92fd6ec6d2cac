use serde_json::json;
use tidegate_config::{ConfigParts, GatewayConfig, SecretData, SecretDataId};

use super::*;
use crate::render::Site;
use crate::testing::{Server, api_config, gateway, gateway_config};

fn config() -> (GatewayConfig, SecretData) {
    let mut config = gateway_config("shop", "edge");
    config.apis = vec![api_config("shop", "chat")];
    let mut secret_data = SecretData::default();
    secret_data.insert(
        SecretDataId::secret("shop", "tls", "tls.key"),
        vec![1, 2, 3],
    );
    (config, secret_data)
}

fn publish(server: &Server, gateway: &ObjectKey) -> ConfigParts {
    let (config, secret_data) = config();
    let rendered = tidegate_config::split_config(&config, &secret_data, 7).unwrap();
    let owner = self::gateway(json!({}));
    let site = Site::new(&owner, gateway, "image:1");
    let core = "/api/v1/namespaces/shop";
    for part in render::part_keys(&rendered.index) {
        let manifest = render::part_manifest(&site, &part, part.text(&rendered).unwrap());
        let plural = part.key.kind.resource().plural;
        server.put(
            &format!("{core}/{plural}/{}", part.key.key.name),
            manifest.body,
        );
    }
    let index = render::index(&site, &rendered.index);
    server.put(&format!("{core}/configmaps/edge-config"), index.body);
    rendered
}

#[tokio::test]
async fn what_was_published_is_read_back_whole() {
    let (server, key) = (Server::default(), ObjectKey::new("shop", "edge"));
    assert!(recall(&server.client(), &key).await.unwrap().is_none());
    publish(&server, &key);
    let found = recall(&server.client(), &key).await.unwrap().unwrap();
    let (config, secret_data) = config();
    assert!(found.has(&config, &secret_data));
    assert_eq!(found.index.revision, 7);
}

#[tokio::test]
async fn a_spoilt_part_costs_only_what_stood_in_it() {
    let (server, key) = (Server::default(), ObjectKey::new("shop", "edge"));
    let rendered = publish(&server, &key);
    let shard = rendered
        .shards
        .keys()
        .find(|name| name.contains("apis"))
        .unwrap();
    server.forget(&format!("/api/v1/namespaces/shop/configmaps/{shard}"));
    let found = recall(&server.client(), &key).await.unwrap().unwrap();
    let (config, secret_data) = config();
    assert_eq!(found.config.settings, config.settings);
    assert_eq!(*found.secret_data, secret_data);
    assert!(found.config.apis.is_empty());
    assert_eq!(
        found.index, rendered.index,
        "what the index says is still known"
    );
    let (config, secret_data) = (found.config.as_ref().clone(), secret_data);
    assert!(
        !found.has(&config, &secret_data),
        "less than the index says is never taken for it"
    );
}

#[tokio::test]
async fn a_torn_index_is_as_good_as_none_and_a_silent_server_is_an_error() {
    let (server, key) = (Server::default(), ObjectKey::new("shop", "edge"));
    publish(&server, &key);
    let path = "/api/v1/namespaces/shop/configmaps/edge-config";
    server.fail("edge-config", 503);
    assert!(recall(&server.client(), &key).await.is_err());
    server.recover();
    let mut torn = server.get(path).unwrap();
    torn["data"]["index.json"] = json!("{\"format\":");
    server.put(path, torn);
    assert!(recall(&server.client(), &key).await.unwrap().is_none());
}
