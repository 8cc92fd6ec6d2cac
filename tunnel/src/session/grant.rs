//! The access that a tunnel was opened with (API, listener, product, subscription, key), and whether a
//! configuration still grants it. A revoked key, an ended subscription or a removed API ends here. Pure.

use tidegate_config::{ObjectKey, OnChange, SubscriptionConfig, SubscriptionScope};

use super::{Access, SessionInfo};
use crate::close_cause::CloseCause;

/// What tunnels of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AccessGrant {
    pub(super) api: ObjectKey,
    pub(super) listener: String,
    pub(super) product: Option<ObjectKey>,
    pub(super) subscription: Option<ObjectKey>,
    pub(super) key_hash: Option<String>,
}

impl From<&SessionInfo> for AccessGrant {
    fn from(info: &SessionInfo) -> Self {
        Self {
            api: info.api.clone(),
            listener: info.listener.clone(),
            product: info.product.clone(),
            subscription: info.subscription.clone(),
            key_hash: info.key_hash.clone(),
        }
    }
}

/// What a configuration says of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is still granted.
    Holds {
        /// When the subscription expires.
        subscription_expires_at: Option<i64>,
        /// Tunnels of any other version of the API are to be drained.
        only_version: Option<u64>,
    },
    /// It is not, for this cause.
    Ended(CloseCause),
}

impl AccessGrant {
    /// Judges by a configuration.
    pub(super) fn judge(&self, access: &dyn Access) -> Verdict {
        let Some(api) = access.api(&self.api) else {
            return Verdict::Ended(CloseCause::ApiRemoved);
        };
        let has_listener = access
            .settings()
            .listeners
            .iter()
            .any(|listener| listener.name == self.listener);
        if !has_listener || !api.listeners.contains(&self.listener) {
            return Verdict::Ended(CloseCause::ApiRemoved);
        }
        if let Some(key) = &self.product {
            let contains = access
                .product(key)
                .is_some_and(|product| product.apis.contains(&self.api.name));
            if !contains || key.namespace != self.api.namespace {
                return Verdict::Ended(CloseCause::ProductEnded);
            }
        }
        let mut subscription_expires_at = None;
        if let Some(key) = &self.subscription {
            let Some(subscription) = access.subscription(key) else {
                return Verdict::Ended(CloseCause::SubscriptionEnded);
            };
            if !self.is_opened_by(subscription) {
                return Verdict::Ended(CloseCause::SubscriptionEnded);
            }
            if !self.has_key_of(subscription) {
                return Verdict::Ended(CloseCause::KeyRotated);
            }
            subscription_expires_at = subscription.expires_at;
        }
        Verdict::Holds {
            subscription_expires_at,
            only_version: match api.on_change {
                OnChange::Drain => access.api_version(&self.api),
                OnChange::Keep => None,
            },
        }
    }

    fn is_opened_by(&self, subscription: &SubscriptionConfig) -> bool {
        let named = |key: &ObjectKey, name: &str| {
            *key == SubscriptionScope::key_in(&subscription.key.namespace, name)
        };
        match &subscription.scope {
            SubscriptionScope::Gateway => true,
            SubscriptionScope::Api(name) => named(&self.api, name),
            SubscriptionScope::Product(name) => {
                self.product.as_ref().is_some_and(|key| named(key, name))
            }
        }
    }

    fn has_key_of(&self, subscription: &SubscriptionConfig) -> bool {
        self.key_hash
            .as_ref()
            .is_none_or(|hash| subscription.key_hashes.contains(hash))
    }
}
