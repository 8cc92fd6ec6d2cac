//! SubscriptionRequest: a Subscription of another namespace, as the owner of what it asks for sees it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::subscription::{Approval, SubscriptionPhase};

/// What a Subscription of another namespace asks for, and the owner's decision about it. The
/// operator makes and deletes it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "SubscriptionRequest",
    plural = "subscriptionrequests",
    shortname = "wsreq",
    category = "tidegate",
    namespaced,
    cel,
    status = "SubscriptionRequestStatus",
    derive = "PartialEq",
    doc = "A Subscription of another namespace, on which the owner of the Product or WebSocketApi decides here.",
    printcolumn(
        name = "From",
        type_ = "string",
        json_path = ".spec.subscription.namespace",
        description = "Namespace of the Subscription"
    ),
    printcolumn(
        name = "Subscription",
        type_ = "string",
        json_path = ".spec.subscription.name"
    ),
    printcolumn(name = "Product", type_ = "string", json_path = ".spec.terms.product"),
    printcolumn(name = "API", type_ = "string", json_path = ".spec.terms.api"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.terms.owner"),
    printcolumn(name = "Approval", type_ = "string", json_path = ".spec.approval"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        priority = 1,
        json_path = ".spec.terms.expiresAt"
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
    validation = Rule::new("self.subscription == oldSelf.subscription")
        .message("cannot be changed: the operator makes a new SubscriptionRequest for another Subscription")
        .field_path(".subscription"),
    validation = Rule::new("self.terms == oldSelf.terms")
        .message("cannot be changed: the operator makes a new SubscriptionRequest for other terms")
        .field_path(".terms"),
)]
pub struct SubscriptionRequestSpec {
    /// Subscription that asks.
    pub subscription: RequestingSubscription,
    /// What the Subscription asks for. A decision is about these terms and no others.
    pub terms: RequestedTerms,
    /// Decision of the owner: Approved or Rejected; absent: undecided. Without approvalRequired of
    /// the Product or WebSocketApi, the keys work until the request is Rejected. To set it takes
    /// the verb approve on subscriptionrequests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// Subscription that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestingSubscription {
    /// Namespace of the Subscription.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Subscription.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// metadata.uid of the Subscription: a later one of the same name is another one. Leave it out
    /// to decide beforehand, with approval, about any Subscription of the name, for example in
    /// files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub uid: Option<String>,
}

/// What a Subscription of another namespace asks for: exactly one of product, api.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.product) != has(self.api)")
    .message("exactly one of product, api must be set"))]
pub struct RequestedTerms {
    /// Name of a Product of the request's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub product: Option<String>,
    /// Name of a WebSocketApi of the request's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub api: Option<String>,
    /// Owner of the Subscription, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub owner: Option<String>,
    /// Time at which the Subscription ends; absent: it need not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whether clients may ask for a trace of their handshake, which shows what each policy did.
    /// Default: false.
    #[serde(default)]
    pub allow_tracing: bool,
}

/// Observed state of a SubscriptionRequest.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionRequestStatus {
    /// Generation of the SubscriptionRequest that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// State of the Subscription: Submitted, Active, Suspended, Rejected, Cancelled or Expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SubscriptionPhase>,
    /// Condition Accepted: false while something on the owner's side keeps the keys from working.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}
