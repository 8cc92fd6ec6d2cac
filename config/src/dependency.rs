//! What gateway pods need besides their configuration, and cannot reach: as they tell the operator.

use serde::{Deserialize, Serialize};

use crate::ObjectKey;

/// Something outside the pod that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Dependency {
    /// Keys of tokens, at the URL of a key set or of a discovery document.
    KeySet,
    /// The server of `counters.redis`.
    Counters,
    /// A backend that active health checks find unhealthy.
    Backend,
}

/// A dependency that a pod cannot reach at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unreachable {
    /// What it is.
    pub dependency: Dependency,
    /// Its URL or address, without parts that may be secret.
    pub place: String,
    /// What is wrong, for people.
    pub message: String,
    /// Since when, in RFC 3339.
    pub since: String,
    /// The WebSocketApi that the backend belongs to; absent for other dependencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ObjectKey>,
}

/// A URL without query and fragment, which may hold a secret: as it may be printed.
pub fn shown_url(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
