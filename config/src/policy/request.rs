//! Policies that shape the backend's handshake: setHeader, setQueryParameter,
//! rewritePath, setBackend.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind};

/// What happens if the header or parameter exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IfExists {
    /// All its values are replaced.
    #[default]
    Override,
    /// It stays as it is.
    Skip,
    /// The values are added to its values.
    Append,
    /// It is removed; no values may be given.
    Delete,
}

/// Sets, extends or removes a header: in inbound of the request that the backend gets, in outbound
/// and onError of the answer that the client gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.ifExists) && self.ifExists == 'Delete' ? !has(self.values) || self.values.size() == 0 : has(self.values) && self.values.size() > 0",
        "message": "values must be set, unless ifExists is Delete, which takes none",
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
    /// Values of the header, as templates. Several are sent in one line, separated by commas, if
    /// the header allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16), inner(length(max = 4096)))]
    pub values: Vec<String>,
    /// What happens if the header exists already: Override (replace its values), Skip (keep it),
    /// Append (add to its values) or Delete (remove it). Default: Override.
    #[serde(default)]
    pub if_exists: IfExists,
}

/// Sets, extends or removes a query parameter of the URL that the backend gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.ifExists) && self.ifExists == 'Delete' ? !has(self.values) || self.values.size() == 0 : has(self.values) && self.values.size() > 0",
    "message": "values must be set, unless ifExists is Delete, which takes none",
}]))]
pub struct SetQueryParameter {
    /// Name of the parameter, not percent-encoded.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Values of the parameter, as templates, not percent-encoded: the gateway encodes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16), inner(length(max = 4096)))]
    pub values: Vec<String>,
    /// What happens if the parameter exists already: Override (replace its values), Skip (keep it),
    /// Append (add to its values) or Delete (remove it). Default: Override.
    #[serde(default)]
    pub if_exists: IfExists,
}

/// Chooses another backend for this handshake: any by `url`, or a member of the API's pool by
/// `ref`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.url) != has(self.ref)",
    "message": "exactly one of url and ref must be set",
}]))]
pub struct SetBackend {
    /// `ws://` or `wss://` URL, as a template. A query in it is kept, and the client's is appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub url: Option<String>,
    /// Name of a member of `backend.pool`, as a template. No other member is tried.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub member: Option<String>,
}

/// Replaces the path of the request that the backend gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewritePath {
    /// Whole path with a leading `/`, as a template. It may have a query, whose parameters replace
    /// those of the same name.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^(/|\$\{)"))]
    pub path: String,
    /// Whether the client's other query parameters are appended. Default: true.
    #[serde(default = "yes")]
    pub keep_query: bool,
}

impl HasExpressions for RewritePath {
    fn expressions(&self) -> Vec<Expression<'_>> {
        vec![Expression::new(
            "rewritePath.path",
            ExpressionKind::Template,
            &self.path,
        )]
    }
}

impl HasExpressions for SetHeader {
    fn expressions(&self) -> Vec<Expression<'_>> {
        Expression::templates("setHeader.values", &self.values)
    }
}

impl HasExpressions for SetQueryParameter {
    fn expressions(&self) -> Vec<Expression<'_>> {
        Expression::templates("setQueryParameter.values", &self.values)
    }
}

impl HasExpressions for SetBackend {
    fn expressions(&self) -> Vec<Expression<'_>> {
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

/// Whether the header `name` belongs to the handshake, so that no policy may set or remove it.
pub fn is_restricted_header(name: &str) -> bool {
    RESTRICTED_HEADERS
        .iter()
        .any(|restricted| restricted.eq_ignore_ascii_case(name))
}
