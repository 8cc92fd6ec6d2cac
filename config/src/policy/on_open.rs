//! The policy onOpen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind};

/// Sends a message to the backend when the tunnel opens, before the client's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OnOpen {
    /// Text message to the backend, as a template.
    #[schemars(length(min = 1, max = 16384))]
    pub send_text: String,
}

impl HasExpressions for OnOpen {
    fn expressions(&self) -> Vec<Expression<'_>> {
        vec![Expression::new(
            "onOpen.sendText",
            ExpressionKind::Template,
            &self.send_text,
        )]
    }
}
