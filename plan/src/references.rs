//! What objects name: Secrets and ConfigMaps, found or not.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tidegate_api::{PolicyFragment, Reason};
use tidegate_config::{
    ConfigMapKeyRef, HARD_LIMIT_BYTES, ObjectKey, SecretData, SecretDataId, SecretKeyRef,
    TrustAnchorKind, TrustAnchorRef,
};

use crate::World;
use crate::problem::Problem;

/// A larger piece fits into no part of a rendered configuration: there it is hexadecimal, and one
/// object may fill half a part.
const MAX_SECRET_DATA_BYTES: usize = HARD_LIMIT_BYTES / 4 - 1024;

/// Follows the references of one object, and notes what it names.
pub(crate) struct References<'a> {
    pub(crate) world: &'a World,
    pub(crate) named: Named,
}

/// What one object names, existing or not: when that changes, the object has to be looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) secrets: BTreeSet<ObjectKey>,
    pub(crate) config_maps: BTreeSet<ObjectKey>,
    pub(crate) fragments: BTreeSet<ObjectKey>,
    /// The fragments whose steps it has.
    pub(crate) included: BTreeSet<ObjectKey>,
    /// What was found and is usable.
    pub(crate) secret_data: SecretData,
}

impl<'a> References<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self {
            world,
            named: Named::default(),
        }
    }

    /// Content of one key of a Secret.
    pub(crate) fn secret(
        &mut self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Cow<'a, [u8]>, Problem> {
        let object = ObjectKey::new(namespace, name);
        let missing = |text| Problem::unresolved(Reason::SecretNotFound, text);
        let Some(secret) = self.world.secrets.get(&object) else {
            self.named.secrets.insert(object.clone());
            return Err(Problem::missing(Reason::SecretNotFound, "Secret", object));
        };
        let text = secret.string_data.as_ref().and_then(|data| data.get(key));
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        let found = match (text, bytes) {
            (Some(text), _) => Ok(Cow::Borrowed(text.as_bytes())),
            (None, Some(bytes)) => Ok(Cow::Borrowed(bytes.0.as_slice())),
            (None, None) => Err(missing(format!("Secret {object} has no key \"{key}\""))),
        };
        let found = found.and_then(|bytes| fitting(bytes, "Secret", &object, key));
        self.named.secrets.insert(object);
        found
    }

    /// A fragment.
    pub(crate) fn fragment(&mut self, key: ObjectKey) -> Option<&'a PolicyFragment> {
        let found = self.world.fragments.get(&key);
        self.named.fragments.insert(key);
        found.map(AsRef::as_ref)
    }

    /// Content of what a reference in an object of `namespace` names.
    pub(crate) fn secret_ref(
        &mut self,
        namespace: &str,
        reference: &SecretKeyRef,
    ) -> Result<Cow<'a, [u8]>, Problem> {
        self.secret(namespace, &reference.name, &reference.key)
    }

    /// Content of what a reference in an object of `namespace` names.
    pub(crate) fn config_map_ref(
        &mut self,
        namespace: &str,
        reference: &ConfigMapKeyRef,
    ) -> Result<Cow<'a, [u8]>, Problem> {
        let object = ObjectKey::new(namespace, &reference.name);
        let key = &reference.key;
        let missing = |text| Problem::unresolved(Reason::ConfigMapNotFound, text);
        let Some(config_map) = self.world.config_maps.get(&object) else {
            self.named.config_maps.insert(object.clone());
            let reason = Reason::ConfigMapNotFound;
            return Err(Problem::missing(reason, "ConfigMap", object));
        };
        let text = config_map.data.as_ref().and_then(|data| data.get(key));
        let bytes = config_map
            .binary_data
            .as_ref()
            .and_then(|data| data.get(key));
        let found = match (text, bytes) {
            (Some(text), _) => Ok(Cow::Borrowed(text.as_bytes())),
            (None, Some(bytes)) => Ok(Cow::Borrowed(bytes.0.as_slice())),
            (None, None) => Err(missing(format!("ConfigMap {object} has no key \"{key}\""))),
        };
        let found = found.and_then(|bytes| fitting(bytes, "ConfigMap", &object, key));
        self.named.config_maps.insert(object);
        found
    }

    /// Content of trust anchors that an object of `namespace` names.
    pub(crate) fn trust_anchor(
        &mut self,
        namespace: &str,
        reference: &TrustAnchorRef,
    ) -> Result<Cow<'a, [u8]>, Problem> {
        let TrustAnchorRef { kind, name, key } = reference;
        match kind {
            TrustAnchorKind::Secret => self.secret(namespace, name, key),
            TrustAnchorKind::ConfigMap => {
                let (name, key) = (name.clone(), key.clone());
                self.config_map_ref(namespace, &ConfigMapKeyRef { name, key })
            }
        }
    }

    /// Keeps what was found and proved usable.
    pub(crate) fn keep(&mut self, id: SecretDataId, bytes: &[u8]) {
        self.named.secret_data.insert(id, bytes.to_vec());
    }
}

fn fitting<'a>(
    bytes: Cow<'a, [u8]>,
    kind: &str,
    object: &ObjectKey,
    key: &str,
) -> Result<Cow<'a, [u8]>, Problem> {
    if bytes.len() <= MAX_SECRET_DATA_BYTES {
        return Ok(bytes);
    }
    let text = format!(
        "key \"{key}\" of {kind} {object} has {} bytes, and at most {MAX_SECRET_DATA_BYTES} can be used",
        bytes.len()
    );
    Err(Problem::unresolved(Reason::TooLarge, text))
}
