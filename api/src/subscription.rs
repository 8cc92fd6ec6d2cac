//! Subscription: keys, and what they open.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keys, and what they open.
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
        .message("was given for other terms (scope, owner, expiresAt, allowTracing): raise approvalGeneration with them to approve them, or remove approval with them to ask for it")
        .field_path(".approval"),
)]
pub struct SubscriptionSpec {
    /// Name for people. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 300))]
    pub display_name: Option<String>,
    /// What its keys open.
    pub scope: Scope,
    /// Who owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub owner: Option<String>,
    /// Active, Suspended or Cancelled. Default: Active.
    #[serde(default)]
    pub state: SubscriptionState,
    /// Approved or Rejected; absent: undecided. Needed where the product requires approval. It holds
    /// for the scope, owner, expiresAt and allowTracing that it was given for. Another scope or
    /// owner, a later end, or tracing needs a new approval: see approvalGeneration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Raise it in the same change as scope, owner, expiresAt or allowTracing of an approved
    /// subscription: approves the new terms. Needs the verb approve. It cannot be lowered. Default:
    /// 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000000000))]
    pub approval_generation: i64,
    /// From then on its keys are refused and its tunnels close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// May its handshakes ask to be traced, with the header `Ocp-Apim-Trace: true`? A trace tells how
    /// policies treat a handshake. Default: false.
    #[serde(default)]
    pub allow_tracing: bool,
    /// Where its keys are, and how often they were renewed.
    #[serde(default)]
    pub keys: SubscriptionKeys,
}

/// What a subscription's keys open: exactly one of product, api, gateway.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(has(self.product) ? 1 : 0) + (has(self.api) ? 1 : 0) + (has(self.gateway) ? 1 : 0) == 1")
    .message("exactly one of product, api, gateway must be set"))]
pub struct Scope {
    /// All APIs of this Product of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub product: Option<String>,
    /// This WebSocketApi of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub api: Option<String>,
    /// All APIs of this Gateway of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub gateway: Option<String>,
}

/// What the owner or an administrator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubscriptionState {
    /// Its keys work.
    #[default]
    Active,
    /// Its keys do not work for now.
    Suspended,
    /// Its keys do not work any more.
    Cancelled,
}

/// Decision about a subscription that needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

/// Where a subscription's keys are, and how often they were renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionKeys {
    /// Secret with `primaryKey` and `secondaryKey`. Default: NAME-keys, generated. One that exists
    /// already is used as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
    /// Raise it to renew the primary key. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000000000))]
    pub primary_generation: i64,
    /// Raise it to renew the secondary key. Default: 1.
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

/// What the operator found out about a Subscription.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands. Only Active opens and keeps tunnels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SubscriptionPhase>,
    /// Its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    /// The terms that were approved; absent: it is not approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedTerms>,
    /// Accepted, ResolvedRefs, Programmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub conditions: Vec<Condition>,
}

/// What an approval was given for.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedTerms {
    /// `spec.approvalGeneration` of the approval.
    pub generation: i64,
    /// What its keys open.
    pub scope: Scope,
    /// Who owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it ends at the latest; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// May its handshakes ask to be traced?
    #[serde(default)]
    pub allow_tracing: bool,
}

/// Where a subscription stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SubscriptionPhase {
    /// Waits for approval, or for a new one.
    Submitted,
    /// Its keys work.
    Active,
    /// Its keys do not work for now.
    Suspended,
    /// Not approved.
    Rejected,
    /// Ended by its owner or an administrator.
    Cancelled,
    /// Ended by time.
    Expired,
}

/// The keys of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysStatus {
    /// Secret that holds them.
    pub secret_name: String,
    /// The primary key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<KeyStatus>,
    /// The secondary key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<KeyStatus>,
}

/// One key of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Generation of a generated key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// First eight hexadecimal digits of its SHA-256.
    pub hash_prefix: String,
}

fn one() -> i64 {
    1
}
