//! Policies that limit how much in a long time: quota, quotaByKey.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Expression, Timestamp};

/// At most so many handshakes, or relayed bytes, per `period` for each subscription; then 403.
///
/// In a Product it counts all its APIs together, in a WebSocketApi that API alone. A handshake
/// without a subscription is not limited. Counted per pod, or together: see the Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.calls) || has(self.bandwidthKb)",
        "message": "calls or bandwidthKb must be set",
    },
    {
        "rule": "!has(self.closeOnExceed) || !self.closeOnExceed || has(self.bandwidthKb)",
        "message": "closeOnExceed needs bandwidthKb",
    },
]))]
pub struct Quota {
    /// Handshakes allowed per period. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub calls: Option<u64>,
    /// Kilobytes (1024 bytes) that tunnels may relay per period, both directions together.
    /// Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub bandwidth_kb: Option<u64>,
    /// Length of a period, 1s to 87600h (10 years); 0: there is only one, which never ends.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) == duration('0s') || (duration(self) >= duration('1s') && duration(self) <= duration('87600h'))",
        "message": "period must be 0, or between 1s and 87600h",
    }]))]
    pub period: Duration,
    /// When a period began, in UTC; all others follow from it. Default: 0001-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_period_start: Option<Timestamp>,
    /// Close the live tunnels (1008) when bandwidthKb is used up. Default: false, only new
    /// handshakes are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_on_exceed: bool,
}

/// At most so many handshakes, or relayed bytes, per `period` for each value of `key`; then 403.
///
/// One count per key value, period and firstPeriodStart for all Products and APIs of a namespace, and one for the Gateway's own policies. Counted per pod, or together: see the Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.calls) || has(self.bandwidthKb)",
        "message": "calls or bandwidthKb must be set",
    },
    {
        "rule": "!has(self.closeOnExceed) || !self.closeOnExceed || has(self.bandwidthKb)",
        "message": "closeOnExceed needs bandwidthKb",
    },
]))]
pub struct QuotaByKey {
    /// CEL: what is counted, for example `jwt.claims.sub`.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// Handshakes allowed per period. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub calls: Option<u64>,
    /// Kilobytes (1024 bytes) that tunnels may relay per period, both directions together.
    /// Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub bandwidth_kb: Option<u64>,
    /// Length of a period, 1s to 87600h (10 years); 0: there is only one, which never ends.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) == duration('0s') || (duration(self) >= duration('1s') && duration(self) <= duration('87600h'))",
        "message": "period must be 0, or between 1s and 87600h",
    }]))]
    pub period: Duration,
    /// When a period began, in UTC; all others follow from it. Default: 0001-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_period_start: Option<Timestamp>,
    /// CEL (bool): does this handshake count as a call? Default: yes. When it reads `response`,
    /// it is evaluated after the answer, and the handshake takes a place of the limit until then.
    /// Bytes always
    /// count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_when: Option<String>,
    /// CEL (int): as how many calls it counts. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_by: Option<String>,
    /// Close the live tunnels (1008) when bandwidthKb is used up. Default: false, only new
    /// handshakes are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_on_exceed: bool,
}

impl QuotaByKey {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let counts = (self.increment_when.as_ref(), self.increment_by.as_ref());
        Expression::of_counter("quotaByKey", &self.key, counts)
    }
}
