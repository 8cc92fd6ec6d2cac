use serde_json::json;
use tidegate_config::{GatewayConfig, Material, MaterialId, Rendered};

use super::*;
use crate::render::Site;
use crate::testing::{Server, api_config, gateway, gateway_config};

fn config() -> (GatewayConfig, Material) {
    let mut config = gateway_config("shop", "edge");
    config.apis = vec![api_config("shop", "chat")];
    let mut material = Material::default();
    material.insert(MaterialId::secret("shop", "tls", "tls.key"), vec![1, 2, 3]);
    (config, material)
}

fn publish(server: &Server, gateway: &ObjectKey) -> Rendered {
    let (config, material) = config();
    let rendered = tidegate_config::render(&config, &material, 7).unwrap();
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
    let (config, material) = config();
    assert!(found.has(&config, &material));
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
    let (config, material) = config();
    assert_eq!(found.config.settings, config.settings);
    assert_eq!(*found.material, material);
    assert!(found.config.apis.is_empty());
    assert_eq!(
        found.index, rendered.index,
        "what the index says is still known"
    );
    let (config, material) = (found.config.as_ref().clone(), material);
    assert!(
        !found.has(&config, &material),
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
