//! Limits and timeouts of tunnels. Gateway and WebSocketApi share these types: what an API leaves
//! out it takes from the Gateway, what both leave out has the default named here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CloseCode, Duration};

/// What happens to a sender that exceeds its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExceed {
    /// It is read more slowly, at the rate.
    #[default]
    Delay,
    /// It gets Close 1008.
    Close,
}

/// A token bucket: `rate` messages or bytes per second, and at most `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// Number of messages or bytes per second, counted separately for each direction.
    #[schemars(range(min = 1, max = 4294967295_u64))]
    pub rate: u32,
    /// Number of messages or bytes that may pass at once after a quiet time. Default: the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4294967295_u64))]
    pub burst: Option<u32>,
    /// What happens to a sender that exceeds the rate: Delay (it is read more slowly) or Close (it
    /// gets Close 1008). Default: Delay.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// Limits of an API's tunnels. Absent: as the Gateway says; 0: not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiLimits {
    /// Largest number of live tunnels of this API per gateway pod; further handshakes get 503.
    /// Default: 0 (not limited).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections: Option<u32>,
    /// Largest number of live tunnels of this API per subscription and gateway pod; further
    /// handshakes get 429. 0: not limited. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections_per_subscription: Option<u32>,
    /// Size of the largest message in bytes, over all its fragments, as sent on the wire. The
    /// sender of a larger one gets Close 1009, the other side Close 1001. 0: not limited. Default:
    /// the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9007199254740991_u64))]
    pub max_message_bytes: Option<u64>,
    /// Messages per second in each direction of a tunnel. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Rate>,
    /// Bytes per second in each direction of a tunnel. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Rate>,
    /// Size of the largest head of an answer in bytes, from a backend (also to a health check) or a
    /// proxy; a larger one gives 502. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1048576))]
    pub max_response_header_bytes: Option<u32>,
    /// Size of the largest body with which a backend may refuse a handshake, in bytes. A longer one
    /// is cut so that the client can tell: the body is shorter than its length says, its last chunk
    /// is missing, or the stream is reset. Default: the Gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 67108864))]
    pub max_response_body_bytes: Option<u32>,
}

impl ApiLimits {
    /// These limits; what is absent is taken from the wider scope's.
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

/// Timeouts of an API's handshakes and tunnels. Absent: as the Gateway says; 0: off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiTimeouts {
    /// How long the TCP and TLS connection to the backend may take; then 504. 0: no limit. Default:
    /// the Gateway's, 5s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// How long the backend may take to answer the handshake; then 504. 0: no limit. Default: the
    /// Gateway's, 10s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_handshake: Option<Duration>,
    /// How long the whole handshake may take, from request to answer, with policies and backend;
    /// then 504. 0: no limit. Default: the Gateway's, 30s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_total: Option<Duration>,
    /// How long a tunnel may carry no bytes in either direction; then Close 1001 to both sides.
    /// Default: the Gateway's, 0 (off) unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// Age at which a tunnel gets Close 1001, with a jitter of up to 10 %. Default: the Gateway's,
    /// 0 (off) unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// How long a side, client or backend, may be silent before the gateway pings it. Default: the
    /// Gateway's, 0 (off) unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_interval: Option<Duration>,
    /// How long a peer may neither send nor acknowledge a byte after a ping was sent; then it
    /// counts as lost, and both sides get Close 1001. A ping that could not be sent yet does not
    /// count, see writeStall. Needs pingInterval. Default: the Gateway's, 20s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pong_timeout: Option<Duration>,
    /// How long a peer may acknowledge no byte while bytes wait for it in the gateway or its
    /// kernel; then it gets Close 1008, at most a quarter of this time later. 0: off. Default: the
    /// Gateway's, 60s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_stall: Option<Duration>,
}

impl ApiTimeouts {
    /// Timeouts where neither the API nor the Gateway sets one.
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

    /// These timeouts; what is absent is taken from the wider scope's.
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

/// What happens to live tunnels when their access ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiveAccess {
    /// Whether tunnels are closed when their token expires or their subscription ends. Default:
    /// true.
    #[serde(default = "yes")]
    pub enforce: bool,
    /// Close code that tunnels get when their access ends. Default: 1008.
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

/// What a change of an API does to its own live tunnels, if it affects traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnChange {
    /// They stay open with the configuration they started with.
    #[default]
    Keep,
    /// They get Close 1001, spread over the Gateway's drain window.
    Drain,
}
