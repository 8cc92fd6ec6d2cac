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

/// Does a listener ask its clients for certificates?
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ClientCertificates {
    /// No.
    #[default]
    Off,
    /// Yes; policies decide about one that is missing or not trusted.
    Optional,
    /// Yes; without a trusted one there is no TLS.
    Required,
}

/// Limits of a gateway pod, and defaults for every API's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayLimits {
    /// Tunnels and handshakes under way per pod; above it: 503. Never more than the limit of open
    /// files allows. Default: 0, as many as that allows.
    #[serde(default)]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections: u32,
    /// Connections per client address and pod, counted from the moment they are accepted, before any
    /// request. Above it: the next eight get 429, more are closed without an answer. Default: 0
    /// (off).
    #[serde(default)]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections_per_ip: u32,
    /// Leading bits of an IPv6 address that count as one client for maxConnectionsPerIp. Default: 64, what
    /// one subscriber usually has; 128 counts each address alone.
    #[serde(default = "sixty_four")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix_length: u8,
    /// Handshakes per second and pod; above it: 503. Default: 0 (off).
    #[serde(default)]
    #[schemars(range(max = 4294967295_u64))]
    pub max_handshakes_per_second: u32,
    /// Largest request head in bytes; above it: 431. Default: 16384.
    #[serde(default = "sixteen_kib")]
    #[schemars(range(min = 1024, max = 1048576))]
    pub max_header_bytes: u32,
    /// Longest request URL in bytes; above it: 414. Default: 16384.
    #[serde(default = "sixteen_kib")]
    #[schemars(range(min = 256, max = 1048576))]
    pub max_url_bytes: u32,
    /// Default for every API: live tunnels per API, subscription and pod; above it: 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4294967295_u64))]
    pub max_connections_per_subscription: Option<u32>,
    /// Default for every API: largest message in bytes; above it: Close 1009 to the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9007199254740991_u64))]
    pub max_message_bytes: Option<u64>,
    /// Default for every API: messages per second, direction and tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Rate>,
    /// Default for every API: bytes per second, direction and tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Rate>,
    /// Default for every API: largest head of a backend's answer in bytes, also to health checks, and
    /// of a proxy's; above it: 502. 32768, or maxHeaderBytes where that is more, unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1048576))]
    pub max_response_header_bytes: Option<u32>,
    /// Default for every API: largest body of a backend's refusal in bytes; a longer one is cut,
    /// and the client can see that. 1048576 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 67108864))]
    pub max_response_body_bytes: Option<u32>,
}

impl GatewayLimits {
    /// What an API has that sets no limits of its own.
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

    /// Largest head of a backend's answer where nothing is set. An answer may repeat what the client
    /// sent, a token or a cookie: what a request may have, the answer may have as well.
    pub fn default_response_header_bytes(&self) -> u32 {
        self.max_header_bytes.max(32 * 1024)
    }

    /// Largest body of a refusal where nothing is set.
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

/// Timeouts of a gateway, and defaults for every API's timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayTimeouts {
    /// TLS handshake and request head together; then the socket is closed. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub handshake: Duration,
    /// Default for every API: TCP and TLS connect to the backend. 5s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// Default for every API: the backend's answer to the handshake. 10s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_handshake: Option<Duration>,
    /// Default for every API: from the request to its answer. 30s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_total: Option<Duration>,
    /// Default for every API: no bytes in either direction. 0 (off) unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// Default for every API: age at which a tunnel is closed. 0 (off) unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// Default for every API: silence after which a side is pinged. 0 (off) unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_interval: Option<Duration>,
    /// Default for every API: how long a side may be silent after a ping has left. 20s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pong_timeout: Option<Duration>,
    /// Default for every API: how long a peer may acknowledge no byte while bytes wait for it; 0:
    /// off. 60s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_stall: Option<Duration>,
}

impl GatewayTimeouts {
    /// What an API has that sets no timeouts of its own.
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

/// How a gateway pod says goodbye to its tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "duration(has(self.window) ? self.window : '30s') + duration(has(self.closeTimeout) ? self.closeTimeout : '5s') + duration('2s') <= duration(has(self.hardStop) ? self.hardStop : '50s')",
    "message": "hardStop must be at least window + closeTimeout + 2s: who gets its Close last needs that time to answer",
    "fieldPath": ".hardStop",
}]))]
pub struct Drain {
    /// Closes are spread evenly over this time. Default: 30s.
    #[serde(default = "half_a_minute")]
    pub window: Duration,
    /// Code of these closes. Default: 1001.
    #[serde(default = "going_away")]
    pub close_code: CloseCode,
    /// How long a peer may take to answer a Close after its delivery, in a drain and whenever else
    /// a tunnel ends. Default: 5s.
    #[serde(default = "five_seconds")]
    pub close_timeout: Duration,
    /// After this long whatever is left is cut. Default: 50s.
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
