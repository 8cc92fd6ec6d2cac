//! An object that exists but cannot be read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What is known of an object that could not be deserialised. Its own status says so; nothing else is
/// affected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Unreadable {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) error: String,
}

impl Unreadable {
    pub(crate) fn new(metadata: &ObjectMeta, error: String) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            error,
        }
    }
}
