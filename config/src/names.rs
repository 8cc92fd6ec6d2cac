//! Names that both sides must spell alike: labels, annotations, data keys, default key names.

/// Label of every object that belongs to a Gateway; its value is the Gateway's name.
pub const LABEL_GATEWAY: &str = "tidegate.dev/gateway";
/// Label that tells the parts of a Gateway's configuration apart.
pub const LABEL_PART: &str = "tidegate.dev/part";
/// [`LABEL_PART`] of the index ConfigMap.
pub const PART_INDEX: &str = "index";
/// [`LABEL_PART`] of a shard ConfigMap.
pub const PART_SHARD: &str = "shard";
/// [`LABEL_PART`] of a Secret with secret data.
pub const PART_SECRET_DATA: &str = "material";
/// [`LABEL_PART`] of a gateway pod's Lease.
pub const PART_ACK: &str = "ack";
/// Annotation of a pod's Lease: the revision it serves.
pub const ANNOTATION_REVISION: &str = "tidegate.dev/revision";
/// Annotation of a pod's Lease: a JSON list of [`Rejected`](crate::Rejected).
pub const ANNOTATION_REJECTED: &str = "tidegate.dev/rejected";
/// Annotation of a pod's Lease: a JSON list of [`Unreachable`](crate::Unreachable); absent when
/// there is none.
pub const ANNOTATION_UNREACHABLE: &str = "tidegate.dev/unreachable";
/// Annotation of a pod's Lease: why it cannot take over the newest revision; absent when it has.
pub const ANNOTATION_CONFIG_ERROR: &str = "tidegate.dev/config-error";
/// Data key of the index ConfigMap.
pub const INDEX_KEY: &str = "index.json";
/// Data key of a shard ConfigMap.
pub const SHARD_KEY: &str = "shard.json";
/// Data key of a Secret with secret data.
pub const SECRET_DATA_KEY: &str = "material.json";
/// Header that carries the subscription key unless configured otherwise (Azure API Management's).
pub const DEFAULT_KEY_HEADER: &str = "Ocp-Apim-Subscription-Key";
/// Query parameter that carries the subscription key unless configured otherwise.
pub const DEFAULT_KEY_QUERY: &str = "subscription-key";

/// Name of the index ConfigMap of the Gateway `gateway`.
pub fn index_name(gateway: &str) -> String {
    format!("{gateway}-config")
}
