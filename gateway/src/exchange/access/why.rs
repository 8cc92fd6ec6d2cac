//! Why a key is refused, for the log and the trace. The client never learns it.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_config::{
    ApiConfig, InactiveState, InactiveSubscription, ObjectKey, SubscriptionConfig,
    SubscriptionScope,
};

use super::{KeyHash, each_hash};

/// Keys that give no access, and the subscriptions that they are of. Nothing here can be opened with them: all
/// that they give is a text.
#[derive(Debug, Default)]
pub(super) struct InactiveKeys(HashMap<KeyHash, Arc<(ObjectKey, InactiveState)>>);

impl InactiveKeys {
    pub(super) fn add(&mut self, subscription: &InactiveSubscription) {
        let of = Arc::new((subscription.key.clone(), subscription.state));
        for hash in each_hash(&subscription.key_hashes) {
            self.0.insert(hash, Arc::clone(&of));
        }
    }

    /// Of a key that is of no active subscription.
    pub(super) fn why(&self, hash: &[u8]) -> String {
        let Some((subscription, state)) = self.0.get(hash).map(|of| &**of) else {
            return "the key is of no subscription that this Gateway knows".to_owned();
        };
        let why = match state {
            InactiveState::NotApproved => "which is not approved",
            InactiveState::Rejected => "whose approval was denied",
            InactiveState::OverLimit => "whose owner has too many subscriptions to its Product",
            InactiveState::Suspended => "which is suspended",
            InactiveState::NotPublished => "whose Product is not published",
            InactiveState::Expired => "which has expired",
            InactiveState::Cancelled => "which is cancelled",
        };
        of(subscription, why)
    }
}

/// Of a key whose subscription has expired since the configuration was written.
pub(super) fn expired(subscription: &SubscriptionConfig) -> String {
    of(&subscription.key, "which has expired")
}

/// Of a valid key that is for something else.
pub(super) fn elsewhere(subscription: &SubscriptionConfig, api: &ApiConfig) -> String {
    let full = |name: &str| SubscriptionScope::key_in(&subscription.key.namespace, name);
    let scope = match &subscription.scope {
        SubscriptionScope::Product(name) => format!("Product {}", full(name)),
        SubscriptionScope::Api(name) => format!("WebSocketApi {}", full(name)),
        SubscriptionScope::Gateway => "the Gateway".to_owned(),
    };
    let why = format!("which is for {scope}, not for WebSocketApi {}", api.key);
    of(&subscription.key, &why)
}

fn of(subscription: &ObjectKey, why: &str) -> String {
    format!("the key is of Subscription {subscription}, {why}")
}
