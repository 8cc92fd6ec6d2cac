//! What a Gateway reports.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of a Gateway.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Generation of the Gateway that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Addresses at which clients reach the Gateway, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub addresses: Vec<GatewayAddress>,
    /// State of each listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 16))]
    pub listeners: Vec<ListenerStatus>,
    /// Number of WebSocketApis that the Gateway serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apis: Option<u32>,
    /// State of the Gateway's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsStatus>,
    /// Latest revision of the Gateway's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Conditions of the types Accepted, ResolvedRefs, Programmed and DependenciesReachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// An address at which clients reach a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAddress {
    /// Type of the address: IPAddress or Hostname.
    #[serde(rename = "type")]
    pub type_: AddressType,
    /// The IP address or host name.
    pub value: String,
}

/// Type of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressType {
    /// An IP address.
    IPAddress,
    /// A DNS name.
    Hostname,
}

/// State of a listener.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Name of the listener.
    pub name: String,
    /// Number of WebSocketApis that the listener serves.
    pub attached_apis: u32,
    /// Conditions of the types Accepted and ResolvedRefs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// State of a Gateway's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodsStatus {
    /// Pods that serve the latest revision, of all live pods, for example `2/3`.
    pub summary: String,
    /// Number of pods that are ready.
    pub ready: u32,
    /// Number of pods that serve the latest revision.
    pub applied: u32,
    /// Number of live pods.
    pub total: u32,
    /// Names of pods that serve an older revision, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 10))]
    pub lagging: Vec<String>,
}
