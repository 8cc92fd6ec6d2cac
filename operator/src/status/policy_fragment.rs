//! Status of a PolicyFragment. Pure. The objects that include it say whether it works there.

use tidegate_api::PolicyFragmentStatus;
use tidegate_plan::PolicyFragmentVerdict;

use super::conditions::ConditionBuilder;

pub(super) fn policy_fragment_status(
    verdict: &PolicyFragmentVerdict,
    builder: ConditionBuilder<'_>,
) -> PolicyFragmentStatus {
    PolicyFragmentStatus {
        observed_generation: Some(verdict.conditions.generation),
        users: Some(verdict.users),
        conditions: builder.planned_conditions(&verdict.conditions),
    }
}
