//! Policies that tell what happens: log, trace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind};

/// How important a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// A field of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogField {
    /// Name of the field.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value. Template.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// Writes a line to the gateway's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    /// The line's text. Template.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
    /// How important it is. Default: Info.
    #[serde(default)]
    pub severity: Severity,
    /// Further fields of the line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub fields: Vec<LogField>,
}

impl Log {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        told("log", &self.message, &self.fields)
    }
}

/// Tells whoever follows a handshake: the trace of it, and the gateway's log at level debug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trace {
    /// What to tell. Template.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
    /// How important it is. Default: Debug.
    #[serde(default = "debug")]
    pub severity: Severity,
    /// Further fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub fields: Vec<LogField>,
}

impl Trace {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
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
