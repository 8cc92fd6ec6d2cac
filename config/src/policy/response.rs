//! Policies that answer the client: returnResponse, setStatus.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind};

/// A header of a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValue {
    /// Name of the header.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub name: String,
    /// Value of the header, as a template.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// Ends the handshake with this answer; in onError it replaces the refusal's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.body) && has(self.message))",
    "message": "at most one of body, message may be set",
}]))]
pub struct ReturnResponse {
    /// Status of the answer, 300 to 599.
    #[schemars(range(min = 300, max = 599))]
    pub status: u16,
    /// Headers of the answer, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub headers: Vec<HeaderValue>,
    /// Body of the answer, as a template. Default: empty, unless there is a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub body: Option<String>,
    /// Message, as a template, for the JSON body `{"statusCode":…,"message":…}`. Not allowed
    /// together with body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Changes status and message of a refusal; its headers stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetStatus {
    /// Status of the refusal, 300 to 599.
    #[schemars(range(min = 300, max = 599))]
    pub status: u16,
    /// Message, as a template, for the JSON body `{"statusCode":…,"message":…}`, which also
    /// replaces a body that the backend sent. Default: the message stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

impl HasExpressions for SetStatus {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let text = self.message.iter();
        text.map(|text| Expression::new("setStatus.message", ExpressionKind::Template, text))
            .collect()
    }
}

impl HasExpressions for ReturnResponse {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let mut found = Vec::new();
        for (i, header) in self.headers.iter().enumerate() {
            let field = format!("returnResponse.headers[{i}].value");
            found.push(Expression::new(
                field,
                ExpressionKind::Template,
                &header.value,
            ));
        }
        for (name, text) in [("body", &self.body), ("message", &self.message)] {
            if let Some(text) = text {
                let field = format!("returnResponse.{name}");
                found.push(Expression::new(field, ExpressionKind::Template, text));
            }
        }
        found
    }
}
