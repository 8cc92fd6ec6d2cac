//! Kinds of objects that the operator deals with, and references to them: the custom resources, and the
//! objects that it makes for Gateways. Pure.

pub(crate) mod names;
mod owned;

use std::fmt;

use tidegate_config::ObjectKey;

pub(crate) use owned::{Manifest, Owned, OwnedKey, OwnedKind, short_hash};

/// Kinds of custom resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum CustomKind {
    Gateway,
    WebSocketApi,
    Product,
    PolicyFragment,
    Subscription,
    SubscriptionRequest,
}

impl CustomKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::WebSocketApi => "WebSocketApi",
            Self::Product => "Product",
            Self::PolicyFragment => "PolicyFragment",
            Self::Subscription => "Subscription",
            Self::SubscriptionRequest => "SubscriptionRequest",
        }
    }
}

impl fmt::Display for CustomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reference to a custom resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectRef {
    pub(crate) kind: CustomKind,
    pub(crate) key: ObjectKey,
}

impl ObjectRef {
    pub(crate) fn new(kind: CustomKind, key: &ObjectKey) -> Self {
        Self {
            kind,
            key: key.clone(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}
