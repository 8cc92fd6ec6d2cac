//! Policies that keep values: setVariable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind};

/// Keeps a value for later steps: `vars.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetVariable {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// CEL: its value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

impl SetVariable {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        vec![Expression::new(
            "setVariable.value",
            ExpressionKind::Value,
            &self.value,
        )]
    }
}
