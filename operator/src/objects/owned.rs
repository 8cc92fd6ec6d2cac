//! Objects that the operator makes for a Gateway, and whether one is as its manifest wants it. Pure.

use std::fmt;

use base64::Engine;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Resource;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_config::{INDEX_KEY, ObjectKey};

/// Kinds of objects that belong to a Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OwnedKind {
    ConfigMap,
    Secret,
    ServiceAccount,
    Role,
    RoleBinding,
    Deployment,
    Service,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
}

impl OwnedKind {
    pub(crate) const ALL: [Self; 9] = [
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
        Self::Role,
        Self::RoleBinding,
        Self::Deployment,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
    ];

    /// Group, version and plural, for the client.
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::Role => ApiResource::erase::<Role>(&()),
            Self::RoleBinding => ApiResource::erase::<RoleBinding>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::HorizontalPodAutoscaler => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::ServiceAccount => "ServiceAccount",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
        }
    }
}

impl fmt::Display for OwnedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kind, namespace and name of an owned object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OwnedKey {
    pub(crate) kind: OwnedKind,
    pub(crate) key: ObjectKey,
}

impl fmt::Display for OwnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) key: OwnedKey,
    /// The whole object, as it is applied.
    pub(crate) body: Value,
}

impl Manifest {
    /// The manifest of a typed object of namespace and name `key`.
    ///
    /// Its hash is added as an annotation. Without it, a field that the operator no longer sets would stay:
    /// the live object still has every field that is wanted.
    pub(crate) fn of<K>(kind: OwnedKind, key: ObjectKey, object: &K) -> Self
    where
        K: Resource<DynamicType = ()> + serde::Serialize,
    {
        let mut body = serde_json::to_value(object)
            .expect("Kubernetes objects have text keys and no failing serializer");
        let hash = short_hash(body.to_string().as_bytes());
        let metadata = &mut body["metadata"];
        metadata["annotations"][ANNOTATION_MANIFEST] = Value::String(hash);
        Self {
            key: OwnedKey { kind, key },
            body,
        }
    }
}

/// Hash of the manifest that an object was last applied from.
pub(crate) const ANNOTATION_MANIFEST: &str = "tidegate.dev/manifest";

/// An object as it is in the cluster, without the fields that the operator never reads.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) uid: String,
    /// Changes when the object's desired state changes: metadata.generation where the kind has it,
    /// else the resource version.
    pub(crate) version: String,
    /// The data of ConfigMaps and Secrets is replaced by hashes, except for that of an index.
    pub(crate) body: Value,
}

impl Owned {
    pub(crate) fn of(kind: OwnedKind, object: DynamicObject) -> Self {
        let metadata = &object.metadata;
        let version = match metadata.generation {
            Some(generation) => generation.to_string(),
            None => metadata.resource_version.clone().unwrap_or_default(),
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version,
            body: without_unused_fields(kind, object),
        }
    }

    /// Is one of its owners the object with this uid?
    pub(crate) fn is_owned_by(&self, uid: &str) -> bool {
        let owners = self.body["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
    }

    pub(crate) fn is_being_deleted(&self) -> bool {
        !self.body["metadata"]["deletionTimestamp"].is_null()
    }

    /// Has it every field of `manifest`, with the same value?
    pub(crate) fn matches(&self, manifest: &Manifest) -> bool {
        let mut wanted = manifest.body.clone();
        if let Value::Object(fields) = &mut wanted {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        digest_data(manifest.key.kind, &mut wanted);
        covers(&self.body, &wanted)
    }
}

/// Keeps what a comparison needs: labels, annotations, owners, and everything outside of metadata.
fn without_unused_fields(kind: OwnedKind, object: DynamicObject) -> Value {
    let metadata = object.metadata;
    let kept = kube::api::ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        labels: metadata.labels,
        annotations: metadata.annotations,
        owner_references: metadata.owner_references,
        deletion_timestamp: metadata.deletion_timestamp,
        ..kube::api::ObjectMeta::default()
    };
    let mut body = object.data;
    body["metadata"] =
        serde_json::to_value(kept).expect("metadata has text keys and no failing serializer");
    digest_data(kind, &mut body);
    body
}

/// Replaces the data of ConfigMaps and Secrets by hashes: the shards of a Gateway are megabytes.
fn digest_data(kind: OwnedKind, body: &mut Value) {
    if !matches!(kind, OwnedKind::ConfigMap | OwnedKind::Secret) {
        return;
    }
    let Some(Value::Object(data)) = body.get_mut("data") else {
        return;
    };
    for (name, value) in data.iter_mut() {
        if name != INDEX_KEY
            && let Value::String(text) = value
        {
            *text = match kind {
                OwnedKind::Secret => hash_of_base64(text),
                _ => short_hash(text.as_bytes()),
            };
        }
    }
}

/// Hash of the decoded bytes, as for a ConfigMap. Empty for text that is not base64: that equals no hash.
fn hash_of_base64(text: &str) -> String {
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(bytes) => short_hash(&bytes),
        Err(_) => String::new(),
    }
}

/// 128 bits of SHA-256: tells versions of one object apart, and is not for security.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..16])
}

/// Has `live` everything that `wanted` has? Further fields and further named list elements belong to
/// others; a missing field equals an empty one.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (_, wanted) if is_empty(wanted) => true,
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| covers(live.get(name).unwrap_or(&Value::Null), wanted)),
        (Value::Array(live), Value::Array(wanted)) => covers_list(live, wanted),
        (live, wanted) => live == wanted,
    }
}

fn covers_list(live: &[Value], wanted: &[Value]) -> bool {
    let identity = |value: &Value| -> Option<(&'static str, String)> {
        let named = |field: &'static str| Some((field, value.get(field)?.as_str()?.to_owned()));
        named("uid").or_else(|| named("name"))
    };
    if let Some(identities) = wanted.iter().map(identity).collect::<Option<Vec<_>>>() {
        return identities
            .iter()
            .zip(wanted)
            .all(|((field, name), wanted)| {
                let same = |live: &&Value| live.get(*field).and_then(Value::as_str) == Some(name);
                live.iter()
                    .find(same)
                    .is_some_and(|live| covers(live, wanted))
            });
    }
    live.len() == wanted.len()
        && live
            .iter()
            .zip(wanted)
            .all(|(live, wanted)| covers(live, wanted))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests;
