//! Limits and timeouts of tunnels. Gateway and WebSocketApi share these types: what an API leaves
//! out it takes from the Gateway, what both leave out has the default named here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CloseCode, Duration};

/// What happens to a sender above its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExceed {
    /// It is read no faster than the rate allows.
    #[default]
    Delay,
    /// It gets Close 1008.
    Close,
}

/// A token bucket: `rate` tokens a second, at most `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// Per second and direction.
    #[schemars(range(min = 1, max = 4294967295_u64))]
    pub rate: u32,
    /// At most so many at once. Default: the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4294967295_u64))]
    pub burst: Option<u32>,
    /// Delay (by backpressure) or Close. Default: Delay.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// Limits of an API's tunnels. Absent or 0: not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiLimits {
    /// Live tunnels of this API per gateway pod; above it: 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections: Option<u32>,
    /// Live tunnels of this API per subscription and gateway pod; above it: 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections_per_subscription: Option<u32>,
    /// Largest message in bytes, over all its fragments, as on the wire; above it: Close 1009 to
    /// the sender, 1001 to the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9007199254740991_u64))]
    pub max_message_bytes: Option<u64>,
    /// Messages per second and direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Rate>,
    /// Bytes per second and direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Rate>,
    /// Largest head of a backend's answer in bytes, also to health checks, and of a proxy's; above
    /// it: 502. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1048576))]
    pub max_response_header_bytes: Option<u32>,
    /// Largest body of a backend's refusal in bytes; a longer one is cut, and the client can see
    /// that: the length is not reached, the last chunk is missing, or the stream is reset. Default:
    /// the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 67108864))]
    pub max_response_body_bytes: Option<u32>,
}

impl ApiLimits {
    /// These, filled up from the wider scope's.
    pub fn or(self, wider: Self) -> Self {
        Self {
            max_connections: self.max_connections.or(wider.max_connections),
            max_connections_per_subscription: self
                .max_connections_per_subscription
                .or(wider.max_connections_per_subscription),
            max_message_bytes: self.max_message_bytes.or(wider.max_message_bytes),
            messages: self.messages.or(wider.messages),
            bytes: self.bytes.or(wider.bytes),
            max_response_header_bytes: self
                .max_response_header_bytes
                .or(wider.max_response_header_bytes),
            max_response_body_bytes: self
                .max_response_body_bytes
                .or(wider.max_response_body_bytes),
        }
    }
}

/// Timeouts of an API's handshakes and tunnels. 0 = off, where off makes sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiTimeouts {
    /// TCP and TLS connect to the backend; then 504. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// The backend's answer to the handshake; then 504. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_handshake: Option<Duration>,
    /// From the request to its answer: policies with all their waiting, and the backend; then 504.
    /// Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_total: Option<Duration>,
    /// No bytes in either direction for so long: Close 1001 to both. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// Age at which a tunnel gets Close 1001, with up to 10 % jitter. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// The gateway pings a side, client or backend, from which nothing came for so long. Default: 0
    /// (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_interval: Option<Duration>,
    /// How long a peer may neither send nor acknowledge a byte after a ping has left. Then it
    /// counts as lost: Close 1001 to both. A ping that has not left yet does not count; see
    /// writeStall. Needs pingInterval. Default: 20s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pong_timeout: Option<Duration>,
    /// How long a peer may acknowledge no byte while bytes wait for it, in the gateway or in its
    /// kernel. Then it is closed with 1008, at most a quarter of that time later. Default: 60s; 0:
    /// off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_stall: Option<Duration>,
}

impl ApiTimeouts {
    /// What holds where nothing is set.
    pub const DEFAULT: Self = Self {
        connect: Some(Duration::from_secs(5)),
        backend_handshake: Some(Duration::from_secs(10)),
        handshake_total: Some(Duration::from_secs(30)),
        idle: Some(Duration::ZERO),
        max_duration: Some(Duration::ZERO),
        ping_interval: Some(Duration::ZERO),
        pong_timeout: Some(Duration::from_secs(20)),
        write_stall: Some(Duration::from_secs(60)),
    };

    /// These, filled up from the wider scope's.
    pub fn or(self, wider: Self) -> Self {
        Self {
            connect: self.connect.or(wider.connect),
            backend_handshake: self.backend_handshake.or(wider.backend_handshake),
            handshake_total: self.handshake_total.or(wider.handshake_total),
            idle: self.idle.or(wider.idle),
            max_duration: self.max_duration.or(wider.max_duration),
            ping_interval: self.ping_interval.or(wider.ping_interval),
            pong_timeout: self.pong_timeout.or(wider.pong_timeout),
            write_stall: self.write_stall.or(wider.write_stall),
        }
    }
}

/// What happens to live tunnels whose access ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiveAccess {
    /// Close tunnels when their token expires or their subscription ends. Default: true.
    #[serde(default = "yes")]
    pub enforce: bool,
    /// Close code they get. Default: 1008.
    #[serde(default = "policy_violation")]
    pub close_code: CloseCode,
}

impl Default for LiveAccess {
    fn default() -> Self {
        Self {
            enforce: true,
            close_code: CloseCode::POLICY,
        }
    }
}

fn yes() -> bool {
    true
}

fn policy_violation() -> CloseCode {
    CloseCode::POLICY
}

/// What a change of an API does to its own live tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnChange {
    /// They live on with the configuration they started with.
    #[default]
    Keep,
    /// They get Close 1001, spread over the Gateway's drain window.
    Drain,
}
