//! Secret data: referenced by id in the configuration, carried in Secrets.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ObjectKey;
use crate::backend::{TrustAnchorKind, TrustAnchorRef};

/// One key of a Secret in the object's own namespace.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// One key of a ConfigMap in the object's own namespace.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the ConfigMap's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What the id of an inactive subscription begins with.
const INACTIVE: &str = "inactive/";

/// Names one piece of [`SecretData`]: `secret/NAMESPACE/NAME/KEY` or
/// `configmap/NAMESPACE/NAME/KEY`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretDataId(String);

impl SecretDataId {
    /// Id of a key of a Secret.
    pub fn secret(namespace: &str, name: &str, key: &str) -> Self {
        Self(format!("secret/{namespace}/{name}/{key}"))
    }

    /// Id of the key that an object of `namespace` refers to.
    pub fn of_secret_ref(namespace: &str, reference: &SecretKeyRef) -> Self {
        Self::secret(namespace, &reference.name, &reference.key)
    }

    /// Id of the trust anchors that an object of `namespace` refers to.
    pub fn of_trust_anchor(namespace: &str, reference: &TrustAnchorRef) -> Self {
        let TrustAnchorRef { kind, name, key } = reference;
        match kind {
            TrustAnchorKind::Secret => Self::secret(namespace, name, key),
            TrustAnchorKind::ConfigMap => Self(format!("configmap/{namespace}/{name}/{key}")),
        }
    }

    /// Id of a piece that no object refers to. No Secret and no ConfigMap has it.
    pub(crate) fn inactive(key: &ObjectKey) -> Self {
        Self(format!("{INACTIVE}{key}"))
    }

    /// Is it of [`Self::inactive`]?
    pub(crate) fn is_inactive(&self) -> bool {
        self.0.starts_with(INACTIVE)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretDataId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All secret data of one Gateway. Never printed: `Debug` shows ids only.
///
/// Serialised as a JSON object from id to hexadecimal bytes, which is what a Secret carries.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(BTreeMap<SecretDataId, Vec<u8>>);

impl SecretData {
    /// The bytes of `id`, if they are there.
    pub fn get(&self, id: &SecretDataId) -> Option<&[u8]> {
        self.0.get(id).map(Vec::as_slice)
    }

    /// Adds or replaces one piece.
    pub fn insert(&mut self, id: SecretDataId, bytes: Vec<u8>) {
        self.0.insert(id, bytes);
    }

    /// All pieces in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&SecretDataId, &[u8])> {
        self.0.iter().map(|(id, bytes)| (id, bytes.as_slice()))
    }

    /// Adds all pieces of `other`, which replace pieces of the same id.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Takes the pieces out for which `is_wanted`.
    pub(crate) fn take_if(
        &mut self,
        is_wanted: impl Fn(&SecretDataId) -> bool,
    ) -> impl Iterator<Item = Vec<u8>> {
        let all = std::mem::take(&mut self.0);
        let (taken, kept): (BTreeMap<_, _>, _) = all.into_iter().partition(|(id, _)| is_wanted(id));
        self.0 = kept;
        taken.into_values()
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no piece.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Serialize for SecretData {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, bytes)| (id, hex::encode(bytes))))
    }
}

impl<'de> Deserialize<'de> for SecretData {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<SecretDataId, String>::deserialize(deserializer)?;
        texts
            .into_iter()
            .map(|(id, text)| hex::decode(text).map(|bytes| (id, bytes)))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}
