//! Generates subscription keys and admin tokens. Pure but for the randomness.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use rand::TryRngCore;
use rand::rngs::OsRng;
use tidegate_api::{
    ANNOTATION_PRIMARY_GENERATION, ANNOTATION_SECONDARY_GENERATION, LABEL_MANAGED_BY, MANAGED_BY,
    PRIMARY_KEY, SECONDARY_KEY, Subscription,
};
use tidegate_config::LABEL_PART;
use tidegate_plan::KeyRequest;

use crate::objects::names::{self, PART_KEYS};

/// Bytes of a key: 256 random bits cannot be guessed, and their hash needs no salt.
const KEY_BYTES: usize = 32;

/// The system has no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system has no random bytes")]
pub(crate) struct RandomnessError(#[source] rand::rand_core::OsError);

/// A new token for an admin server.
pub(crate) fn new_token() -> Result<ByteString, RandomnessError> {
    new_key()
}

/// A new key: 43 characters that need no escaping in a header or a query.
fn new_key() -> Result<ByteString, RandomnessError> {
    let mut bytes = [0; KEY_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(RandomnessError)?;
    Ok(ByteString(URL_SAFE_NO_PAD.encode(bytes).into_bytes()))
}

/// The new Secret that a request asks for.
pub(crate) fn new_secret(
    request: &KeyRequest,
    subscription: &Subscription,
) -> Result<Secret, RandomnessError> {
    let mut secret = Secret {
        metadata: ObjectMeta {
            name: Some(request.secret.name.clone()),
            namespace: Some(request.secret.namespace.clone()),
            labels: Some(names::string_map([
                (LABEL_MANAGED_BY, MANAGED_BY),
                (LABEL_PART, PART_KEYS),
            ])),
            owner_references: Some(vec![names::owner_of(subscription)]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    fill(&mut secret, request)?;
    Ok(secret)
}

/// Generates the requested keys of a Secret; the other one stays.
pub(crate) fn fill(secret: &mut Secret, request: &KeyRequest) -> Result<(), RandomnessError> {
    let wanted = [
        (request.primary, PRIMARY_KEY, ANNOTATION_PRIMARY_GENERATION),
        (
            request.secondary,
            SECONDARY_KEY,
            ANNOTATION_SECONDARY_GENERATION,
        ),
    ];
    for (generation, name, annotation) in wanted {
        let Some(generation) = generation else {
            continue;
        };
        let data = secret.data.get_or_insert_with(BTreeMap::new);
        data.insert(name.to_owned(), new_key()?);
        let annotations = secret.metadata.annotations.get_or_insert_default();
        annotations.insert(annotation.to_owned(), generation.to_string());
    }
    Ok(())
}

/// Did the operator generate this Secret for this Subscription?
pub(crate) fn is_generated(secret: &Secret, subscription: &Subscription) -> bool {
    let labels = secret.metadata.labels.as_ref();
    let managed = labels.and_then(|labels| labels.get(LABEL_MANAGED_BY));
    let owners = secret.metadata.owner_references.iter().flatten();
    let uid = subscription.metadata.uid.as_deref();
    managed.is_some_and(|by| by == MANAGED_BY)
        && owners
            .into_iter()
            .any(|owner| Some(owner.uid.as_str()) == uid)
}

#[cfg(test)]
mod tests;
