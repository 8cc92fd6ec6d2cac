//! Status of a Subscription. Pure.

use tidegate_api::{Reason, SubscriptionStatus};
use tidegate_config::ObjectKey;
use tidegate_plan::{Judgement, Serving, SubscriptionVerdict};

use super::{Progress, Serves, Stamp};
use crate::objects::{Kind, ObjectRef};

pub(crate) fn of_subscription(
    key: &ObjectKey,
    verdict: &SubscriptionVerdict,
    progress: &Progress<'_>,
    stamp: Stamp<'_>,
) -> SubscriptionStatus {
    let object = ObjectRef::new(Kind::Subscription, key);
    let serves = |gateway| Serves {
        gateway,
        serving: Serving::Current,
    };
    let served = progress.judge(&object, verdict.gateways.iter().map(serves));
    let programmed = if served.status && !verdict.verdict.accepted.status {
        // One key of two, say: it opens tunnels, but this is not what was asked for.
        Judgement::bad(
            Reason::Invalid,
            "served by every pod, but for what is not accepted",
        )
    } else {
        served
    };
    SubscriptionStatus {
        observed_generation: Some(verdict.verdict.generation),
        state: Some(verdict.phase),
        keys: Some(verdict.keys.clone()),
        approved: verdict.approved.clone(),
        conditions: stamp.all(&verdict.verdict, &programmed),
    }
}

#[cfg(test)]
mod tests;
