//! HorizontalPodAutoscaler of a Gateway's pods.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec,
    MetricTarget, PodsMetricSource, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tidegate_api::Autoscaling;

use super::Target;
use crate::objects::{Manifest, OwnedKind};

/// The gateway's gauge of its tunnels, which an adapter provides as a custom metric.
const ACTIVE_TUNNELS: &str = "tidegate_tunnels_active";

/// At most one pod is removed in this time, in seconds. Longer than a drain takes by default, so that its
/// clients have reconnected to other pods, and count there, before the next pod is removed.
const SCALE_DOWN_PERIOD: i32 = 60;

pub(super) fn autoscaler(target: &Target<'_>) -> Option<Manifest> {
    let wanted = target.gateway.spec.deployment.autoscaling.as_ref()?;
    let autoscaler = HorizontalPodAutoscaler {
        metadata: target.metadata(),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: target.key.name.clone(),
            },
            min_replicas: Some(wanted.min_replicas),
            max_replicas: wanted.max_replicas,
            metrics: Some(metrics(wanted)),
            behavior: Some(wanted.behavior.clone().unwrap_or_else(default_behavior)),
        },
        ..HorizontalPodAutoscaler::default()
    };
    Some(target.manifest(OwnedKind::HorizontalPodAutoscaler, &autoscaler))
}

fn metrics(wanted: &Autoscaling) -> Vec<MetricSpec> {
    let cpu = wanted.target_cpu_utilization.map(|percent| MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    });
    let tunnels = wanted.target_active_tunnels.map(|number| MetricSpec {
        type_: "Pods".to_owned(),
        pods: Some(PodsMetricSource {
            metric: MetricIdentifier {
                name: ACTIVE_TUNNELS.to_owned(),
                selector: None,
            },
            target: MetricTarget {
                type_: "AverageValue".to_owned(),
                average_value: Some(Quantity(number.to_string())),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    });
    let further = wanted.metrics.iter().cloned();
    cpu.into_iter().chain(tunnels).chain(further).collect()
}

fn default_behavior() -> HorizontalPodAutoscalerBehavior {
    HorizontalPodAutoscalerBehavior {
        scale_down: Some(HPAScalingRules {
            policies: Some(vec![HPAScalingPolicy {
                type_: "Pods".to_owned(),
                value: 1,
                period_seconds: SCALE_DOWN_PERIOD,
            }]),
            ..HPAScalingRules::default()
        }),
        scale_up: None,
    }
}
