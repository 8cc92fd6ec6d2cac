//! Settings of a whole gateway: listeners' vocabulary, limits, timeouts, drain.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ApiLimits, ApiTimeouts, CloseCode, Duration, Rate};

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// WebSocket over plain TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

/// Oldest TLS version a listener accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Whether a listener asks its clients for certificates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ClientCertificates {
    /// It does not.
    #[default]
    Off,
    /// It does, and policies decide about a missing or untrusted one.
    Optional,
    /// It does, and without a trusted one the TLS handshake fails.
    Required,
}

/// Limits of each gateway pod, and defaults for the limits of every API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayLimits {
    /// Largest number of tunnels and handshakes in progress per pod; further handshakes get 503.
    /// The pod's limit of open files caps this number. Default: 0 (only that cap).
    #[serde(default)]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections: u32,
    /// Largest number of connections per client address and pod, counted when they are accepted,
    /// before any request. Up to eight further ones get 429, the rest are closed without an answer.
    /// Default: 0 (not limited).
    #[serde(default)]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections_per_ip: u32,
    /// Leading bits of an IPv6 address that identify a client for maxConnectionsPerIp. 64 bits are
    /// what one subscriber usually has; 128 count each address alone. Default: 64.
    #[serde(default = "sixty_four")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix_length: u8,
    /// Largest number of handshakes per second and pod; further ones get 503. Default: 0 (not
    /// limited).
    #[serde(default)]
    #[schemars(range(max = 4294967295_u64))]
    pub max_handshakes_per_second: u32,
    /// Size of the largest request head in bytes; a larger one gets 431. Default: 16384.
    #[serde(default = "sixteen_kib")]
    #[schemars(range(min = 1024, max = 1048576))]
    pub max_header_bytes: u32,
    /// Length of the longest request URL in bytes; a longer one gets 414. Default: 16384.
    #[serde(default = "sixteen_kib")]
    #[schemars(range(min = 256, max = 1048576))]
    pub max_url_bytes: u32,
    /// Default for every API: largest number of live tunnels per API, subscription and pod; further
    /// handshakes get 429. Default: 0 (not limited).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections_per_subscription: Option<u32>,
    /// Default for every API: size of the largest message in bytes; the sender of a larger one gets
    /// Close 1009. Default: 0 (not limited).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9007199254740991_u64))]
    pub max_message_bytes: Option<u64>,
    /// Default for every API: messages per second in each direction of a tunnel. Default: not
    /// limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Rate>,
    /// Default for every API: bytes per second in each direction of a tunnel. Default: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Rate>,
    /// Default for every API: size of the largest head of an answer in bytes, from a backend (also
    /// to a health check) or a proxy; a larger one gives 502. Default: 32768, or maxHeaderBytes if
    /// that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1048576))]
    pub max_response_header_bytes: Option<u32>,
    /// Default for every API: size of the largest body with which a backend may refuse a handshake,
    /// in bytes; a longer one is cut so that the client can tell. Default: 1048576.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 67108864))]
    pub max_response_body_bytes: Option<u32>,
}

impl GatewayLimits {
    /// Limits of an API that sets none of its own.
    pub fn api_defaults(&self) -> ApiLimits {
        ApiLimits {
            max_connections: None,
            max_connections_per_subscription: self.max_connections_per_subscription,
            max_message_bytes: self.max_message_bytes,
            messages: self.messages,
            bytes: self.bytes,
            max_response_header_bytes: self.max_response_header_bytes,
            max_response_body_bytes: self.max_response_body_bytes,
        }
    }

    /// Size of the largest head of a backend's answer in bytes, where nothing is set. An answer may
    /// repeat what the client sent, a token or a cookie, so it may be as large as a request.
    pub fn default_response_header_bytes(&self) -> u32 {
        self.max_header_bytes.max(32 * 1024)
    }

