//! Deployment that runs a Gateway's pods.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::{RollingUpdate, Strategy, StrategyType};
use tidegate_config::ListenerConfig;

use super::{Target, pod};
use crate::objects::{Manifest, OwnedKind, names};

/// Number of pods by default: one serves while the other is replaced.
const DEFAULT_REPLICAS: i32 = 2;

pub(super) fn deployment(target: &Target<'_>, listeners: &[ListenerConfig]) -> Manifest {
    let wanted = &target.gateway.spec.deployment;
    let deployment = Deployment {
        metadata: target.metadata_with(&wanted.labels, &wanted.annotations),
        spec: DeploymentSpec {
            replicas: replicas(target),
            selector: LabelSelector {
                match_labels: Some(names::selector(&target.key.name)),
                ..LabelSelector::default()
            },
            strategy: Some(strategy(target)),
            template: pod::template(target, listeners),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    };
    target.manifest(OwnedKind::Deployment, &deployment)
}

/// By default the new pod first: the tunnels of an old pod end with it.
fn strategy(target: &Target<'_>) -> DeploymentStrategy {
    let wanted = target.gateway.spec.deployment.strategy.clone();
    let Strategy {
        type_,
        rolling_update,
    } = wanted.unwrap_or_default();
    if type_ == StrategyType::Recreate {
        return DeploymentStrategy {
            type_: Some("Recreate".to_owned()),
            rolling_update: None,
        };
    }
    let RollingUpdate {
        max_surge,
        max_unavailable,
    } = rolling_update.unwrap_or_default();
    let surge = IntOrString::String("25%".to_owned());
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(max_surge.unwrap_or(surge)),
            max_unavailable: Some(max_unavailable.unwrap_or(IntOrString::Int(0))),
        }),
    }
}

/// The number of pods; `None` when an autoscaler sets it.
fn replicas(target: &Target<'_>) -> Option<i32> {
    let wanted = &target.gateway.spec.deployment;
    match wanted.autoscaling {
        Some(_) => None,
        None => Some(wanted.replicas.unwrap_or(DEFAULT_REPLICAS)),
    }
}
