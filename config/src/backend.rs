//! The backends of an API: which there are, how TLS is verified, when one counts as broken.

mod health_check;
mod status_range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

pub use health_check::{ActiveHealthCheck, HealthCheck, HealthCheckType, PassiveHealthCheck};
pub use status_range::StatusRange;

/// A DNS name or IP address.
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

/// Certificates of authorities, in PEM, in a ConfigMap or Secret of the object's own namespace.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustAnchorRef {
    /// Kind of the object: ConfigMap or Secret.
    pub kind: TrustAnchorKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the object's data. Default: ca.crt.
    #[serde(default = "ca_crt")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_crt() -> String {
    "ca.crt".to_owned()
}

/// A member of a pool of backends that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolMember {
    /// Name of the member for `setBackend.ref`, unique in the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: Option<String>,
    /// `ws://` or `wss://` URL of the member. Path and query must be the same for all members.
    #[schemars(
        length(min = 6, max = 2048),
        regex(pattern = r"^wss?://[^/?#\s]+[^#\s]*$")
    )]
    pub url: String,
    /// Share of the tunnels, in proportion to the weights of the other members. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// Members with the lowest number are used first, those with the next number if none of them
    /// can be reached. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub priority: u32,
}

fn one() -> u32 {
    1
}

/// Stops handshakes to a backend that keeps failing: while its circuit is open, it gets none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Number of failed handshakes in a row after which the circuit opens. A handshake fails
    /// without a connection, without a valid answer, or with one of the statuses. Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: u32,
    /// How long the circuit stays open, at least 1s. Then it is half-open: a single handshake
    /// decides whether it closes or opens again. Default: 30s.
    #[serde(default = "half_a_minute")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s')",
        "message": "must be at least 1s",
    }]))]
    pub trip_duration: Duration,
    /// Statuses of the backend that count as failures, 1 to 16: 400 to 599, or ranges such as
    /// `500-599`. Name only statuses that a single client cannot cause. Default: 500 and above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 16))]
    pub statuses: Option<Vec<StatusRange>>,
}

impl CircuitBreaker {
    /// Does a refusal of the backend with this status count as a failure?
    pub fn counts(&self, status: u16) -> bool {
        match &self.statuses {
            Some(statuses) => statuses.iter().any(|range| range.contains(status)),
            None => status >= 500,
        }
    }
}

/// Which answers of a member of a pool send the handshake on to the next member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failover {
    /// Statuses with which a member says that it has not acted on the handshake and that another
    /// one should be asked, 1 to 16: 400 to 599, or ranges such as `500-599`. The member is ejected
    /// for the time that its Retry-After names, without one as after a handshake without an answer.
    /// Name only statuses that a single client cannot cause.
    #[schemars(extend("minItems" = 1, "maxItems" = 16))]
    pub statuses: Vec<StatusRange>,
    /// Longest ejection because of a Retry-After, 1s to 1h. Default: 5m.
    #[serde(default = "five_minutes")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('1h')",
        "message": "must be between 1s and 1h",
    }]))]
    pub max_retry_after: Duration,
}

impl Failover {
    /// Does an answer with this status send the handshake on?
    pub fn includes(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| range.contains(status))
    }
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
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
    /// `http://host:port` URL of the proxy. The proxy resolves the host name of the backend.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^http://[^/?#@\s]+/?$"))]
    pub url: String,
    /// Name of a kubernetes.io/basic-auth Secret with `username` and `password` for the proxy.
    /// Default: no credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_ref: Option<String>,
}

/// TLS to a `wss://` backend. The certificate's chain and host name are verified unless
/// insecureSkipVerify is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTls {
    /// Certificate authorities to trust instead of the system's, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8))]
    pub ca_refs: Vec<TrustAnchorRef>,
    /// Name that the certificate must have, which is also sent as SNI. Default: host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<HostName>,
    /// Name of a kubernetes.io/tls Secret with the client certificate to present (mTLS). Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_certificate_ref: Option<String>,
    /// Whether any certificate is accepted. For tests only: anyone on the network path can then
    /// read and change everything. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}
