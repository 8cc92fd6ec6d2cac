//! What a gateway tells: its access log, labels of its metrics, spans.

mod access_log;
mod line_field;
mod line_template;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access_log::{AccessLog, LogFormat, LogSampling, TextLines};
pub use line_field::{LineField, LineKind};
pub use line_template::{InvalidLineTemplate, LinePiece, LineTemplate};

/// What a gateway reports: access log, labels of metrics, and spans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Telemetry {
    /// Log lines about handshakes and tunnels. Default: JSON lines about all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLog>,
    /// Labels that the counters of messages and bytes have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricLabels>,
    /// Where spans of handshakes and tunnels are sent. Default: they are not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TraceExport>,
}

impl Telemetry {
    /// Whether everything has its default.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// Labels of metrics, each of which multiplies the number of time series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricLabels {
    /// Labels of the counters of messages and bytes, besides direction and type: Api, Product or
    /// Subscription. Default: Api.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 3, "x-kubernetes-list-type" = "set"))]
    pub message_labels: Option<Vec<MessageLabel>>,
}

/// A label of the counters of messages and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MessageLabel {
    /// The WebSocketApi.
    Api,
    /// The Product through which access was granted.
    Product,
    /// The Subscription whose key was used.
    Subscription,
}

/// Where spans of handshakes and tunnels are sent, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceExport {
    /// URL of a receiver of OTLP over HTTP (protobuf), for example
    /// `http://collector.observability:4318/v1/traces`.
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = "^https?://[^/?#@ ]+(/[^?# ]*)?$")
    )]
    pub endpoint: String,
    /// Percentage of handshakes that have spans, among those whose client sends no trace context.
    /// Default: 100.
    #[serde(default = "all")]
    #[schemars(range(max = 100))]
    pub sample_percent: u8,
}

fn all() -> u8 {
    100
}
