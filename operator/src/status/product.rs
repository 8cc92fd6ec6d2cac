//! Status of a Product. Pure.

use tidegate_api::ProductStatus;
use tidegate_config::ObjectKey;
use tidegate_plan::ProductVerdict;

use super::gateway::first;
use super::{Progress, Serves, Stamp};
use crate::objects::{Kind, ObjectRef};

/// Length of lists in the schema.
const APIS: usize = 1024;

pub(crate) fn of_product(
    key: &ObjectKey,
    verdict: &ProductVerdict,
    progress: &Progress<'_>,
    stamp: Stamp<'_>,
) -> ProductStatus {
    let object = ObjectRef::new(Kind::Product, key);
    let served = verdict.gateways.iter().map(Serves::from);
    let programmed = progress.judge(&object, served);
    ProductStatus {
        observed_generation: Some(verdict.verdict.generation),
        resolved_apis: first(&verdict.resolved_apis, APIS),
        unresolved_apis: first(&verdict.unresolved_apis, APIS),
        subscriptions: Some(verdict.subscriptions),
        conditions: stamp.all_and(&verdict.verdict, &programmed, &progress.reachable(&object)),
    }
}
