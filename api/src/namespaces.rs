//! Namespaces whose objects may use an object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which namespaces an object admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// Its own.
    #[default]
    Same,
    /// Every one.
    All,
    /// Those with certain labels.
    Selector,
}

/// Namespaces whose Subscriptions may name an object.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("selector must be set if from is Selector, and only then"))]
pub struct SubscriptionNamespaces {
    /// Which namespaces: Same (the object's own), All, or Selector (those that `selector` matches).
    /// Default: Same.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces. Required if `from` is Selector, not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}
