//! The policy onOpen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind};

/// Says something to the backend as soon as the tunnel is open, before the client's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OnOpen {
    /// A text message to the backend. Template.
    #[schemars(length(min = 1, max = 16384))]
    pub send_text: String,
}

impl OnOpen {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        vec![Expression::new(
            "onOpen.sendText",
            ExpressionKind::Template,
            &self.send_text,
        )]
    }
}
