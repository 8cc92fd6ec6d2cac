//! The backends of an API: which there are, how TLS is verified, when one counts as broken.

mod health_check;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

pub use health_check::{ActiveHealthCheck, HealthCheck, HealthCheckType, PassiveHealthCheck};

/// A DNS name or address, as text.
pub type HostName = String;

/// Kind of object that holds trust anchors.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TrustAnchorKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// Certificates of authorities (PEM) in a ConfigMap or Secret of the object's own namespace.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustAnchorRef {
    /// ConfigMap or Secret.
    pub kind: TrustAnchorKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data. Default: ca.crt.
    #[serde(default = "ca_crt")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_crt() -> String {
    "ca.crt".to_owned()
}

/// One of several backends that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolMember {
    /// Name that `setBackend.ref` calls it by; unique in the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: Option<String>,
    /// `ws://` or `wss://` URL. Path and query are the same for all members.
    #[schemars(
        length(min = 6, max = 2048),
        regex(pattern = r"^wss?://[^/?#\s]+[^#\s]*$")
    )]
    pub url: String,
    /// Its share of the tunnels, in proportion to the other members'. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// The lowest number is used first, the next one when none of its members can be reached.
    /// Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub priority: u32,
}

fn one() -> u32 {
    1
}

/// Spares a backend that keeps failing: while its circuit is open, no handshake goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CircuitBreaker {
    /// So many failed handshakes in a row open it: no connection, no valid answer, or a status of
    /// 500 or above. Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: u32,
    /// How long it stays open; then one handshake tries whether it may close. Default: 30s.
    #[serde(default = "half_a_minute")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s')",
        "message": "must be at least 1s",
    }]))]
    pub trip_duration: Duration,
}

fn five() -> u32 {
    5
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// An HTTP proxy that tunnels to the backend (CONNECT, RFC 9110 §9.3.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendProxy {
    /// `http://host:port`. The proxy finds the backend's address.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^http://[^/?#@\s]+/?$"))]
    pub url: String,
    /// Name of a kubernetes.io/basic-auth Secret: `username` and `password` for the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_ref: Option<String>,
}

/// TLS towards a `wss://` backend. Chain and host name are verified unless switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTls {
    /// Authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8))]
    pub ca_refs: Vec<TrustAnchorRef>,
    /// Name expected in the certificate and sent as SNI. Default: host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<HostName>,
    /// Name of a kubernetes.io/tls Secret with the client certificate to present (mTLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_certificate_ref: Option<String>,
    /// Accepts any certificate. For tests only: whoever is on the path can read and change all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}
