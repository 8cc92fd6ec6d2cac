//! PolicyFragment: steps that several objects share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use tidegate_config::policy::FragmentStep;

/// Steps that an includeFragment step runs in policies of the same namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "PolicyFragment",
    plural = "policyfragments",
    shortname = "wsfrag",
    category = "tidegate",
    namespaced,
    cel,
    status = "PolicyFragmentStatus",
    derive = "PartialEq",
    doc = "Policy steps that several Gateways, Products and WebSocketApis share.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Resolved",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"
    ),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.users"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.status==\"False\")].message"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyFragmentSpec {
    /// Description of the fragment for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Steps of the fragment, 1 to 32. Each must be a step that the including section supports.
    #[schemars(extend("minItems" = 1, "maxItems" = 32))]
    pub steps: Vec<FragmentStep>,
}

/// Observed state of a PolicyFragment.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFragmentStatus {
    /// Generation of the PolicyFragment that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of Gateways, Products and WebSocketApis that include the fragment, directly or
    /// through another fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// Conditions of the types Accepted and ResolvedRefs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}
