//! Where limits count: in each pod for itself, or together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ResolvedValue, SecretDataId, SecretKeyRef, TrustAnchorRef};

/// Where rateLimit, rateLimitByKey, quota, quotaByKey and limitConnections count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counters {
    /// Together for all pods of the Gateway, in Redis or Valkey. Default: each pod for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisCounters>,
}

/// A Redis or Valkey server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.url) != has(self.urlSecretRef)",
        "message": "exactly one of url, urlSecretRef must be set",
    },
    {
        "rule": "!has(self.caRefs) || self.caRefs.size() == 0 || !has(self.url) || self.url.startsWith('rediss://')",
        "message": "caRefs need a rediss:// URL",
    },
]))]
pub struct RedisCounters {
    /// redis://HOST:PORT/DB or rediss://… (TLS). One with a password belongs into a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^rediss?://[^ ]+$"))]
    pub url: Option<String>,
    /// Takes the URL from a Secret of the Gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret_ref: Option<SecretKeyRef>,
    /// Authorities to trust with rediss:// instead of the system's, in the Gateway's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8))]
    pub ca_refs: Vec<TrustAnchorRef>,
    /// While Redis is away: Local (each pod counts for itself) or Refuse (503). Default: Local.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What holds while shared counters are away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// Each pod counts for itself.
    #[default]
    Local,
    /// Handshakes that have to be counted are refused.
    Refuse,
}

/// Shared counters as the gateway gets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountersConfig {
    /// Of the server.
    pub url: ResolvedValue,
    /// Authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<SecretDataId>,
    /// What holds while it is away.
    pub on_failure: OnFailure,
}

/// Is it the URL of a server that can count?
pub fn is_counters_url(url: &str) -> bool {
    let rest = url.strip_prefix("redis://");
    let rest = rest.or_else(|| url.strip_prefix("rediss://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// Is such a server spoken to over TLS?
pub fn is_secure_counters_url(url: &str) -> bool {
    url.starts_with("rediss://")
}
