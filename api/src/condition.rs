//! Conditions: their types and the closed list of reasons.

use std::fmt;

/// Types of conditions that Tidegate sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object is valid and takes part.
    Accepted,
    /// Everything it names exists and may be used.
    ResolvedRefs,
    /// Every live gateway pod serves this generation.
    Programmed,
    /// Pods reach what they need besides their configuration: keys of tokens, shared counters.
    DependenciesReachable,
}

impl ConditionType {
    /// As it stands in `status.conditions[].type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::DependenciesReachable => "DependenciesReachable",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ( $($(#[$doc:meta])* $name:ident),* $(,)? ) => {
        /// Why a condition is what it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As it stands in `status.conditions[].reason`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

reasons! {
    /// Accepted: nothing is wrong.
    Accepted,
    /// ResolvedRefs: everything named exists.
    ResolvedRefs,
    /// Programmed: every live pod has acknowledged.
    Programmed,
    /// Programmed: pods have yet to acknowledge.
    Pending,
    /// Programmed: no pod is alive.
    NoPods,
    /// Programmed: a pod refused this generation.
    Rejected,
    /// Programmed: nothing of it is served anywhere.
    NotServed,
    /// DependenciesReachable: no pod says otherwise.
    Reachable,
    /// DependenciesReachable: pods cannot fetch the keys of tokens.
    KeySetUnavailable,
    /// DependenciesReachable: pods cannot reach the server of counters.redis.
    CountersUnavailable,
    /// DependenciesReachable: health checks find a backend unhealthy.
    BackendUnhealthy,
    /// A field has a value that cannot work.
    Invalid,
    /// An expression does not compile.
    InvalidExpression,
    /// Another object has the same host and path, or one of another namespace a part of them, or an
    /// earlier listener has the same port.
    Conflict,
    /// No listener could be used.
    NoListener,
    /// No host name in common with the listener.
    NoMatchingHostname,
    /// The Gateway does not accept APIs of this namespace.
    NotAllowedByGateway,
    /// The Product or WebSocketApi of another namespace does not exist, or does not allow Subscriptions
    /// of this one.
    NotAllowedByOwner,
    /// A Gateway or listener does not exist.
    GatewayNotFound,
    /// A Product does not exist.
    ProductNotFound,
    /// A WebSocketApi does not exist.
    ApiNotFound,
    /// A PolicyFragment does not exist.
    FragmentNotFound,
    /// A Secret or one of its keys does not exist.
    SecretNotFound,
    /// A ConfigMap or one of its keys does not exist.
    ConfigMapNotFound,
    /// A Secret's or ConfigMap's content cannot be used.
    InvalidMaterial,
    /// The owner has as many subscriptions as the product allows.
    LimitReached,
    /// A subscription key is too short.
    KeyTooShort,
    /// Another subscription has the same key.
    KeyNotUnique,
    /// The keys are being generated.
    KeysPending,
    /// The approval was given for something else.
    ApprovalOutdated,
    /// The Product is not published.
    NotPublished,
    /// The rendered object does not fit into a ConfigMap.
    TooLarge,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
