//! Status of a Subscription. Pure.

use tidegate_api::{Reason, SubscriptionStatus};
use tidegate_config::ObjectKey;
use tidegate_plan::{ConditionState, Serving, SubscriptionVerdict};

use super::conditions::ConditionBuilder;
use super::programmed::{Progress, ServedOn};
use crate::objects::{CustomKind, ObjectRef};

pub(super) fn subscription_status(
    key: &ObjectKey,
    verdict: &SubscriptionVerdict,
    progress: &Progress<'_>,
    builder: ConditionBuilder<'_>,
) -> SubscriptionStatus {
    let object = ObjectRef::new(CustomKind::Subscription, key);
    let on = |gateway| ServedOn {
        gateway,
        serving: Serving::Current,
    };
    let served = progress.programmed(&object, verdict.gateways.iter().map(on));
    let programmed = if served.status && !verdict.conditions.accepted.status {
        // For example one key of two: it opens tunnels, but that is not what the spec asks for.
        ConditionState::bad(
            Reason::Invalid,
            "served by every pod, without the part that is not accepted",
        )
    } else {
        served
    };
    SubscriptionStatus {
        observed_generation: Some(verdict.conditions.generation),
        state: Some(verdict.phase),
        keys: Some(verdict.keys.clone()),
        request: verdict.request.clone(),
        approved: verdict.approved.clone(),
        conditions: builder.with_programmed(&verdict.conditions, &programmed),
    }
}

#[cfg(test)]
mod tests;
