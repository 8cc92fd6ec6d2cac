//! The policy includeFragment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Runs the steps of a PolicyFragment here, as if they stood here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IncludeFragment {
    /// Name of a PolicyFragment of the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// How many of the steps behind this one are the fragment's: where configurations carry it,
    /// its steps follow. No field of resources.
    #[serde(default, skip_serializing_if = "is_none")]
    #[schemars(skip)]
    pub steps: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_none(steps: &usize) -> bool {
    *steps == 0
}
