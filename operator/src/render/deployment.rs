//! Deployment that runs a Gateway's pods.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_config::ListenerConfig;

use super::{Site, pod};
use crate::names;
use crate::owned::{Manifest, OwnedKind};

/// How many pods, where nothing says how many: one may go while the other serves.
const REPLICAS: i32 = 2;

pub(super) fn deployment(site: &Site<'_>, listeners: &[ListenerConfig]) -> Manifest {
    let deployment = Deployment {
        metadata: site.metadata(),
        spec: DeploymentSpec {
            replicas: replicas(site),
            selector: LabelSelector {
                match_labels: Some(names::selector(&site.key.name)),
                ..LabelSelector::default()
            },
            // A new pod first: each old one takes its tunnels along when it goes.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::String("25%".to_owned())),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: pod::template(site, listeners),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    };
    site.manifest(OwnedKind::Deployment, &deployment)
}

/// The autoscaler's to say, where there is one.
fn replicas(site: &Site<'_>) -> Option<i32> {
    let wanted = &site.gateway.spec.deployment;
    match wanted.autoscaling {
        Some(_) => None,
        None => Some(wanted.replicas.unwrap_or(REPLICAS)),
    }
}
