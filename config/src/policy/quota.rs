//! Policies that limit how much in a long time: quota, quotaByKey.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Duration, Expression, Timestamp};

/// Limits handshakes and relayed bytes per `period` for each subscription. Further handshakes get
/// 403.
///
/// In a Product all its APIs are counted together, in a WebSocketApi that API alone. Handshakes
/// without a subscription are not limited. Counted per pod, or for all pods together with the
/// Gateway's counters.
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
    /// Largest number of handshakes per period; further ones get 403. Default: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub calls: Option<u64>,
    /// Kilobytes (1024 bytes) that tunnels may relay per period, in both directions together. When
    /// they are used up, handshakes get 403; see closeOnExceed for live tunnels. Default: not
    /// limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub bandwidth_kb: Option<u64>,
    /// Length of a period, 1s to 87600h (10 years), or 0 for a single period that never ends.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) == duration('0s') || (duration(self) >= duration('1s') && duration(self) <= duration('87600h'))",
        "message": "period must be 0, or between 1s and 87600h",
    }]))]
    pub period: Duration,
    /// Start of one of the periods, in UTC, from which all others follow. Default:
    /// 0001-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_period_start: Option<Timestamp>,
    /// Whether live tunnels are closed (1008) when bandwidthKb is used up. If false, only new
    /// handshakes are refused. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_on_exceed: bool,
}

/// Limits handshakes and relayed bytes per `period` for each value of `key`. Further handshakes get
/// 403.
///
/// All Products and APIs of a namespace share a count per key value, period and firstPeriodStart;
/// the Gateway's own policies have another. Counted per pod, or for all pods together with the
/// Gateway's counters.
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
    /// CEL expression for the key, for example `jwt.claims.sub`.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// Largest number of handshakes per period; further ones get 403. Default: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub calls: Option<u64>,
    /// Kilobytes (1024 bytes) that tunnels may relay per period, in both directions together. When
    /// they are used up, handshakes get 403; see closeOnExceed for live tunnels. Default: not
    /// limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000000000_u64))]
    pub bandwidth_kb: Option<u64>,
    /// Length of a period, 1s to 87600h (10 years), or 0 for a single period that never ends.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) == duration('0s') || (duration(self) >= duration('1s') && duration(self) <= duration('87600h'))",
        "message": "period must be 0, or between 1s and 87600h",
    }]))]
    pub period: Duration,
    /// Start of one of the periods, in UTC, from which all others follow. Default:
    /// 0001-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_period_start: Option<Timestamp>,
    /// CEL condition under which a handshake counts as a call; bytes always count. If it reads
    /// `response`, it is evaluated after the backend's answer, and until then the handshake counts.
    /// Default: it always counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_when: Option<String>,
    /// CEL expression (int) for the number of calls that a handshake counts as. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub increment_by: Option<String>,
    /// Whether live tunnels are closed (1008) when bandwidthKb is used up. If false, only new
    /// handshakes are refused. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_on_exceed: bool,
}

impl HasExpressions for Quota {}

impl HasExpressions for QuotaByKey {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let counts = (self.increment_when.as_ref(), self.increment_by.as_ref());
        Expression::of_counter("quotaByKey", &self.key, counts)
    }
}
