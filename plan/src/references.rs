//! What objects name: Secrets and ConfigMaps, found or not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tidegate_api::{PolicyFragment, Reason};
use tidegate_config::{
    ConfigMapKeyRef, HARD_LIMIT_BYTES, ObjectKey, SecretData, SecretDataId, SecretKeyRef,
    TrustAnchorKind, TrustAnchorRef,
};

use crate::World;
use crate::index::{Objects, by_key};
use crate::problem::Problem;

/// A larger piece fits into no part of a rendered configuration: there it is hexadecimal, and one
/// object may fill half a part.
const MAX_SECRET_DATA_BYTES: usize = HARD_LIMIT_BYTES / 4 - 1024;

/// Follows references, and notes which objects were named and which secret data was found.
pub(crate) struct References<'a> {
    pub(crate) world: &'a World,
    pub(crate) wanted_secrets: BTreeSet<ObjectKey>,
    pub(crate) wanted_config_maps: BTreeSet<ObjectKey>,
    /// Everything found and usable, of all objects.
    pub(crate) secret_data: SecretData,
    pub(crate) fragments: Objects<'a, PolicyFragment>,
    /// How many objects include each fragment.
    pub(crate) users: BTreeMap<ObjectKey, u32>,
}

impl<'a> References<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self {
            world,
            wanted_secrets: BTreeSet::new(),
            wanted_config_maps: BTreeSet::new(),
            secret_data: SecretData::default(),
            fragments: by_key(&world.fragments),
            users: BTreeMap::new(),
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
            self.wanted_secrets.insert(object.clone());
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
        self.wanted_secrets.insert(object);
        found
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
            self.wanted_config_maps.insert(object.clone());
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
        self.wanted_config_maps.insert(object);
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
        self.secret_data.insert(id, bytes.to_vec());
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
