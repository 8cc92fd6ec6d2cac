//! The lines that a gateway writes about connections: which, of which fields, in which form.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line_field::{LineField, LineKind};
use super::line_template::{InvalidLineTemplate, LineTemplate};

/// What a gateway logs of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.fields) || !has(self.format) || self.format == 'Json'",
        "message": "fields go with format Json",
    },
    {
        "rule": "!has(self.text) || (has(self.format) && self.format == 'Text')",
        "message": "text goes with format Text",
    },
]))]
pub struct AccessLog {
    /// Json (an object in each line), Text (as `text` says) or "Off". Default: Json.
    #[serde(default)]
    pub format: LogFormat,
    /// The fields of Json lines. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 40, "x-kubernetes-list-type" = "set"))]
    pub fields: Option<Vec<LineField>>,
    /// The lines of format Text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextLines>,
    /// How many connections have lines.
    #[serde(default)]
    pub sample_percent: LogSampling,
}

/// Form of the lines.
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

/// Lines as text. `${FIELD}` stands for the value of a field, `-` when it has none, and `$${` for
/// a literal `${`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TextLines {
    /// At the end of a handshake. Default: client, API, request, status, reason and time of it.
    #[serde(default = "handshake_text")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    pub handshake: String,
    /// At the end of a tunnel. Default: client, API, cause, close code, age and messages of it.
    #[serde(default = "close_text")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^[^\\x00-\\x1f\\x7f]*$"))]
    pub close: String,
}

/// How many in a hundred connections have lines. Handshakes in which something did not work, and
/// tunnels that ended so, always have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSampling {
    /// Of those that were accepted: both lines or none. Default: 100.
    #[serde(default = "super::all")]
    #[schemars(range(max = 100))]
    pub accepted: u8,
    /// Of those that were refused. Default: 100.
    #[serde(default = "super::all")]
    #[schemars(range(max = 100))]
    pub refused: u8,
}

impl TextLines {
    /// The line at the end of a handshake, read.
    pub fn handshake_line(&self) -> Result<LineTemplate, InvalidLineTemplate> {
        LineTemplate::parse(LineKind::Handshake, &self.handshake)
    }

    /// The line at the end of a tunnel, read.
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
