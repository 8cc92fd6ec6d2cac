//! Policies that limit how many: limitConnections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind};

/// At most `max` live tunnels for each value of `key`; then 429.
///
/// A place is taken before the backend is dialled, and free again when the handshake fails or the
/// tunnel closes. One count per key value for all Products and APIs of a namespace, and one for the Gateway's own policies. Counted per pod, or together: see the Gateway's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitConnections {
    /// CEL: what is counted, for example `client.ip` or `jwt.claims.sub`. Default: the
    /// subscription; a handshake without one is not limited then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub key: Option<String>,
    /// Live tunnels allowed.
    #[schemars(range(min = 1, max = 1000000))]
    pub max: u32,
}

impl LimitConnections {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let key = self.key.iter();
        key.map(|text| Expression::new("limitConnections.key", ExpressionKind::Value, text))
            .collect()
    }
}
