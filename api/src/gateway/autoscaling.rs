//! How many pods a Gateway has when that follows its load.

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Lets the number of pods follow their load. The operator creates a HorizontalPodAutoscaler, which
/// then sets the number of pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not be above maxReplicas"),
    validation = Rule::new("has(self.targetCpuUtilization) || has(self.targetActiveTunnels) || has(self.metrics)")
        .message("at least one of targetCpuUtilization, targetActiveTunnels, metrics must be set"),
)]
pub struct Autoscaling {
    /// Smallest number of pods. Default: 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// Largest number of pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Average CPU use of the pods to aim at, in percent of resources.requests.cpu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization: Option<i32>,
    /// Average number of tunnels per pod to aim at. It needs an adapter that serves the metric
    /// tidegate_tunnels_active as a custom metric of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub target_active_tunnels: Option<i32>,
    /// Further metrics to scale by, as in a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1, "maxItems" = 16))]
    pub metrics: Vec<MetricSpec>,
    /// How fast the number of pods changes, as in a HorizontalPodAutoscaler. Default for scaling
    /// down: one pod a minute, because the tunnels of a removed pod are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

fn two() -> i32 {
    2
}
