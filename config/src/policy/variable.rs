//! Policies that keep values: setVariable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind};

/// Sets a variable for later steps, to be read as `vars.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetVariable {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// CEL expression for its value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

impl HasExpressions for SetVariable {
    fn expressions(&self) -> Vec<Expression<'_>> {
        vec![Expression::new(
            "setVariable.value",
            ExpressionKind::Value,
            &self.value,
        )]
    }
}
