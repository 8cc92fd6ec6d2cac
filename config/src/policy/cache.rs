//! Policies that keep values for later handshakes: cacheLookup, cacheStore, cacheRemove.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Duration, Expression, ExpressionKind};

/// Reads a value that cacheStore kept. Values are kept per gateway pod and per namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheLookup {
    /// CEL expression for the key of the value.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// Name of the variable that gets the value, or null if there is none.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub variable: String,
}

/// Keeps a value for later handshakes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheStore {
    /// CEL expression for the key of the value.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// CEL expression for the value, which may have any type.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
    /// How long the value is kept, 1s to 24h.
    #[serde(rename = "for")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
        "message": "for must be between 1s and 24h",
    }]))]
    pub ttl: Duration,
}

/// Removes a value that cacheStore kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheRemove {
    /// CEL expression for the key of the value.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
}

fn value<'a>(field: &str, text: &'a str) -> Expression<'a> {
    Expression::new(field, ExpressionKind::Value, text)
}

impl HasExpressions for CacheLookup {
    fn expressions(&self) -> Vec<Expression<'_>> {
        vec![value("cacheLookup.key", &self.key)]
    }
}

impl HasExpressions for CacheStore {
    fn expressions(&self) -> Vec<Expression<'_>> {
        vec![
            value("cacheStore.key", &self.key),
            value("cacheStore.value", &self.value),
        ]
    }
}

impl HasExpressions for CacheRemove {
    fn expressions(&self) -> Vec<Expression<'_>> {
        vec![value("cacheRemove.key", &self.key)]
    }
}
