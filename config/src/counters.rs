//! Where limits count: in each pod for itself, or together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ResolvedValue, SecretDataId, SecretKeyRef, TrustAnchorRef};

/// Where rateLimit, rateLimitByKey, quota, quotaByKey and limitConnections count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counters {
    /// Redis or Valkey server in which all pods of the Gateway count together. Default: each pod
    /// counts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisCounters>,
}

/// A Redis or Valkey server: exactly one of url and urlSecretRef, and how to use it.
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
    /// URL of the server: redis://HOST:PORT/DB, or rediss://… for TLS. Put one with a password into
    /// a Secret and use urlSecretRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^rediss?://[^ ]+$"))]
    pub url: Option<String>,
    /// Takes the URL from a Secret of the Gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret_ref: Option<SecretKeyRef>,
    /// Certificate authorities of the Gateway's namespace to trust for rediss:// instead of the
    /// system's, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8))]
    pub ca_refs: Vec<TrustAnchorRef>,
    /// What happens while the server cannot be reached: Local (each pod counts by itself) or Refuse
    /// (handshakes that must be counted get 503). Default: Local.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What happens while shared counters cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// Each pod counts by itself.
    #[default]
    Local,
    /// Handshakes that must be counted are refused.
    Refuse,
}

/// Shared counters, with their references resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountersConfig {
    /// URL of the server.
    pub url: ResolvedValue,
    /// Certificate authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<SecretDataId>,
    /// What happens while the server cannot be reached.
    pub on_failure: OnFailure,
}

/// Whether this is the URL of a server that can count: redis:// or rediss:// and something behind
/// it.
pub fn is_counters_url(url: &str) -> bool {
    let rest = url.strip_prefix("redis://");
    let rest = rest.or_else(|| url.strip_prefix("rediss://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// Whether the server at this URL is spoken to over TLS.
pub fn is_secure_counters_url(url: &str) -> bool {
    url.starts_with("rediss://")
}
