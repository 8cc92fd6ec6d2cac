//! Policies that shape the backend's handshake: setHeader, setQueryParameter,
//! rewritePath, setBackend.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind};

/// What to do when the header or parameter is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IfExists {
    /// Replace all its values.
    #[default]
    Override,
    /// Leave it as it is.
    Skip,
    /// Add these values to its values.
    Append,
    /// Remove it; no values may be given.
    Delete,
}

/// Sets, adds to or removes a header: inbound the backend's, outbound and onError the client's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.ifExists) && self.ifExists == 'Delete' ? !has(self.values) || self.values.size() == 0 : has(self.values) && self.values.size() > 0",
        "message": "values must be set, unless ifExists is Delete: then they must not",
    },
    {
        "rule": "!(self.name.lowerAscii() in ['host', 'connection', 'upgrade', 'sec-websocket-key', 'sec-websocket-accept', 'sec-websocket-version', 'sec-websocket-extensions', 'content-length', 'transfer-encoding', 'keep-alive', 'te', 'trailer', 'proxy-connection', 'via'])",
        "message": "this header belongs to the handshake and cannot be set by a policy",
        "fieldPath": ".name",
    },
]))]
pub struct SetHeader {
    /// Name of the header.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub name: String,
    /// Its values; several are sent as one comma-separated line where the header allows it.
    /// Templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16), inner(length(max = 4096)))]
    pub values: Vec<String>,
    /// Override, Skip, Append or Delete. Default: Override.
    #[serde(default)]
    pub if_exists: IfExists,
}

/// Sets, adds to or removes a query parameter of the backend's URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.ifExists) && self.ifExists == 'Delete' ? !has(self.values) || self.values.size() == 0 : has(self.values) && self.values.size() > 0",
    "message": "values must be set, unless ifExists is Delete: then they must not",
}]))]
pub struct SetQueryParameter {
    /// Name of the parameter, not encoded.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its values, not encoded: the gateway encodes them once. Templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16), inner(length(max = 4096)))]
    pub values: Vec<String>,
    /// Override, Skip, Append or Delete. Default: Override.
    #[serde(default)]
    pub if_exists: IfExists,
}

/// Chooses another backend for this handshake: any one by `url`, or a member of the API's pool by
/// `ref`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.url) != has(self.ref)",
    "message": "exactly one of url and ref must be set",
}]))]
pub struct SetBackend {
    /// `ws://` or `wss://` URL; a query in it stays, the client's is appended. Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub url: Option<String>,
    /// Name of a member of `backend.pool`: that one alone is asked. Template.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub member: Option<String>,
}

/// Asks the backend for another path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewritePath {
    /// The whole path, with a leading `/`; may have a query, whose parameters replace those of the
    /// same name. Template.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^(/|\$\{)"))]
    pub path: String,
    /// Append the client's other query parameters. Default: true.
    #[serde(default = "yes")]
    pub keep_query: bool,
}

impl RewritePath {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        vec![Expression::new(
            "rewritePath.path",
            ExpressionKind::Template,
            &self.path,
        )]
    }
}

impl SetHeader {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        Expression::templates("setHeader.values", &self.values)
    }
}

impl SetQueryParameter {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        Expression::templates("setQueryParameter.values", &self.values)
    }
}

impl SetBackend {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        [
            ("setBackend.url", self.url.as_deref()),
            ("setBackend.ref", self.member.as_deref()),
        ]
        .into_iter()
        .filter_map(|(field, text)| Some(Expression::new(field, ExpressionKind::Template, text?)))
        .collect()
    }
}

fn yes() -> bool {
    true
}

/// Headers that make the handshake itself: no policy may set or remove them.
const RESTRICTED_HEADERS: [&str; 14] = [
    "host",
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-accept",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "te",
    "trailer",
    "proxy-connection",
    // Tells a gateway that a request has been there: without it a loop would go on for ever.
    "via",
];

/// May no policy touch the header `name`?
pub fn is_restricted_header(name: &str) -> bool {
    RESTRICTED_HEADERS
        .iter()
        .any(|restricted| restricted.eq_ignore_ascii_case(name))
}
