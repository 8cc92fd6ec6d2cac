//! PodDisruptionBudget of a Gateway's pods.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Target;
use crate::objects::{Manifest, OwnedKind, names};

/// One pod at a time by default: each drains its tunnels, and their clients need another pod to connect to.
pub(super) fn pod_disruption_budget(target: &Target<'_>) -> Manifest {
    let wanted = target
        .gateway
        .spec
        .deployment
        .pod_disruption_budget
        .as_ref();
    let (min_available, max_unavailable) = match wanted {
        Some(budget) => (budget.min_available.clone(), budget.max_unavailable.clone()),
        None => (None, Some(IntOrString::Int(1))),
    };
    let budget = PodDisruptionBudget {
        metadata: target.metadata(),
        spec: Some(PodDisruptionBudgetSpec {
            min_available,
            max_unavailable,
            selector: Some(LabelSelector {
                match_labels: Some(names::selector(&target.key.name)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    target.manifest(OwnedKind::PodDisruptionBudget, &budget)
}
