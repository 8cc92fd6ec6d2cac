//! An object, or its metadata and the error when it cannot be deserialised. Pure.
//!
//! Like kube's `DeserializeGuard`, which copies each object once more: with tens of thousands of objects
//! that is most of the time that a start takes.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Unreadable;

/// An object of a watch.
#[derive(Clone, Debug)]
pub(crate) enum Guarded<K> {
    Readable(Box<K>),
    Unreadable {
        metadata: Box<ObjectMeta>,
        error: String,
    },
}

impl<K> Guarded<K> {
    /// The object, or what is known of one that cannot be read.
    pub(crate) fn read(self) -> Result<K, Unreadable> {
        match self {
            Self::Readable(object) => Ok(*object),
            Self::Unreadable { metadata, error } => Err(Unreadable::new(&metadata, error)),
        }
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        K::deserialize(&value)
            .map(|object| Self::Readable(Box::new(object)))
            .or_else(|error| {
                let metadata = ObjectMeta::deserialize(&value["metadata"]);
                Ok(Self::Unreadable {
                    metadata: Box::new(metadata.map_err(Error::custom)?),
                    error: error.to_string(),
                })
            })
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Readable(object) => object.meta(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Readable(object) => object.meta_mut(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }
}

#[cfg(test)]
mod tests;
