//! An object that is there but cannot be read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What is known of an object that could not be deserialised: its own status says so, and nothing
/// else is affected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Broken {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) message: String,
}

impl Broken {
    pub(crate) fn new(metadata: &ObjectMeta, message: String) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            message,
        }
    }
}
