//! A small update for unit tests.

use std::collections::BTreeMap;

use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    Drain, GatewayConfig, GatewayLimits, GatewaySettings, GatewayTimeouts, ListenerConfig,
    ObjectKey, Protocol, SecretData, SecretDataId,
};

use crate::configuration::update::Update;

/// Gateway `shop/edge` with one plain listener and one piece of secret data.
pub(crate) fn update(revision: u64) -> Update {
    let mut secret_data = SecretData::default();
    secret_data.insert(SecretDataId::secret("shop", "jwt", "key"), vec![0, 255, 7]);
    Update {
        revision,
        config: GatewayConfig {
            settings: settings(),
            apis: Vec::new(),
            products: Vec::new(),
            subscriptions: Vec::new(),
            inactive: Vec::new(),
        },
        secret_data,
    }
}

fn settings() -> GatewaySettings {
    GatewaySettings {
        key: ObjectKey::new("shop", "edge"),
        uid: None,
        generation: 3,
        listeners: vec![ListenerConfig {
            name: "plain".to_owned(),
            port: 8080,
            protocol: Protocol::Ws,
            hostnames: Vec::new(),
            tls: None,
            proxy_protocol: false,
            http2: false,
        }],
        on_handshake: OnHandshake::default(),
        values: BTreeMap::new(),
        limits: GatewayLimits::default(),
        timeouts: GatewayTimeouts::default(),
        drain: Drain::default(),
        trusted_proxies: Vec::new(),
        telemetry: tidegate_config::Telemetry::default(),
        allow_metadata_addresses: false,
        counters: None,
    }
}
