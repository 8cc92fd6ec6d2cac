//! Policies that limit how many: limitConnections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind};

/// Limits live tunnels for each value of `key`. Further handshakes get 429.
///
/// A handshake counts before the backend is dialled, until it fails or its tunnel closes. All
/// Products and APIs of a namespace share a count per key value; the Gateway's own policies have
/// another. Counted per pod, or for all pods together with the Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitConnections {
    /// CEL expression for the key, for example `client.ip` or `jwt.claims.sub`. Default: the
    /// subscription; handshakes without one are not limited then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub key: Option<String>,
    /// Largest number of live tunnels per value of the key; further handshakes get 429.
    #[schemars(range(min = 1, max = 1000000))]
    pub max: u32,
}

impl HasExpressions for LimitConnections {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let key = self.key.iter();
        key.map(|text| Expression::new("limitConnections.key", ExpressionKind::Value, text))
            .collect()
    }
}
