//! How it is found out whether a backend is well: by asking it, and by watching handshakes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// When a backend gets no new handshakes because it is not well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Asks backends again and again. Default: nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveHealthCheck>,
    /// For how long members of a pool are set aside that fail handshakes.
    #[serde(default)]
    pub passive: PassiveHealthCheck,
}

/// How a backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HealthCheckType {
    /// GET `path`: a status from 200 to 399 is well.
    Http,
    /// A WebSocket handshake for `path` that is accepted; closed at once.
    WebSocket,
    /// A connection, and TLS on it for `wss://`.
    Tcp,
}

/// Asks each backend in each gateway pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.type != 'Tcp' || !has(self.path)",
        "message": "a check of type Tcp asks for no path",
        "fieldPath": ".path",
    },
]))]
pub struct ActiveHealthCheck {
    /// Http, WebSocket or Tcp.
    #[serde(rename = "type")]
    pub kind: HealthCheckType,
    /// What to ask for, with query. Default: `/` for Http, the backend's path and query for
    /// WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r#"^/[!"$-~]*$"#))]
    pub path: Option<String>,
    /// From one check to the next. Default: 10s.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-kubernetes-validations" = at_least("1s")))]
    pub interval: Duration,
    /// How long a check may take. Default: 2s.
    #[serde(default = "two_seconds")]
    #[schemars(extend("x-kubernetes-validations" = at_least("10ms")))]
    pub timeout: Duration,
    /// So many good checks in a row and it is well again. Default: 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub healthy_threshold: u32,
    /// So many bad checks in a row and it is not. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_threshold: u32,
}

/// What failed handshakes do to a member of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "duration(has(self.baseEjectionTime) ? self.baseEjectionTime : '1s') <= duration(has(self.maxEjectionTime) ? self.maxEjectionTime : '30s')",
    "message": "maxEjectionTime must not be shorter than baseEjectionTime",
}]))]
pub struct PassiveHealthCheck {
    /// So many handshakes without an answer in a row and it is set aside. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: u32,
    /// For how long; twice as long after each further failure. Default: 1s.
    #[serde(default = "one_second")]
    #[schemars(extend("x-kubernetes-validations" = at_least("10ms")))]
    pub base_ejection_time: Duration,
    /// But never longer than this. Default: 30s.
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
