//! What a plan is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tidegate_api::{
    Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest, WebSocketApi,
};
use tidegate_config::{
    ApiConfig, GatewayConfig, GatewaySettings, ObjectKey, ProductConfig, SecretData,
};

/// Everything that may influence a plan, the time included. Objects are shared, so a copy is cheap.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// All Gateways.
    pub gateways: BTreeMap<ObjectKey, Arc<Gateway>>,
    /// All WebSocketApis.
    pub apis: BTreeMap<ObjectKey, Arc<WebSocketApi>>,
    /// All PolicyFragments.
    pub fragments: BTreeMap<ObjectKey, Arc<PolicyFragment>>,
    /// All Products.
    pub products: BTreeMap<ObjectKey, Arc<Product>>,
    /// All Subscriptions.
    pub subscriptions: BTreeMap<ObjectKey, Arc<Subscription>>,
    /// All SubscriptionRequests.
    pub requests: BTreeMap<ObjectKey, Arc<SubscriptionRequest>>,
    /// Secrets; at least those that exist of [`Plan::wanted_secrets`](crate::Plan).
    pub secrets: BTreeMap<ObjectKey, Arc<Secret>>,
    /// ConfigMaps; at least those that exist of [`Plan::wanted_config_maps`](crate::Plan).
    pub config_maps: BTreeMap<ObjectKey, Arc<ConfigMap>>,
    /// Labels of each namespace, for selectors of `apiNamespaces` and `subscriptionNamespaces`.
    pub namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
    /// What each Gateway was last told to serve: where a broken object's last good version is.
    pub previous: BTreeMap<ObjectKey, Arc<Previous>>,
    /// Seconds since 1970.
    pub now: i64,
}

/// What a Gateway was last told to serve, without subscriptions, which have no last good version.
#[derive(Clone, Debug, PartialEq)]
pub struct Previous {
    pub(crate) settings: GatewaySettings,
    /// Sorted by key.
    pub(crate) apis: Vec<Arc<ApiConfig>>,
    /// Sorted by key.
    pub(crate) products: Vec<Arc<ProductConfig>>,
    /// The secret data that went with it.
    pub(crate) secret_data: Arc<SecretData>,
}

impl Previous {
    /// A configuration with the secret data that went with it.
    pub fn of(config: &GatewayConfig, secret_data: Arc<SecretData>) -> Self {
        Self {
            settings: config.settings.clone(),
            apis: config.apis.clone(),
            products: config.products.clone(),
            secret_data,
        }
    }

    pub(crate) fn api(&self, key: &ObjectKey) -> Option<&Arc<ApiConfig>> {
        let position = self.apis.binary_search_by(|api| api.key.cmp(key)).ok()?;
        self.apis.get(position)
    }

    pub(crate) fn product(&self, key: &ObjectKey) -> Option<&Arc<ProductConfig>> {
        let products = &self.products;
        let position = products.binary_search_by(|product| product.key.cmp(key));
        products.get(position.ok()?)
    }
}
