//! The custom kinds, and which object of them is meant. Pure.

use std::fmt;

use tidegate_config::ObjectKey;

/// A custom kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Gateway,
    WebSocketApi,
    Product,
    PolicyFragment,
    Subscription,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::WebSocketApi => "WebSocketApi",
            Self::Product => "Product",
            Self::PolicyFragment => "PolicyFragment",
            Self::Subscription => "Subscription",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An object of a custom kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectRef {
    pub(crate) kind: Kind,
    pub(crate) key: ObjectKey,
}

impl ObjectRef {
    pub(crate) fn new(kind: Kind, key: &ObjectKey) -> Self {
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
