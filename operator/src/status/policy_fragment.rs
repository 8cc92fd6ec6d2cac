//! Status of a PolicyFragment. Pure. What becomes of it is said at the objects that include it.

use tidegate_api::PolicyFragmentStatus;
use tidegate_plan::PolicyFragmentVerdict;

use super::Stamp;

pub(crate) fn of_policy_fragment(
    verdict: &PolicyFragmentVerdict,
    stamp: Stamp<'_>,
) -> PolicyFragmentStatus {
    PolicyFragmentStatus {
        observed_generation: Some(verdict.verdict.generation),
        users: Some(verdict.users),
        conditions: stamp.judged(&verdict.verdict),
    }
}
