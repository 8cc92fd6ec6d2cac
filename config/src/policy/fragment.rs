//! The policy includeFragment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;

/// Runs the steps of a PolicyFragment at this place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IncludeFragment {
    /// Name of a PolicyFragment of the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Number of the following steps that come from the fragment, in configurations for gateways.
    /// Resources have no such field.
    #[serde(default, skip_serializing_if = "is_none")]
    #[schemars(skip)]
    pub steps: usize,
}

impl HasExpressions for IncludeFragment {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_none(steps: &usize) -> bool {
    *steps == 0
}
