//! How many pods a Gateway has when that follows its load.

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How many pods, by load. The operator makes a HorizontalPodAutoscaler and leaves the number of
/// pods to it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not be above maxReplicas"),
    validation = Rule::new("has(self.targetCpuUtilization) || has(self.targetActiveTunnels) || has(self.metrics)")
        .message("at least one of targetCpuUtilization, targetActiveTunnels, metrics must be set"),
)]
pub struct Autoscaling {
    /// So many pods at least. Default: 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// So many pods at most.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Average use of CPU, in percent of what the pods request (resources.requests.cpu).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization: Option<i32>,
    /// Average of tunnels per pod: of the metric tidegate_tunnels_active, which an adapter has to
    /// bring into the cluster's custom metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub target_active_tunnels: Option<i32>,
    /// Further metrics, as a HorizontalPodAutoscaler has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("minItems" = 1, "maxItems" = 16))]
    pub metrics: Vec<MetricSpec>,
    /// How fast it goes up and down, as a HorizontalPodAutoscaler has it. Default for down: one
    /// pod a minute, since each takes its tunnels along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

fn two() -> i32 {
    2
}
