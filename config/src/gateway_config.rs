//! What a gateway serves: one [`GatewayConfig`], with all references resolved.
//!
//! Nothing sensitive stands in here: keys are hashes, the rest is referenced by [`SecretDataId`].

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::OnHandshake;
use crate::{
    ApiLimits, ApiTimeouts, BackendProxy, BackendTls, CircuitBreaker, ClientCertificates,
    CountersConfig, Drain, Failover, GatewayLimits, GatewayTimeouts, HealthCheck, LiveAccess,
    ObjectKey, OnChange, PoolMember, Protocol, ResolvedValue, SecretDataId, Telemetry, TlsVersion,
};

/// The whole configuration of one Gateway. Its objects are shared with other versions of it, which differ in few.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Listeners and everything that holds for all APIs.
    pub settings: GatewaySettings,
    /// The APIs assigned to this Gateway, in order of namespace and name.
    pub apis: Vec<Arc<ApiConfig>>,
    /// Published products that hold at least one of these APIs, in the same order.
    pub products: Vec<Arc<ProductConfig>>,
    /// Subscriptions that are active, in the same order.
    pub subscriptions: Vec<Arc<SubscriptionConfig>>,
    /// Subscriptions that give no access, so that a refusal can say why. Not all, if there are many.
    pub inactive: Vec<InactiveSubscription>,
}

impl PartialEq for GatewayConfig {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
            && is_same_list(&self.apis, &other.apis)
            && is_same_list(&self.products, &other.products)
            && is_same_list(&self.subscriptions, &other.subscriptions)
            && self.inactive == other.inactive
    }
}

/// What is shared is not compared.
fn is_same_list<T: PartialEq>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    let same = |(a, b): (&Arc<T>, &Arc<T>)| Arc::ptr_eq(a, b) || a == b;
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Listeners and everything that holds for all APIs of a Gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySettings {
    /// The Gateway.
    pub key: ObjectKey,
    /// metadata.uid of the Gateway; absent without a cluster. Backends get a hash of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// metadata.generation of the Gateway.
    pub generation: i64,
    /// Its listeners.
    pub listeners: Vec<ListenerConfig>,
    /// Policies of the global scope.
    pub on_handshake: OnHandshake,
    /// Named values of the global scope.
    pub values: BTreeMap<String, ResolvedValue>,
    /// Limits of the pod. Each API carries its own with the defaults filled in.
    pub limits: GatewayLimits,
    /// Timeouts of the pod. Each API carries its own with the defaults filled in.
    pub timeouts: GatewayTimeouts,
    /// How it closes its tunnels when it shuts down.
    pub drain: Drain,
    /// CIDRs or addresses of proxies that are trusted to name the client's address.
    pub trusted_proxies: Vec<String>,
    /// What it reports.
    #[serde(default, skip_serializing_if = "Telemetry::is_off")]
    pub telemetry: Telemetry,
    /// Whether requests of policies may go to link-local and metadata addresses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_metadata_addresses: bool,
    /// Set when limits count together with other pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<CountersConfig>,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerConfig {
    /// Name, unique in the Gateway.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// WS or WSS.
    pub protocol: Protocol,
    /// Host names that it serves (exact or `*.x`, lower case); empty: all.
    pub hostnames: Vec<String>,
    /// TLS; set when the protocol is WSS.
    pub tls: Option<ListenerTlsConfig>,
    /// Whether every connection begins with a PROXY header.
    #[serde(default, skip_serializing_if = "is_off")]
    pub proxy_protocol: bool,
    /// Whether HTTP/2 is spoken besides HTTP/1.1.
    #[serde(default, skip_serializing_if = "is_off")]
    pub http2: bool,
}

/// What is off is not written, so that an older gateway can read the rest.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_off(flag: &bool) -> bool {
    !*flag
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTlsConfig {
    /// Pairs of certificate chain and private key (both PEM), chosen by SNI; the first is the
    /// default.
    pub certificates: Vec<(SecretDataId, SecretDataId)>,
    /// Oldest TLS version that clients may use.
    pub min_version: TlsVersion,
    /// Set when clients are asked for certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuthConfig>,
}

/// Which client certificates a listener asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientAuthConfig {
    /// Optional or Required.
    pub mode: ClientCertificates,
    /// Certificates (PEM) of the trusted authorities.
    pub ca: SecretDataId,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathMatch {
    /// The whole path, byte for byte.
    #[default]
    Exact,
    /// The path, or anything below it after a `/`.
    Prefix,
    /// Segments in braces match any one segment: `/rooms/{room}`.
    Template,
}

/// URL scheme that clients may use: ws or wss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UrlScheme {
    /// Through a plain listener.
    Ws,
    /// Through a TLS listener.
    Wss,
}

/// Where a request carries the subscription key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyNames {
    /// Name of the header.
    pub header: String,
    /// Name of the query parameter.
    pub query: String,
    /// What the subprotocol that carries the key begins with; `None`: no subprotocol does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// Whether the key is forwarded to the backend in the header or the query, never in a subprotocol.
    pub keep: bool,
}

