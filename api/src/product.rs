//! Product: a bundle of APIs that people subscribe to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_config::NamedValue;
use tidegate_config::policy::OnHandshake;

/// A bundle of APIs that people subscribe to.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "Product",
    plural = "products",
    shortname = "wsprod",
    category = "tidegate",
    namespaced,
    cel,
    status = "ProductStatus",
    derive = "PartialEq",
    doc = "A bundle of WebSocket APIs that people subscribe to.",
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
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(
        name = "Subscriptions",
        type_ = "integer",
        json_path = ".status.subscriptions"
    ),
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
#[x_kube(
    validation = Rule::new("self.subscriptionRequired || !self.approvalRequired")
        .message("approvalRequired needs subscriptionRequired")
        .field_path(".approvalRequired"),
    validation = Rule::new("self.subscriptionRequired || !has(self.subscriptionsLimit)")
        .message("subscriptionsLimit needs subscriptionRequired")
        .field_path(".subscriptionsLimit"),
)]
pub struct ProductSpec {
    /// Name for people. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub display_name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Terms that subscribers accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub terms: Option<String>,
    /// Published or NotPublished: then its keys open nothing. Default: Published.
    #[serde(default)]
    pub state: ProductState,
    /// Is a subscription key needed? False makes it an open product. Default: true.
    #[serde(default = "yes")]
    pub subscription_required: bool,
    /// Must someone approve each subscription? Default: false.
    #[serde(default)]
    pub approval_required: bool,
    /// Subscriptions per owner. Default: as many as one likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub subscriptions_limit: Option<u32>,
    /// WebSocketApis of the Product's namespace, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 1024))]
    pub apis: Vec<ApiRef>,
    /// WebSocketApis of the Product's namespace, by labels; besides those of `apis`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_selector: Option<LabelSelector>,
    /// Policies of the product's scope.
    #[serde(default)]
    pub on_handshake: OnHandshake,
    /// Named values of the product's scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 64))]
    pub values: Vec<NamedValue>,
}

/// Is a product available?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProductState {
    /// Yes.
    #[default]
    Published,
    /// No: no new subscriptions, and existing keys stop.
    NotPublished,
}

/// An API of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiRef {
    /// Name of the WebSocketApi.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What the operator found out about a Product.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductStatus {
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Names of its APIs (the first 1024).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1024))]
    pub resolved_apis: Vec<String>,
    /// Names in `spec.apis` that do not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1024))]
    pub unresolved_apis: Vec<String>,
    /// How many subscriptions are active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<u32>,
    /// Accepted, ResolvedRefs, Programmed, DependenciesReachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

fn yes() -> bool {
    true
}
