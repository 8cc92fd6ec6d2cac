//! Fixtures that several tests share. Their values differ from the product's defaults.

mod server;

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};
use tidegate_api::Gateway;
use tidegate_config::{
    ApiConfig, ConfigIndex, GatewayConfig, GatewaySettings, ObjectKey, PartRef, SecretData,
};
use tokio::time::Instant;

use crate::publish::Published;
use crate::snapshot::Pods;
use crate::watch::Ack;

pub(crate) use server::Server;

pub(crate) fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn gateway(spec: Value) -> Gateway {
    let mut spec = spec;
    let listeners = json!([{ "name": "plain", "port": 8000, "protocol": "WS" }]);
    if spec.get("listeners").is_none() {
        spec["listeners"] = listeners;
    }
    parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Gateway",
        "metadata": { "namespace": "shop", "name": "edge", "uid": "uid-edge", "generation": 4 },
        "spec": spec,
    }))
}

pub(crate) fn gateway_config(namespace: &str, name: &str) -> GatewayConfig {
    let settings: GatewaySettings = parse(json!({
        "key": { "namespace": namespace, "name": name },
        "generation": 4,
        "listeners": [{
            "name": "plain", "port": 8000, "protocol": "WS", "hostnames": [], "tls": null,
        }],
        "onHandshake": {},
        "values": {},
        "limits": {},
        "timeouts": {},
        "drain": {},
        "trustedProxies": [],
    }));
    GatewayConfig {
        settings,
        apis: Vec::new(),
        products: Vec::new(),
        subscriptions: Vec::new(),
        inactive: Vec::new(),
    }
}

pub(crate) fn api_config(namespace: &str, name: &str) -> ApiConfig {
    parse(json!({
        "key": { "namespace": namespace, "name": name },
        "generation": 2,
        "displayName": name,
        "listeners": ["plain"],
        "hostnames": [],
        "path": format!("/{name}"),
        "pathMatch": "Exact",
        "protocols": ["ws"],
        "backendUrl": "ws://backend:9000/",
        "hostHeader": null,
        "backendTls": {},
        "subscriptionRequired": false,
        "subscriptionKey": { "header": "X-Key", "query": "key", "keep": false },
        "onHandshake": {},
        "allowedOrigins": null,
        "subprotocols": null,
        "limits": {},
        "timeouts": tidegate_config::GatewayTimeouts::default().api_defaults(),
        "liveAccess": {},
        "onChange": "Keep",
        "values": {},
        "blocked": null,
    }))
}

pub(crate) fn index(revision: u64, shards: &[&str]) -> ConfigIndex {
    let part = |name: &&str| PartRef {
        name: (*name).to_owned(),
        sha256: "0".repeat(64),
    };
    ConfigIndex {
        format: tidegate_config::FORMAT_VERSION,
        revision,
        gateway: ObjectKey::new("shop", "edge"),
        shards: shards.iter().map(part).collect(),
        secrets: Vec::new(),
    }
}

pub(crate) fn published(revision: u64) -> Published {
    let config = gateway_config("shop", "edge");
    Published::read_back((config, SecretData::default()), index(revision, &[]))
}

pub(crate) fn lease(revision: u64, rejected: &Value) -> Lease {
    parse(json!({
        "metadata": {
            "namespace": "shop",
            "name": "pod-x",
            "labels": { "tidegate.dev/gateway": "edge", "tidegate.dev/part": "ack" },
            "annotations": {
                "tidegate.dev/revision": revision.to_string(),
                "tidegate.dev/rejected": rejected.to_string(),
            },
        },
        "spec": { "leaseDurationSeconds": 20, "renewTime": "2031-01-02T03:04:05.000006Z" },
    }))
}

/// Live pods named a, b, c, … that serve these revisions.
pub(crate) fn pods(revisions: &[u64]) -> Pods {
    let pod = |(name, revision): (char, &u64)| {
        let ack = Ack::of(lease(*revision, &json!([])), None, Instant::now());
        (name.to_string(), Arc::new(ack))
    };
    Pods::new(('a'..).zip(revisions).map(pod).collect())
}
