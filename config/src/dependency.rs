//! What gateway pods need besides their configuration, and cannot reach: as they tell the operator.

use serde::{Deserialize, Serialize};

use crate::ObjectKey;

/// Something outside that a pod needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Dependency {
    /// Keys of tokens, at the URL of a key set or of a discovery document.
    KeySet,
    /// The server of `counters.redis`.
    Counters,
    /// A backend that active health checks find ill.
    Backend,
}

/// A dependency that a pod cannot reach at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unreachable {
    /// What it is.
    pub dependency: Dependency,
    /// Where it is, without what may be secret.
    pub place: String,
    /// What is wrong, for people.
    pub message: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The WebSocketApi, where it is the backend of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ObjectKey>,
}

/// A URL as it may be shown: its query may hold a secret.
pub fn shown_url(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
