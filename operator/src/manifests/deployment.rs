//! Deployment that runs a Gateway's pods.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_config::ListenerConfig;

use super::{Target, pod};
use crate::objects::{Manifest, OwnedKind, names};

/// Number of pods by default: one serves while the other is replaced.
const DEFAULT_REPLICAS: i32 = 2;

pub(super) fn deployment(target: &Target<'_>, listeners: &[ListenerConfig]) -> Manifest {
    let deployment = Deployment {
        metadata: target.metadata(),
        spec: DeploymentSpec {
            replicas: replicas(target),
            selector: LabelSelector {
                match_labels: Some(names::selector(&target.key.name)),
                ..LabelSelector::default()
            },
            // The new pod first: the tunnels of an old pod end with it.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::String("25%".to_owned())),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: pod::template(target, listeners),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    };
    target.manifest(OwnedKind::Deployment, &deployment)
}

/// The number of pods; `None` when an autoscaler sets it.
fn replicas(target: &Target<'_>) -> Option<i32> {
    let wanted = &target.gateway.spec.deployment;
    match wanted.autoscaling {
        Some(_) => None,
        None => Some(wanted.replicas.unwrap_or(DEFAULT_REPLICAS)),
    }
}
