//! The Service in front of a Gateway's pods.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Service in front of a Gateway's pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
        .message("externalTrafficPolicy needs type LoadBalancer or NodePort"),
    validation = Rule::new("!has(self.nodePorts) || self.type != 'ClusterIP'")
        .message("nodePorts needs type LoadBalancer or NodePort"),
    validation = Rule::new("!has(self.loadBalancerClass) || self.type == 'LoadBalancer'")
        .message("loadBalancerClass needs type LoadBalancer"),
    validation = Rule::new("!has(self.loadBalancerSourceRanges) || self.type == 'LoadBalancer'")
        .message("loadBalancerSourceRanges needs type LoadBalancer"),
)]
pub struct Service {
    /// Type of the Service: LoadBalancer, NodePort or ClusterIP. Default: ClusterIP.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Labels added to the Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Service, for example for the cloud's load balancer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Which pods get traffic from outside: Cluster (any) or Local (those of the node that received
    /// it, which keeps the client's address). Not allowed with type ClusterIP. Default: Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ServiceTrafficPolicy>,
    /// Class of the load balancer, for example `service.k8s.aws/nlb`. Kubernetes allows no change while the
    /// type is LoadBalancer. Only with type LoadBalancer. Default: the cloud's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Networks whose clients the load balancer lets through, if it supports that. Only with type
    /// LoadBalancer. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        extend("maxItems" = 64, "x-kubernetes-list-type" = "set"),
        inner(
            length(min = 1, max = 43),
            regex(pattern = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$")
        )
    )]
    pub load_balancer_source_ranges: Vec<String>,
    /// Ports of the nodes, by name of the listener. Only with type NodePort or LoadBalancer. Default:
    /// Kubernetes chooses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_ports: BTreeMap<String, u16>,
}

/// Type of a Service.
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

/// Which pods get traffic from outside: Cluster (any) or Local (those of the node that received it,
/// which keeps the client's address). Not allowed with type ClusterIP. Default: Cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceTrafficPolicy {
    /// Any pod.
    Cluster,
    /// Pods of the node that got it; they see the client's address.
    Local,
}
