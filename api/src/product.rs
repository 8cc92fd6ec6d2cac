//! Product: a bundle of APIs that people subscribe to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_config::NamedValue;
use tidegate_config::policy::OnHandshake;

use crate::namespaces::SubscriptionNamespaces;

/// A bundle of WebSocket APIs that people subscribe to.
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
    /// Name that people see. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub display_name: Option<String>,
    /// Description of the product for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Text of the terms that subscribers accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub terms: Option<String>,
    /// Whether the keys of the Product's subscriptions give access: Published (they do) or
    /// NotPublished (they do not). Default: Published.
    #[serde(default)]
    pub state: ProductState,
    /// Whether clients need a subscription key. If false, the Product is open: its APIs can be used
    /// without a key. Default: true.
    #[serde(default = "yes")]
    pub subscription_required: bool,
    /// Whether each subscription must be approved before its keys work. Default: false.
    #[serde(default)]
    pub approval_required: bool,
    /// Namespaces whose Subscriptions may name the Product with scope.namespace. Each such
    /// Subscription has a SubscriptionRequest in the Product's namespace, on which the owner
    /// decides. Default: the Product's own namespace.
    #[serde(default)]
    pub subscription_namespaces: SubscriptionNamespaces,
    /// Largest number of subscriptions of each owner; further ones stay Submitted, and their keys
    /// give no access. Owners of different namespaces are different ones. Subscriptions of another
    /// namespace without an owner count as those of one owner. Default: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub subscriptions_limit: Option<u32>,
    /// WebSocketApis of its namespace that the Product contains, by name. At most 1024.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 1024))]
    pub apis: Vec<ApiRef>,
    /// Label selector for further WebSocketApis of its namespace that the Product contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_selector: Option<LabelSelector>,
    /// Policies that run for handshakes whose access comes from this Product.
    #[serde(default)]
    pub on_handshake: OnHandshake,
    /// Named values of the product's scope, read in expressions as `values.NAME`. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 64))]
    pub values: Vec<NamedValue>,
}

/// Whether the keys of a product's subscriptions give access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProductState {
    /// They do.
    #[default]
    Published,
    /// They do not.
    NotPublished,
}

/// Reference to a WebSocketApi that a product contains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiRef {
    /// Name of the WebSocketApi.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Observed state of a Product.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductStatus {
    /// Generation of the Product that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Names of the WebSocketApis that it contains, at most 1024.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1024))]
    pub resolved_apis: Vec<String>,
    /// Names in `spec.apis` for which there is no WebSocketApi.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1024))]
    pub unresolved_apis: Vec<String>,
    /// Number of its active subscriptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<u32>,
    /// Conditions of the types Accepted, ResolvedRefs, Programmed and DependenciesReachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

fn yes() -> bool {
    true
}