/// One API on one Gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiConfig {
    /// The WebSocketApi.
    pub key: ObjectKey,
    /// metadata.generation this was rendered from.
    pub generation: i64,
    /// Name that people see.
    pub display_name: String,
    /// Names of its listeners; never empty.
    pub listeners: Vec<String>,
    /// Host names at which it is served (exact or `*.x`, lower case); empty: those of the listener.
    pub hostnames: Vec<String>,
    /// Path with a leading `/`.
    pub path: String,
    /// How the path is compared.
    pub path_match: PathMatch,
    /// URL schemes that clients may use.
    pub protocols: Vec<UrlScheme>,
    /// `ws://` or `wss://` URL of the backend; for a pool, that of its first member.
    pub backend_url: String,
    /// Members of the pool; empty: there is only the backend at `backend_url`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_pool: Vec<PoolMember>,
    /// When handshakes to a failing backend are stopped; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Which answers send a handshake on to the next member of the pool; `None`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// How unhealthy backends are detected; `None`: members of a pool by their handshakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Proxy between the gateway and the backend; references are relative to the API's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_proxy: Option<BackendProxy>,
    /// Host header that the backend gets; `None`: that of the URL.
    pub host_header: Option<String>,
    /// TLS to the backend; references are relative to the API's namespace.
    pub backend_tls: BackendTls,
    /// Whether clients need a subscription key.
    pub subscription_required: bool,
    /// Where a request carries the key.
    pub subscription_key: KeyNames,
    /// Policies of the API's scope.
    pub on_handshake: OnHandshake,
    /// Allowed values of the Origin header; `None`: not checked.
    pub allowed_origins: Option<Vec<String>>,
    /// Allowed subprotocols; `None`: passed through.
    pub subprotocols: Option<Vec<String>>,
    /// Limits, the Gateway's defaults filled in.
    pub limits: ApiLimits,
    /// Timeouts, all filled in.
    pub timeouts: ApiTimeouts,
    /// What happens to live tunnels when their access ends.
    pub live_access: LiveAccess,
    /// What a change of the API does to its live tunnels.
    pub on_change: OnChange,
    /// Named values of the API's scope.
    pub values: BTreeMap<String, ResolvedValue>,
    /// Why access control is broken; then every handshake is refused, and this text is logged,
    /// never sent to the client.
    pub blocked: Option<String>,
}

impl ApiConfig {
    /// Is all that affects traffic the same in both? Names for people do not, and neither does what a change
    /// would do.
    pub fn has_same_traffic(&self, other: &Self) -> bool {
        let renamed = Self {
            generation: other.generation,
            display_name: other.display_name.clone(),
            on_change: other.on_change,
            ..self.clone()
        };
        renamed == *other
    }
}

/// A published product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductConfig {
    /// The Product.
    pub key: ObjectKey,
    /// metadata.generation this was rendered from.
    pub generation: i64,
    /// Name that people see.
    pub display_name: String,
    /// Whether its APIs can be used without a key.
    pub open: bool,
    /// Names of its APIs (in its namespace) that are on this Gateway.
    pub apis: Vec<String>,
    /// Policies of the product's scope.
    pub on_handshake: OnHandshake,
    /// Named values of the product's scope.
    pub values: BTreeMap<String, ResolvedValue>,
    /// As [`ApiConfig::blocked`].
    pub blocked: Option<String>,
}

/// What a subscription's keys give access to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SubscriptionScope {
    /// All APIs of this Product: a name in the subscription's namespace, or `NAMESPACE/NAME`.
    Product(String),
    /// This WebSocketApi: a name in the subscription's namespace, or `NAMESPACE/NAME`.
    Api(String),
    /// All APIs of this Gateway.
    Gateway,
}

impl SubscriptionScope {
    /// A Product or WebSocketApi as a subscription of namespace `own` names it. Gateways that know no other
    /// namespaces find nothing under `NAMESPACE/NAME`.
    pub fn name_in(own: &str, key: &ObjectKey) -> String {
        match key.namespace == own {
            true => key.name.clone(),
            false => key.to_string(),
        }
    }

    /// What a name in a scope of a subscription of namespace `own` stands for.
    pub fn key_in(own: &str, name: &str) -> ObjectKey {
        match name.split_once('/') {
            Some((namespace, name)) => ObjectKey::new(namespace, name),
            None => ObjectKey::new(own, name),
        }
    }
}

/// An active subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionConfig {
    /// The Subscription.
    pub key: ObjectKey,
    /// metadata.generation this was rendered from.
    pub generation: i64,
    /// Name that people see.
    pub display_name: String,
    /// Owner of the subscription.
    pub owner: Option<String>,
    /// What its keys give access to.
    pub scope: SubscriptionScope,
    /// [`key_hash`](crate::key_hash) of each valid key: primary, secondary.
    pub key_hashes: Vec<String>,
    /// Seconds since 1970 after which its keys are refused and its tunnels close.
    pub expires_at: Option<i64>,
    /// Whether its clients may ask for a trace of their handshake.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_tracing: bool,
}

/// A subscription whose keys give no access at the moment. It has no scope: nothing can be opened with it.
///
/// A reader ignores fields that it does not know, and entries with a state that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InactiveSubscription {
    /// The Subscription.
    pub key: ObjectKey,
    /// Why its keys give no access.
    pub state: InactiveState,
    /// [`key_hash`](crate::key_hash) of each of its keys.
    pub key_hashes: Vec<String>,
}

/// Why the keys of a subscription give no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InactiveState {
    /// It waits for approval, or its approval is for other terms.
    NotApproved,
    /// Its approval was denied.
    Rejected,
    /// Its owner has too many subscriptions to the product.
    OverLimit,
    /// It is suspended.
    Suspended,
    /// Its product is not published.
    NotPublished,
    /// It has expired.
    Expired,
    /// It was cancelled.
    Cancelled,
}

impl InactiveState {
    /// Is it over for good?
    pub const fn is_final(self) -> bool {
        match self {
            Self::Rejected | Self::Expired | Self::Cancelled => true,
            Self::NotApproved | Self::OverLimit | Self::Suspended | Self::NotPublished => false,
        }
    }
}

/// An object that a gateway pod could not take over; the pod serves the last version that worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rejected {
    /// Kind of the object.
    pub kind: String,
    /// Namespace and name.
    pub key: ObjectKey,
    /// Generation that was rejected.
    pub generation: i64,
    /// Why, and what to change.
    pub message: String,
}
