//! Labels, metadata and owner references of what the operator makes. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::ObjectMeta;
use tidegate_api::{LABEL_MANAGED_BY, MANAGED_BY};
use tidegate_config::{LABEL_GATEWAY, LABEL_PART, ObjectKey};

/// [`LABEL_PART`] of the Secret with the token of a Gateway's admin server. No object can name this Secret:
/// what has this label is left out of the Secrets that can be named.
pub(crate) const PART_ADMIN: &str = "admin";

const LABEL_NAME: &str = "app.kubernetes.io/name";
const LABEL_INSTANCE: &str = "app.kubernetes.io/instance";

/// Labels that select the pods of a Gateway. They never change, because the selector of a Deployment
/// cannot change.
pub(crate) fn selector(gateway: &str) -> BTreeMap<String, String> {
    string_map([
        (LABEL_NAME, "tidegate-gateway"),
        (LABEL_INSTANCE, gateway),
        (LABEL_GATEWAY, gateway),
    ])
}

/// Labels of everything that belongs to a Gateway.
pub(crate) fn labels(gateway: &str) -> BTreeMap<String, String> {
    let mut labels = selector(gateway);
    labels.insert(LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    labels
}

/// Metadata of an object that belongs to the Gateway.
pub(crate) fn metadata(
    gateway: &ObjectKey,
    name: &str,
    owner: &OwnerReference,
    part: Option<&str>,
) -> ObjectMeta {
    let mut labels = labels(&gateway.name);
    if let Some(part) = part {
        labels.insert(LABEL_PART.to_owned(), part.to_owned());
    }
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(gateway.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// The reference that makes garbage collection delete what belongs to `owner`. It does not block the
/// deletion of the owner, which would need permissions on its finalizers.
pub(crate) fn owner_of<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// A map of text to text, for labels and data.
pub(crate) fn string_map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}
