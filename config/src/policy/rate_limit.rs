//! Policies that limit how often: rateLimit, rateLimitByKey.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Expression};

/// At most `calls` handshakes per `period` (a sliding window) for each subscription; then 429.
///
/// In a Product it counts all its APIs together, in a WebSocketApi that API alone. A handshake
/// without a subscription is not limited. Counted per pod, or together: see the Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Handshakes allowed per period.
    #[schemars(range(min = 1, max = 1000000))]
    pub calls: u32,
    /// Length of the sliding window, 1s to 300s.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('300s')",
        "message": "period must be between 1s and 300s",
    }]))]
    pub period: Duration,
    /// Header of the 429 that says after how many seconds to try again. Default: Retry-After.
    #[serde(default = "retry_after")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub retry_after_header: String,
    /// Variable (`vars.NAME`) that gets the seconds to wait when the limit is exceeded. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub retry_after_variable: Option<String>,
    /// Header of the client's answer (101 or refusal) with the calls that remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub remaining_header: Option<String>,
    /// Variable (`vars.NAME`) that gets the calls that remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub remaining_variable: Option<String>,
    /// Header of the client's answer with the calls allowed per period. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub total_header: Option<String>,
}

/// At most `calls` handshakes per `period` (a sliding window) for each value of `key`; then 429.
///
/// One counter per key value for all Products and APIs of a namespace, and one for the Gateway's own policies. Counted per pod, or together: see the Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitByKey {
    /// CEL: what is counted, for example `client.ip` or `jwt.claims.sub`.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// Handshakes allowed per period.
    #[schemars(range(min = 1, max = 1000000))]
    pub calls: u32,
    /// Length of the sliding window, 1s to 300s.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('300s')",
        "message": "period must be between 1s and 300s",
    }]))]
    pub period: Duration,
    /// CEL (bool): does this handshake count? Default: yes. When it reads `response`, it is
    /// evaluated after the answer, and the handshake takes a place of the limit until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_when: Option<String>,
    /// CEL (int): how much it counts. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_by: Option<String>,
    /// Header of the 429 that says after how many seconds to try again. Default: Retry-After.
    #[serde(default = "retry_after")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub retry_after_header: String,
    /// Variable (`vars.NAME`) that gets the seconds to wait when the limit is exceeded. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub retry_after_variable: Option<String>,
    /// Header of the client's answer (101 or refusal) with the calls that remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub remaining_header: Option<String>,
    /// Variable (`vars.NAME`) that gets the calls that remain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub remaining_variable: Option<String>,
    /// Header of the client's answer with the calls allowed per period. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub total_header: Option<String>,
}

impl RateLimitByKey {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let counts = (self.increment_when.as_ref(), self.increment_by.as_ref());
        Expression::of_counter("rateLimitByKey", &self.key, counts)
    }
}

fn retry_after() -> String {
    "Retry-After".to_owned()
}
