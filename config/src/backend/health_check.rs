//! How it is found out whether a backend is well: by asking it, and by watching handshakes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How unhealthy backends are detected, which then get no new handshakes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Checks that ask each backend at regular intervals. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveHealthCheck>,
    /// Ejection of members of a pool whose handshakes fail.
    #[serde(default)]
    pub passive: PassiveHealthCheck,
}

/// How a backend is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HealthCheckType {
    /// GET `path`; a status from 200 to 399 is healthy.
    Http,
    /// A WebSocket handshake for `path`, closed as soon as it is accepted.
    WebSocket,
    /// A connection, and TLS on it for `wss://`.
    Tcp,
}

/// Asks each backend at regular intervals, from each gateway pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.type != 'Tcp' || !has(self.path)",
        "message": "path is not allowed for type Tcp",
        "fieldPath": ".path",
    },
]))]
pub struct ActiveHealthCheck {
    /// How the backend is checked: Http (GET `path` gives a status from 200 to 399), WebSocket (a
    /// handshake for `path` is accepted) or Tcp (a connection is accepted, with TLS for `wss://`).
    #[serde(rename = "type")]
    pub kind: HealthCheckType,
    /// Path to ask for, with an optional query. Not allowed for Tcp. Default: `/` for Http, the
    /// backend's path and query for WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r#"^/[!"$-~]*$"#))]
    pub path: Option<String>,
    /// Time from one check to the next, at least 1s. Default: 10s.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-kubernetes-validations" = at_least("1s")))]
    pub interval: Duration,
    /// How long a check may take before it counts as failed, at least 10ms. Default: 2s.
    #[serde(default = "two_seconds")]
    #[schemars(extend("x-kubernetes-validations" = at_least("10ms")))]
    pub timeout: Duration,
    /// Number of successful checks in a row after which an unhealthy backend is healthy again.
    /// Default: 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub healthy_threshold: u32,
    /// Number of failed checks in a row after which a healthy backend is unhealthy. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_threshold: u32,
}

/// Ejects a member of a pool whose handshakes fail: it gets no new handshakes for some time. If all
/// members are ejected, they are used nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "duration(has(self.baseEjectionTime) ? self.baseEjectionTime : '1s') <= duration(has(self.maxEjectionTime) ? self.maxEjectionTime : '30s')",
    "message": "maxEjectionTime must not be shorter than baseEjectionTime",
}]))]
pub struct PassiveHealthCheck {
    /// Number of handshakes in a row without an answer after which a member is ejected. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: u32,
    /// How long the first ejection lasts, at least 10ms; each further failure doubles it, up to
    /// maxEjectionTime. Default: 1s.
    #[serde(default = "one_second")]
    #[schemars(extend("x-kubernetes-validations" = at_least("10ms")))]
    pub base_ejection_time: Duration,
    /// Longest time that an ejection may last. Default: 30s.
    #[serde(default = "half_a_minute")]
    pub max_ejection_time: Duration,
}

impl Default for PassiveHealthCheck {
    fn default() -> Self {
        Self {
            consecutive_failures: one(),
            base_ejection_time: one_second(),
            max_ejection_time: half_a_minute(),
        }
    }
}

fn at_least(time: &str) -> serde_json::Value {
    serde_json::json!([{
        "rule": format!("duration(self) >= duration('{time}')"),
        "message": format!("must be at least {time}"),
    }])
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}
