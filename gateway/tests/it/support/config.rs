//! Hand-made configurations.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    ApiConfig, ApiLimits, ApiTimeouts, BackendTls, Drain, Duration, GatewayConfig, GatewayLimits,
    GatewaySettings, GatewayTimeouts, KeyNames, ListenerConfig, ListenerTlsConfig, LiveAccess,
    ObjectKey, OnChange, PathMatch, ProductConfig, Protocol, SecretData, SecretDataId,
    SubscriptionConfig, SubscriptionScope, TlsVersion, UrlScheme, key_hash,
};
use tidegate_gateway::Update;

/// Namespace of everything.
pub(crate) const NAMESPACE: &str = "harbour";

/// The object `name` in [`NAMESPACE`].
pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(NAMESPACE, name)
}

/// A configuration and its secret data, to be changed at will.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) config: GatewayConfig,
    pub(crate) secret_data: SecretData,
}

impl Config {
    /// One plain listener `plain`, nothing on it. A drain takes half a second at most.
    pub(crate) fn new() -> Self {
        Self {
            config: GatewayConfig {
                settings: settings(),
                apis: Vec::new(),
                products: Vec::new(),
                subscriptions: Vec::new(),
                inactive: Vec::new(),
            },
            secret_data: SecretData::default(),
        }
    }

    /// With an open API `name` at `/name`.
    pub(crate) fn api(self, name: &str, backend: SocketAddr) -> Self {
        self.api_with(name, backend, |_| {})
    }

    /// With an open API `name` at `/name`, changed by `edit`.
    pub(crate) fn api_with(
        mut self,
        name: &str,
        backend: SocketAddr,
        edit: impl FnOnce(&mut ApiConfig),
    ) -> Self {
        let mut api = api(name, &format!("ws://{backend}"));
        edit(&mut api);
        self.config.apis.push(Arc::new(api));
        self.config.apis.sort_by(|a, b| a.key.cmp(&b.key));
        self
    }

    /// Changes an API that is there.
    pub(crate) fn edit_api(mut self, name: &str, edit: impl FnOnce(&mut ApiConfig)) -> Self {
        let api = self.config.apis.iter_mut().find(|api| api.key.name == name);
        edit(Arc::make_mut(api.expect("no such API in the fixture")));
        self
    }

    /// Without an API that is there.
    pub(crate) fn without_api(mut self, name: &str) -> Self {
        self.config.apis.retain(|api| api.key.name != name);
        self
    }

    /// With a product that needs a key, changed by `edit`.
    pub(crate) fn product(
        mut self,
        name: &str,
        apis: &[&str],
        edit: impl FnOnce(&mut ProductConfig),
    ) -> Self {
        let mut product = ProductConfig {
            key: key(name),
            generation: 5,
            display_name: format!("The {name}"),
            open: false,
            apis: apis.iter().map(|&api| api.to_owned()).collect(),
            on_handshake: OnHandshake::default(),
            values: BTreeMap::new(),
            blocked: None,
        };
        edit(&mut product);
        self.config.products.push(Arc::new(product));
        self
    }

    /// With a subscription whose only key is `secret`.
    pub(crate) fn subscription(
        mut self,
        name: &str,
        scope: SubscriptionScope,
        secret: &str,
    ) -> Self {
        self.config.subscriptions.push(Arc::new(SubscriptionConfig {
            key: key(name),
            generation: 6,
            display_name: format!("The {name}"),
            owner: Some("ahab".to_owned()),
            scope,
            key_hashes: vec![key_hash(secret)],
            expires_at: None,
            allow_tracing: false,
        }));
        self
    }

    /// Without a subscription that is there.
    pub(crate) fn without_subscription(mut self, name: &str) -> Self {
        self.config.subscriptions.retain(|s| s.key.name != name);
        self
    }

    /// Changes the Gateway's own settings.
    pub(crate) fn settings(mut self, edit: impl FnOnce(&mut GatewaySettings)) -> Self {
        edit(&mut self.config.settings);
        self
    }

    /// With a TLS listener `secure` that shows this certificate (chain and key in PEM).
    pub(crate) fn tls_listener(mut self, chain: &str, private_key: &str) -> Self {
        let id = |part: &str| SecretDataId::secret(NAMESPACE, "edge-tls", part);
        let (crt, key) = (id("tls.crt"), id("tls.key"));
        self.secret_data
            .insert(crt.clone(), chain.as_bytes().to_vec());
        self.secret_data
            .insert(key.clone(), private_key.as_bytes().to_vec());
        self.config.settings.listeners.push(ListenerConfig {
            name: "secure".to_owned(),
            port: 8443,
            protocol: Protocol::Wss,
            hostnames: Vec::new(),
            tls: Some(ListenerTlsConfig {
                certificates: vec![(crt, key)],
                min_version: TlsVersion::V1_2,
                client_auth: None,
            }),
            proxy_protocol: false,
            http2: false,
        });
        for api in &mut self.config.apis {
            Arc::make_mut(api).listeners.push("secure".to_owned());
        }
        self
    }

    /// As an update.
    pub(crate) fn update(&self, revision: u64) -> Update {
        Update {
            revision,
            config: self.config.clone(),
            secret_data: self.secret_data.clone(),
        }
    }
}

fn settings() -> GatewaySettings {
    GatewaySettings {
        key: key("edge"),
        uid: None,
        generation: 3,
        listeners: vec![ListenerConfig {
            name: "plain".to_owned(),
            port: 8081,
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
        drain: Drain {
            window: Duration::from_millis(200),
            close_timeout: Duration::from_millis(500),
            hard_stop: Duration::from_secs(5),
            ..Drain::default()
        },
        trusted_proxies: Vec::new(),
        telemetry: tidegate_config::Telemetry::default(),
        allow_metadata_addresses: false,
        counters: None,
    }
}

/// An API at `/name` that needs no key.
pub(crate) fn api(name: &str, backend_url: &str) -> ApiConfig {
    ApiConfig {
        key: key(name),
        generation: 4,
        display_name: format!("The {name}"),
        listeners: vec!["plain".to_owned()],
        hostnames: Vec::new(),
        path: format!("/{name}"),
        path_match: PathMatch::Exact,
        protocols: vec![UrlScheme::Ws, UrlScheme::Wss],
        backend_url: backend_url.to_owned(),
        backend_pool: Vec::new(),
        circuit_breaker: None,
        failover: None,
        health_check: None,
        backend_proxy: None,
        host_header: None,
        backend_tls: BackendTls::default(),
        subscription_required: false,
        subscription_key: KeyNames {
            header: "X-Harbour-Key".to_owned(),
            query: "harbour-key".to_owned(),
            subprotocol: None,
            keep: false,
        },
        on_handshake: OnHandshake::default(),
        allowed_origins: None,
        subprotocols: None,
        limits: ApiLimits::default(),
        timeouts: ApiTimeouts::DEFAULT,
        live_access: LiveAccess::default(),
        on_change: OnChange::Keep,
        values: BTreeMap::new(),
        blocked: None,
    }
}
