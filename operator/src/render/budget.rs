//! PodDisruptionBudget of a Gateway's pods.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Site;
use crate::names;
use crate::owned::{Manifest, OwnedKind};

/// One pod at a time unless configured otherwise: each drains its tunnels, and their clients need
/// somewhere to go.
pub(super) fn pod_disruption_budget(site: &Site<'_>) -> Manifest {
    let wanted = site.gateway.spec.deployment.pod_disruption_budget.as_ref();
    let (min_available, max_unavailable) = match wanted {
        Some(budget) => (budget.min_available.clone(), budget.max_unavailable.clone()),
        None => (None, Some(IntOrString::Int(1))),
    };
    let budget = PodDisruptionBudget {
        metadata: site.metadata(),
        spec: Some(PodDisruptionBudgetSpec {
            min_available,
            max_unavailable,
            selector: Some(LabelSelector {
                match_labels: Some(names::selector(&site.key.name)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    site.manifest(OwnedKind::PodDisruptionBudget, &budget)
}