    /// Size of the largest body of a refusal in bytes, where nothing is set.
    pub const DEFAULT_RESPONSE_BODY_BYTES: u32 = 1024 * 1024;
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            max_connections: 0,
            max_connections_per_ip: 0,
            ipv6_prefix_length: sixty_four(),
            max_handshakes_per_second: 0,
            max_header_bytes: sixteen_kib(),
            max_url_bytes: sixteen_kib(),
            max_connections_per_subscription: None,
            max_message_bytes: None,
            messages: None,
            bytes: None,
            max_response_header_bytes: None,
            max_response_body_bytes: None,
        }
    }
}

fn sixteen_kib() -> u32 {
    16 * 1024
}

/// A provider gives each subscriber at least as much (RFC 6177 §2).
fn sixty_four() -> u8 {
    64
}

/// Timeout of the client's handshake, and defaults for the timeouts of every API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayTimeouts {
    /// How long a client may take for the TLS handshake and the request head together; then the
    /// connection is closed. 0: no timeout. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub handshake: Duration,
    /// Default for every API: how long the TCP and TLS connection to the backend may take; then
    /// 504. 0: no limit. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// Default for every API: how long the backend may take to answer the handshake; then 504. 0:
    /// no limit. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_handshake: Option<Duration>,
    /// Default for every API: how long the whole handshake may take, from request to answer; then
    /// 504. 0: no limit. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_total: Option<Duration>,
    /// Default for every API: how long a tunnel may carry no bytes in either direction; then Close
    /// 1001 to both sides. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// Default for every API: age at which a tunnel gets Close 1001. Default: 0 (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// Default for every API: how long a side may be silent before the gateway pings it. Default: 0
    /// (off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_interval: Option<Duration>,
    /// Default for every API: how long a side may be silent after a ping was sent; then Close 1001
    /// to both sides. Default: 20s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pong_timeout: Option<Duration>,
    /// Default for every API: how long a peer may acknowledge no byte while bytes wait for it; then
    /// Close 1008. 0: off. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_stall: Option<Duration>,
}

impl GatewayTimeouts {
    /// Timeouts of an API that sets none of its own.
    pub fn api_defaults(&self) -> ApiTimeouts {
        ApiTimeouts {
            connect: self.connect,
            backend_handshake: self.backend_handshake,
            handshake_total: self.handshake_total,
            idle: self.idle,
            max_duration: self.max_duration,
            ping_interval: self.ping_interval,
            pong_timeout: self.pong_timeout,
            write_stall: self.write_stall,
        }
        .or(ApiTimeouts::DEFAULT)
    }
}

impl Default for GatewayTimeouts {
    fn default() -> Self {
        Self {
            handshake: ten_seconds(),
            connect: None,
            backend_handshake: None,
            handshake_total: None,
            idle: None,
            max_duration: None,
            ping_interval: None,
            pong_timeout: None,
            write_stall: None,
        }
    }
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// How a gateway pod closes its tunnels when it shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "duration(has(self.window) ? self.window : '30s') + duration(has(self.closeTimeout) ? self.closeTimeout : '5s') + duration('2s') <= duration(has(self.hardStop) ? self.hardStop : '50s')",
    "message": "hardStop must be at least window + closeTimeout + 2s: the tunnel that gets its Close last needs that time to answer",
    "fieldPath": ".hardStop",
}]))]
pub struct Drain {
    /// Time over which the tunnels get their Close, spread evenly. Default: 30s.
    #[serde(default = "half_a_minute")]
    pub window: Duration,
    /// Close code that the tunnels get. Default: 1001.
    #[serde(default = "going_away")]
    pub close_code: CloseCode,
    /// How long a peer may take to answer a Close after it was delivered, before its connection is
    /// cut; used whenever a tunnel ends. Default: 5s.
    #[serde(default = "five_seconds")]
    pub close_timeout: Duration,
    /// Time after the start of the shutdown at which the remaining connections are cut, at least
    /// window + closeTimeout + 2s. Default: 50s.
    #[serde(default = "fifty_seconds")]
    pub hard_stop: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            window: half_a_minute(),
            close_code: CloseCode::GOING_AWAY,
            close_timeout: five_seconds(),
            hard_stop: fifty_seconds(),
        }
    }
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn going_away() -> CloseCode {
    CloseCode::GOING_AWAY
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn fifty_seconds() -> Duration {
    Duration::from_secs(50)
}
