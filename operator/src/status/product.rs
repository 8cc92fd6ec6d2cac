//! Status of a Product. Pure.

use tidegate_api::ProductStatus;
use tidegate_config::ObjectKey;
use tidegate_plan::ProductVerdict;

use super::conditions::ConditionBuilder;
use super::gateway::first;
use super::programmed::{Progress, ServedOn};
use crate::objects::{CustomKind, ObjectRef};

/// Length of lists at most, as in the schema.
const MAX_APIS: usize = 1024;

pub(super) fn product_status(
    key: &ObjectKey,
    verdict: &ProductVerdict,
    progress: &Progress<'_>,
    builder: ConditionBuilder<'_>,
) -> ProductStatus {
    let object = ObjectRef::new(CustomKind::Product, key);
    let served = verdict.gateways.iter().map(ServedOn::from);
    let programmed = progress.programmed(&object, served);
    ProductStatus {
        observed_generation: Some(verdict.conditions.generation),
        resolved_apis: first(&verdict.resolved_apis, MAX_APIS),
        unresolved_apis: first(&verdict.unresolved_apis, MAX_APIS),
        subscriptions: Some(verdict.subscriptions),
        conditions: builder.with_dependencies(
            &verdict.conditions,
            &programmed,
            &progress.reachable(&object),
        ),
    }
}
