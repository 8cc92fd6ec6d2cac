//! The lines that a gateway writes about connections: which, of which fields, in which form.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line_field::{LineField, LineKind};
use super::line_template::{InvalidLineTemplate, LineTemplate};

/// Log lines about handshakes and tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.fields) || !has(self.format) || self.format == 'Json'",
        "message": "fields needs format Json",
    },
    {
        "rule": "!has(self.text) || (has(self.format) && self.format == 'Text')",
        "message": "text needs format Text",
    },
]))]
pub struct AccessLog {
    /// Format of the lines: Json (an object in each line), Text (as `text` says) or "Off" (no
    /// lines). Default: Json.
    #[serde(default)]
    pub format: LogFormat,
    /// Fields of Json lines. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 40, "x-kubernetes-list-type" = "set"))]
    pub fields: Option<Vec<LineField>>,
    /// Templates of Text lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextLines>,
    /// Percentage of connections that are logged.
    #[serde(default)]
    pub sample_percent: LogSampling,
}

/// Format of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogFormat {
    /// An object in each line.
    #[default]
    Json,
    /// Text with the values of fields in it.
    Text,
    /// No lines.
    Off,
}

/// Templates of text lines. `${FIELD}` stands for the value of a field, or `-` if it has none, and
/// `$${` for a literal `${`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TextLines {
    /// Line at the end of a handshake. Default: client, API, request, status, reason and duration.
    #[serde(default = "handshake_text")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    pub handshake: String,
    /// Line at the end of a tunnel. Default: client, API, cause, close code, duration, and numbers
    /// of messages and bytes.
    #[serde(default = "close_text")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    pub close: String,
}

/// Percentage of connections that are logged. Handshakes and tunnels that failed are always logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSampling {
    /// Percentage of accepted connections that are logged, with both lines or none. Default: 100.
    #[serde(default = "super::all")]
    #[schemars(range(max = 100))]
    pub accepted: u8,
    /// Percentage of refused handshakes that are logged. Default: 100.
    #[serde(default = "super::all")]
    #[schemars(range(max = 100))]
    pub refused: u8,
}

impl TextLines {
    /// The parsed template of the line at the end of a handshake.
    ///
    /// # Errors
    ///
    /// When the template is not closed, or names a field that does not exist in such lines.
    pub fn handshake_line(&self) -> Result<LineTemplate, InvalidLineTemplate> {
        LineTemplate::parse(LineKind::Handshake, &self.handshake)
    }

    /// The parsed template of the line at the end of a tunnel.
    ///
    /// # Errors
    ///
    /// As with [`Self::handshake_line`].
    pub fn close_line(&self) -> Result<LineTemplate, InvalidLineTemplate> {
        LineTemplate::parse(LineKind::Close, &self.close)
    }
}

impl Default for TextLines {
    fn default() -> Self {
        Self {
            handshake: handshake_text(),
            close: close_text(),
        }
    }
}

impl Default for LogSampling {
    fn default() -> Self {
        Self {
            accepted: super::all(),
            refused: super::all(),
        }
    }
}

fn handshake_text() -> String {
    "${timestamp} ${id} ${client} ${api} \"${method} ${host}${path}\" ${status} ${reason} \
     ${duration_ms}ms \"${user_agent}\""
        .to_owned()
}

fn close_text() -> String {
    "${timestamp} ${id} ${client} ${api} ${cause} ${client_code} ${duration_ms}ms \
     ${from_client_messages}/${from_client_bytes} ${from_backend_messages}/${from_backend_bytes}"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_come_without_asking_can_be_read() {
        let lines = TextLines::default();
        assert!(lines.handshake_line().is_ok() && lines.close_line().is_ok());
        let log: AccessLog = serde_json::from_str("{\"format\": \"Text\", \"text\": {}}").unwrap();
        assert_eq!(log.text, Some(lines));
        assert_eq!(log.sample_percent, LogSampling::default());
    }
}
