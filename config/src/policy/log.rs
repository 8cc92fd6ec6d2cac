//! Policies that tell what happens: log, trace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind};

/// Severity of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// A field of a log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogField {
    /// Name of the field.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Value of the field, as a template.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// Writes a line to the gateway's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    /// Text of the line, as a template.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
    /// Severity of the line: Debug, Info, Warn or Error. Default: Info.
    #[serde(default)]
    pub severity: Severity,
    /// Further fields of the line, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub fields: Vec<LogField>,
}

impl HasExpressions for Log {
    fn expressions(&self) -> Vec<Expression<'_>> {
        told("log", &self.message, &self.fields)
    }
}

/// Adds an entry to the trace of the handshake, and writes it to the gateway's log at level debug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trace {
    /// Text of the entry, as a template.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
    /// Severity of the entry: Debug, Info, Warn or Error. Default: Debug.
    #[serde(default = "debug")]
    pub severity: Severity,
    /// Further fields of the entry, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub fields: Vec<LogField>,
}

impl HasExpressions for Trace {
    fn expressions(&self) -> Vec<Expression<'_>> {
        told("trace", &self.message, &self.fields)
    }
}

fn debug() -> Severity {
    Severity::Debug
}

fn told<'a>(policy: &str, message: &'a str, fields: &'a [LogField]) -> Vec<Expression<'a>> {
    let template = ExpressionKind::Template;
    let message = Expression::new(format!("{policy}.message"), template, message);
    let fields = fields.iter().enumerate().map(|(i, field)| {
        let place = format!("{policy}.fields[{i}].value");
        Expression::new(place, template, &field.value)
    });
    std::iter::once(message).chain(fields).collect()
}
