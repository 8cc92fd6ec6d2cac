//! Policies that answer the client: returnResponse, setStatus.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind};

/// A header in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValue {
    /// Name of the header.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub name: String,
    /// Its value. Template.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// Ends the handshake with this answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.body) && has(self.message))",
    "message": "at most one of body, message may be set",
}]))]
pub struct ReturnResponse {
    /// Status, 300 or above.
    #[schemars(range(min = 300, max = 599))]
    pub status: u16,
    /// Headers of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub headers: Vec<HeaderValue>,
    /// Body as it is. Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub body: Option<String>,
    /// Message in the usual JSON body `{"statusCode":…,"message":…}`. Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Changes status and message of a refusal; its headers stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetStatus {
    /// Status, 300 or above.
    #[schemars(range(min = 300, max = 599))]
    pub status: u16,
    /// Message in the usual JSON body, also where the backend sent another one. Default: as it
    /// was. Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

impl SetStatus {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let text = self.message.iter();
        text.map(|text| Expression::new("setStatus.message", ExpressionKind::Template, text))
            .collect()
    }
}

impl ReturnResponse {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
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
