//! The token of a Gateway's admin server, in a Secret of its own: who may read the Secret may use the admin
//! server of the pods.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use tidegate_config::ObjectKey;

use super::Target;
use crate::objects::names::PART_ADMIN;
use crate::objects::{Manifest, Owned, OwnedKey, OwnedKind, names};

/// Key in the Secret, and name of the file in the pod.
pub(super) const TOKEN: &str = "token";

/// Name of the Secret.
pub(super) fn secret_name(gateway: &str) -> String {
    format!("{gateway}-admin")
}

/// Key of the Secret.
pub(crate) fn admin_token_key(gateway: &ObjectKey) -> OwnedKey {
    OwnedKey {
        kind: OwnedKind::Secret,
        key: ObjectKey::new(gateway.namespace.clone(), secret_name(&gateway.name)),
    }
}

/// The Secret with this token. It is created once: an existing token stays as it is, no matter who wrote it.
pub(crate) fn admin_token_manifest(target: &Target<'_>, token: &ByteString) -> Manifest {
    let OwnedKey { kind, key } = admin_token_key(target.key);
    let secret = Secret {
        metadata: names::metadata(target.key, &key.name, &target.owner, Some(PART_ADMIN)),
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(TOKEN.to_owned(), token.clone())])),
        ..Secret::default()
    };
    Manifest {
        key: OwnedKey { kind, key },
        body: serde_json::to_value(&secret)
            .expect("Kubernetes objects have text keys and no failing serializer"),
    }
}

/// Is this the Gateway's own Secret, and has it a token?
pub(crate) fn has_token(live: &Owned, owner_uid: &str) -> bool {
    let digest = live.body["data"][TOKEN].as_str();
    digest.is_some_and(|digest| !digest.is_empty())
        && live.is_owned_by(owner_uid)
        && !live.is_being_deleted()
}
