//! What a gateway serves right now: everything parsed and compiled, swapped whole.

use std::sync::Arc;

use tidegate_config::{ApiConfig, GatewaySettings, ProductConfig, SubscriptionConfig};

use crate::dial::BackendUrl;

/// One API, ready to serve.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) config: ApiConfig,
    pub(crate) backend: BackendUrl,
}

/// One product, ready to serve.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) config: ProductConfig,
}

/// One subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) config: SubscriptionConfig,
}

/// The whole configuration, compiled.
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) settings: Arc<GatewaySettings>,
}
