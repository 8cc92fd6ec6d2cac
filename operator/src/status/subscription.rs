//! Status of a Subscription. Pure.

use tidegate_api::SubscriptionStatus;
use tidegate_config::ObjectKey;
use tidegate_plan::{Serving, SubscriptionVerdict};

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
    let programmed = progress.judge(&object, verdict.gateways.iter().map(serves));
    SubscriptionStatus {
        observed_generation: Some(verdict.verdict.generation),
        state: Some(verdict.phase),
        keys: Some(verdict.keys.clone()),
        conditions: stamp.all(&verdict.verdict, &programmed),
    }
}
