//! What a Gateway reports.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator found out about a Gateway.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub addresses: Vec<GatewayAddress>,
    /// Each listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 16))]
    pub listeners: Vec<ListenerStatus>,
    /// How many APIs it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apis: Option<u32>,
    /// Its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsStatus>,
    /// Latest revision of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Accepted, ResolvedRefs, Programmed, DependenciesReachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// An address of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAddress {
    /// IPAddress or Hostname.
    #[serde(rename = "type")]
    pub type_: AddressType,
    /// The address.
    pub value: String,
}

/// Kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressType {
    /// An IP address.
    IPAddress,
    /// A DNS name.
    Hostname,
}

/// One listener.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// How many APIs it serves.
    pub attached_apis: u32,
    /// Accepted, ResolvedRefs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// The pods of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodsStatus {
    /// `applied/total`, for the column.
    pub summary: String,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods that serve the latest revision.
    pub applied: u32,
    /// All live pods.
    pub total: u32,
    /// Names of pods that serve an older one (the first ten).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 10))]
    pub lagging: Vec<String>,
}
