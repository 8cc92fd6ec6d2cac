//! How the pods of a Gateway run. Kubernetes' own types where Kubernetes has one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, PodReadinessGate, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::autoscaling::Autoscaling;

/// How the pods of a Gateway run.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.replicas) || !has(self.autoscaling)")
        .message("replicas and autoscaling exclude each other"),
    validation = Rule::new("!has(self.autoscaling) || !has(self.autoscaling.targetCpuUtilization) || (has(self.resources) && has(self.resources.requests) && 'cpu' in self.resources.requests)")
        .message("autoscaling.targetCpuUtilization needs resources.requests.cpu"),
)]
pub struct Deployment {
    /// Let the operator run the pods. False: bring your own `tidegate gateway` process. Default:
    /// true.
    #[serde(default = "yes")]
    pub managed: bool,
    /// How many pods. Default: 2, unless autoscaling says how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// How many pods, by load; instead of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// CPU and memory of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The Service in front of the pods.
    #[serde(default)]
    pub service: Service,
    /// Labels added to the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub pod_labels: BTreeMap<String, String>,
    /// Annotations added to the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub pod_annotations: BTreeMap<String, String>,
    /// Labels of the nodes that may run the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub tolerations: Vec<Toleration>,
    /// Where the pods should and should not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods spread. Default: over nodes and zones where possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Conditions that others set on a pod and that it needs to be ready, for example of a load
    /// balancer that registers pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub readiness_gates: Vec<PodReadinessGate>,
    /// How many pods may be away for maintenance. Default: maxUnavailable 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<PodDisruptionBudgetSpec>,
    /// Secrets for pulling the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub image_pull_secrets: Vec<ImagePullSecret>,
    /// Audiences for which the pods get tokens of their service account: what policies may send
    /// to backends with backendAuth.serviceAccountToken. A change replaces the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        extend("maxItems" = 8, "x-kubernetes-list-type" = "set"),
        inner(length(min = 1, max = 256))
    )]
    pub token_audiences: Vec<String>,
    /// Environment variables added to the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "maxItems" = 64,
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"]
    ))]
    pub extra_env: Vec<EnvVar>,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            managed: yes(),
            replicas: None,
            autoscaling: None,
            resources: None,
            service: Service::default(),
            pod_labels: BTreeMap::new(),
            pod_annotations: BTreeMap::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            topology_spread_constraints: Vec::new(),
            priority_class_name: None,
            readiness_gates: Vec::new(),
            pod_disruption_budget: None,
            image_pull_secrets: Vec::new(),
            token_audiences: Vec::new(),
            extra_env: Vec::new(),
        }
    }
}

/// The Service in front of a Gateway's pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
    .message("externalTrafficPolicy needs type LoadBalancer or NodePort"))]
pub struct Service {
    /// LoadBalancer, NodePort or ClusterIP. Default: ClusterIP.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations, for example for the cloud's load balancer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Cluster or Local (keeps the client's address).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ServiceTrafficPolicy>,
}

/// Kind of Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Reachable inside the cluster.
    #[default]
    ClusterIP,
    /// Reachable at every node's address.
    NodePort,
    /// Reachable through the cloud's load balancer.
    LoadBalancer,
}

/// Which pods get traffic from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceTrafficPolicy {
    /// Any pod.
    Cluster,
    /// Pods of the node that got it; they see the client's address.
    Local,
}

/// How many pods may be away for maintenance.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.minAvailable) != has(self.maxUnavailable)")
    .message("exactly one of minAvailable, maxUnavailable must be set"))]
pub struct PodDisruptionBudgetSpec {
    /// So many must stay: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    /// So many may go: a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}

/// A Secret for pulling the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePullSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

fn yes() -> bool {
    true
}
