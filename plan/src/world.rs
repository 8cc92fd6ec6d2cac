//! What a plan is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tidegate_api::{Gateway, PolicyFragment, Product, Subscription, WebSocketApi};
use tidegate_config::{GatewayConfig, ObjectKey, SecretData};

/// Everything that may influence a plan, the time included.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// All Gateways.
    pub gateways: Vec<Arc<Gateway>>,
    /// All WebSocketApis.
    pub apis: Vec<Arc<WebSocketApi>>,
    /// All PolicyFragments.
    pub fragments: Vec<Arc<PolicyFragment>>,
    /// All Products.
    pub products: Vec<Arc<Product>>,
    /// All Subscriptions.
    pub subscriptions: Vec<Arc<Subscription>>,
    /// Secrets; at least those that exist of [`Plan::wanted_secrets`](crate::Plan).
    pub secrets: BTreeMap<ObjectKey, Arc<Secret>>,
    /// ConfigMaps; at least those that exist of [`Plan::wanted_config_maps`](crate::Plan).
    pub config_maps: BTreeMap<ObjectKey, Arc<ConfigMap>>,
    /// Labels of each namespace, for `Gateway.spec.apiNamespaces.selector`.
    pub namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
    /// What each Gateway was last told to serve: where a broken object's last good version is.
    pub previous: BTreeMap<ObjectKey, Arc<GatewayConfig>>,
    /// The secret data that went with it.
    pub previous_secret_data: BTreeMap<ObjectKey, Arc<SecretData>>,
    /// Seconds since 1970.
    pub now: i64,
}
