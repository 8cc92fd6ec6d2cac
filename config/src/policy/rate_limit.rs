//! Policies that limit how often: rateLimit, rateLimitByKey.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Duration, Expression};

/// Limits handshakes per `period` (a sliding window) for each subscription. Further ones get 429.
///
/// In a Product all its APIs are counted together, in a WebSocketApi that API alone. Handshakes
/// without a subscription are not limited. Counted per pod, or for all pods together with the
/// Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Largest number of handshakes per period; further ones get 429.
    #[schemars(range(min = 1, max = 1000000))]
    pub calls: u32,
    /// Length of the sliding window, 1s to 300s.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('300s')",
        "message": "period must be between 1s and 300s",
    }]))]
    pub period: Duration,
    /// Name of the header of the 429 that says after how many seconds to try again. Default:
    /// Retry-After.
    #[serde(default = "retry_after")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub retry_after_header: String,
    /// Name of a variable (`vars.NAME`) that gets these seconds when the limit is exceeded.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub retry_after_variable: Option<String>,
    /// Name of a header of the client's answer (101 or refusal) with the number of calls that
    /// remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub remaining_header: Option<String>,
    /// Name of a variable (`vars.NAME`) that gets the number of calls that remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub remaining_variable: Option<String>,
    /// Name of a header of the client's answer with the number of calls per period. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub total_header: Option<String>,
}

/// Limits handshakes per `period` (a sliding window) for each value of `key`. Further ones get 429.
///
/// All Products and APIs of a namespace share a counter per key value; the Gateway's own policies
/// have another. Counted per pod, or for all pods together with the Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitByKey {
    /// CEL expression for the key, for example `client.ip` or `jwt.claims.sub`.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// Largest number of handshakes per period; further ones get 429.
    #[schemars(range(min = 1, max = 1000000))]
    pub calls: u32,
    /// Length of the sliding window, 1s to 300s.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('300s')",
        "message": "period must be between 1s and 300s",
    }]))]
    pub period: Duration,
    /// CEL condition under which a handshake counts. If it reads `response`, it is evaluated after
    /// the backend's answer, and until then the handshake counts. Default: it always counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_when: Option<String>,
    /// CEL expression (int) for how much a handshake counts. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_by: Option<String>,
    /// Name of the header of the 429 that says after how many seconds to try again. Default:
    /// Retry-After.
    #[serde(default = "retry_after")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub retry_after_header: String,
    /// Name of a variable (`vars.NAME`) that gets these seconds when the limit is exceeded.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub retry_after_variable: Option<String>,
    /// Name of a header of the client's answer (101 or refusal) with the number of calls that
    /// remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub remaining_header: Option<String>,
    /// Name of a variable (`vars.NAME`) that gets the number of calls that remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub remaining_variable: Option<String>,
    /// Name of a header of the client's answer with the number of calls per period. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub total_header: Option<String>,
}

impl HasExpressions for RateLimit {}

impl HasExpressions for RateLimitByKey {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let counts = (self.increment_when.as_ref(), self.increment_by.as_ref());
        Expression::of_counter("rateLimitByKey", &self.key, counts)
    }
}

fn retry_after() -> String {
    "Retry-After".to_owned()
}
