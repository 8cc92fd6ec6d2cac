//! Status of a SubscriptionRequest. Pure.

use tidegate_api::{ConditionType, SubscriptionRequestStatus};
use tidegate_plan::RequestVerdict;

use super::conditions::ConditionBuilder;

pub(super) fn subscription_request_status(
    verdict: &RequestVerdict,
    builder: ConditionBuilder<'_>,
) -> SubscriptionRequestStatus {
    let conditions = &verdict.conditions;
    let generation = conditions.generation;
    // Nothing that a request names can be missing but what the owner has: one condition is enough.
    let state = match conditions.resolved.status {
        true => &conditions.accepted,
        false => &conditions.resolved,
    };
    SubscriptionRequestStatus {
        observed_generation: Some(generation),
        state: Some(verdict.phase),
        conditions: vec![builder.condition(ConditionType::Accepted, state, generation)],
    }
}
