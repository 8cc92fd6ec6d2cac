//! Keys and ages of objects.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use tidegate_config::ObjectKey;

/// Namespace of objects that name none: those of files.
const DEFAULT_NAMESPACE: &str = "default";

/// Namespace and name of an object.
pub(crate) fn key_of<K: ResourceExt>(object: &K) -> ObjectKey {
    let namespace = object.namespace();
    ObjectKey::new(
        namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        object.name_any(),
    )
}

/// `metadata.generation`; objects of files have none.
pub(crate) fn generation_of<K: ResourceExt>(object: &K) -> i64 {
    object.meta().generation.unwrap_or_default()
}

/// When an object was created; objects of files have no time. Where two want the same, the older one gets it; of
/// the same age, the one whose key comes first.
pub(crate) fn age_of<K: ResourceExt>(object: &K) -> Option<Timestamp> {
    object.meta().creation_timestamp.as_ref().map(|time| time.0)
}
