//! What a gateway tells others besides metrics and logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a gateway tells others besides metrics and logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Telemetry {
    /// Where spans of handshakes and tunnels go. Default: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TraceExport>,
}

impl Telemetry {
    /// Nothing.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceExport {
    /// Receiver of OTLP over HTTP (protobuf), for example `http://collector.observability:4318/v1/traces`.
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = "^https?://[^/?#@ ]+(/[^?# ]*)?$")
    )]
    pub endpoint: String,
    /// How many in a hundred handshakes have spans, of those whose client sends no trace context.
    /// Default: 100.
    #[serde(default = "all")]
    #[schemars(range(max = 100))]
    pub sample_percent: u8,
}

fn all() -> u8 {
    100
}
