//! Subscription: keys, and what they open.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Desired state of a Subscription: its keys, and what they give access to.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "Subscription",
    plural = "subscriptions",
    shortname = "wssub",
    category = "tidegate",
    namespaced,
    cel,
    status = "SubscriptionStatus",
    derive = "PartialEq",
    doc = "A pair of keys, and what they open: a product's APIs, one API, or a whole gateway.",
    validation = Rule::new("self.metadata.name.size() <= 248")
        .message("the name must leave room for the Secret NAME-keys: at most 248 characters"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Resolved", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].status"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.keys.secretName", description = "Secret with the keys"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.status==\"False\")].message"),
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.approvalGeneration >= oldSelf.approvalGeneration")
        .message("cannot be lowered")
        .field_path(".approvalGeneration"),
    validation = Rule::new("!(has(self.approval) && self.approval == 'Approved' && has(oldSelf.approval) && oldSelf.approval == 'Approved') || self.approvalGeneration > oldSelf.approvalGeneration || (self.scope == oldSelf.scope && has(self.owner) == has(oldSelf.owner) && (!has(self.owner) || self.owner == oldSelf.owner) && (!has(oldSelf.expiresAt) || (has(self.expiresAt) && self.expiresAt <= oldSelf.expiresAt)) && (!self.allowTracing || oldSelf.allowTracing))")
        .message("was given for other terms (scope, owner, expiresAt, allowTracing): raise approvalGeneration in the same change to approve them, or remove approval to ask for it")
        .field_path(".approval"),
    validation = Rule::new("!has(self.scope.namespace) || !has(self.approval) || self.approval != 'Approved'")
        .message("the owner approves in the SubscriptionRequest of scope.namespace: remove it")
        .field_path(".approval"),
)]
pub struct SubscriptionSpec {
    /// Name that people see. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub display_name: Option<String>,
    /// What the subscription's keys give access to.
    pub scope: ScopeRef,
    /// Owner of the subscription, for example an e-mail address. The Product's subscriptionsLimit
    /// counts by owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub owner: Option<String>,
    /// Whether the keys work: Active (they do), Suspended (not for now) or Cancelled (no longer).
    /// Their tunnels are closed when they stop. Default: Active.
    #[serde(default)]
    pub state: SubscriptionState,
    /// Decision about a subscription that must be approved: Approved or Rejected; absent: undecided.
    /// The Product says so with approvalRequired, and so does a WebSocketApi; a Gateway, if one of
    /// its APIs does. With scope.namespace, the decision is in the SubscriptionRequest there. An
    /// approval holds for the scope, owner, expiresAt and allowTracing that it was
    /// given for. Another scope or owner, a later end, or tracing needs a new approval, see
    /// approvalGeneration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Raise this number together with scope, owner, expiresAt or allowTracing of an approved
    /// subscription to approve the new terms. That needs the verb approve. It cannot be lowered.
    /// Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000000000))]
    pub approval_generation: i64,
    /// Time at which the keys stop working and the tunnels are closed. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whether clients may ask for a trace of their handshake with the header `Ocp-Apim-Trace:
    /// true`. A trace shows what each policy did. Default: false.
    #[serde(default)]
    pub allow_tracing: bool,
    /// Secret that holds the keys, and how often they were renewed.
    #[serde(default)]
    pub keys: SubscriptionKeys,
}

/// What a subscription's keys give access to: exactly one of product, api, gateway.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(has(self.product) ? 1 : 0) + (has(self.api) ? 1 : 0) + (has(self.gateway) ? 1 : 0) == 1")
    .message("exactly one of product, api, gateway must be set"),
    validation = Rule::new("!has(self.namespace) || !has(self.gateway)")
        .message("a Gateway of another namespace cannot be named: remove it").field_path(".namespace"))]
pub struct ScopeRef {
    /// Namespace of the Product or WebSocketApi, if it is another one than the Subscription's. It
    /// must allow that in its spec.subscriptionNamespaces, and its owner decides on a
    /// SubscriptionRequest there. Default: the Subscription's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name of a Product: access to all its APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub product: Option<String>,
    /// Name of a WebSocketApi: access to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub api: Option<String>,
    /// Name of a Gateway of the Subscription's namespace: access to all its APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub gateway: Option<String>,
}

/// Whether the owner or an administrator wants the keys to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubscriptionState {
    /// Its keys work.
    #[default]
    Active,
    /// Its keys do not work for now.
    Suspended,
    /// Its keys no longer work.
    Cancelled,
}

/// Decision about a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

/// Secret that holds the keys of a subscription, and how often they were renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionKeys {
    /// Name of a Secret of yours with `primaryKey`, `secondaryKey` or both: 16 to 512 printable
    /// characters without spaces. Default: NAME-keys, which is generated unless it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
    /// Raise this number to renew the primary key of a generated Secret. The old key stops working
    /// at once, and its tunnels are closed. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000000000))]
    pub primary_generation: i64,
    /// Raise this number to renew the secondary key of a generated Secret. The old key stops
    /// working at once, and its tunnels are closed. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000000000))]
    pub secondary_generation: i64,
}

impl Default for SubscriptionKeys {
    fn default() -> Self {
        Self {
            secret_name: None,
            primary_generation: one(),
            secondary_generation: one(),
        }
    }
}

/// Observed state of a Subscription.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// Generation of the Subscription that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Submitted, Active, Suspended, Rejected, Cancelled or Expired. Only Active gives access and
    /// keeps tunnels open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SubscriptionPhase>,
    /// State of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    /// Name of the SubscriptionRequest on which the owner of scope.namespace decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Terms that were approved; absent: the subscription is not approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedTerms>,
    /// Conditions of the types Accepted, ResolvedRefs and Programmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// Terms that an approval was given for.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedTerms {
    /// `spec.approvalGeneration` at the time of the approval.
    pub generation: i64,
    /// What the keys may give access to.
    pub scope: ScopeRef,
    /// Owner of the subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Latest time at which the subscription may end; absent: it need not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whether clients may ask for a trace of their handshake.
    #[serde(default)]
    pub allow_tracing: bool,
}

/// State of a subscription: Submitted, Active, Suspended, Rejected, Cancelled or Expired. Only
/// Active gives access and keeps tunnels open.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SubscriptionPhase {
    /// It waits for approval, for a new approval, or for the product to admit one more of its
    /// owner's.
    Submitted,
    /// Its keys work.
    Active,
    /// Its keys do not work for now.
    Suspended,
    /// It was not approved.
    Rejected,
    /// Its owner or an administrator ended it.
    Cancelled,
    /// It ended at its expiresAt.
    Expired,
}

/// State of the keys of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysStatus {
    /// Name of the Secret that holds the keys.
    pub secret_name: String,
    /// State of the primary key; absent: it cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<KeyStatus>,
    /// State of the secondary key; absent: it cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<KeyStatus>,
}

/// State of one key of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Generation of a generated key; absent for a key that you supplied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// First eight hexadecimal digits of the key's SHA-256, to tell keys apart.
    pub hash_prefix: String,
}

fn one() -> i64 {
    1
}
