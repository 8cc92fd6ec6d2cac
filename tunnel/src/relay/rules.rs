//! What a tunnel has to keep to, compiled from an API's limits and timeouts.

use std::time::Duration;

use tidegate_config::{ApiConfig, ApiTimeouts, Drain, Rate};

/// Limits and timeouts of an API's tunnels; shared by all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Largest message.
    pub max_message_bytes: Option<u64>,
    /// Messages per second and direction.
    pub messages: Option<Rate>,
    /// Bytes per second and direction.
    pub bytes: Option<Rate>,
    /// No bytes in either direction for so long.
    pub idle: Option<Duration>,
    /// Largest age.
    pub max_duration: Option<Duration>,
    /// Silence after which a side is pinged.
    pub ping_interval: Option<Duration>,
    /// Silence after a ping.
    pub pong_timeout: Duration,
    /// A side that takes no byte.
    pub write_stall: Option<Duration>,
    /// How long a peer may take to answer a Close.
    pub close_timeout: Duration,
}

impl Rules {
    /// Those of an API on a gateway.
    pub fn new(api: &ApiConfig, drain: &Drain) -> Self {
        let timeouts = api.timeouts.or(ApiTimeouts::DEFAULT);
        let enabled =
            |timeout: Option<tidegate_config::Duration>| timeout.and_then(|t| t.enabled());
        Self {
            max_message_bytes: api.limits.max_message_bytes.filter(|&max| max > 0),
            messages: api.limits.messages,
            bytes: api.limits.bytes,
            idle: enabled(timeouts.idle),
            max_duration: enabled(timeouts.max_duration),
            ping_interval: enabled(timeouts.ping_interval),
            pong_timeout: timeouts.pong_timeout.unwrap_or_default().get(),
            write_stall: enabled(timeouts.write_stall),
            close_timeout: drain.close_timeout.get(),
        }
    }
}
