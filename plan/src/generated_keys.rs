//! Secrets of generated keys: which keys they must hold, and which Subscription they belong to. The operator and
//! `tidegate run` write what is decided here. They bring the randomness.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource as _, ResourceExt as _};
use tidegate_api::{
    ANNOTATION_PRIMARY_GENERATION, ANNOTATION_SECONDARY_GENERATION, LABEL_MANAGED_BY, MANAGED_BY,
    PRIMARY_KEY, SECONDARY_KEY, Subscription,
};
use tidegate_config::{LABEL_PART, ObjectKey};

use crate::KeyRequest;

/// [`LABEL_PART`] of a Secret with generated keys.
pub const PART_KEYS: &str = "keys";

/// Random bytes of a key: 256 bits cannot be guessed, and their hash needs no salt.
pub const KEY_BYTES: usize = 32;

/// One of the two keys of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySlot {
    /// Where it is in the data.
    pub(crate) name: &'static str,
    /// Where its generation is noted.
    annotation: &'static str,
}

pub(crate) const PRIMARY: KeySlot = KeySlot {
    name: PRIMARY_KEY,
    annotation: ANNOTATION_PRIMARY_GENERATION,
};
pub(crate) const SECONDARY: KeySlot = KeySlot {
    name: SECONDARY_KEY,
    annotation: ANNOTATION_SECONDARY_GENERATION,
};

/// Where the keys of a Secret come from, for one Subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Its user wrote them.
    Supplied,
    /// They were generated for this Subscription.
    Generated,
    /// They were generated for another Subscription, which is gone. They must not be used.
    Stale,
}

/// Where the keys of this Secret come from. Subscriptions of the same name are told apart by their uid.
pub fn origin(secret: &Secret, subscription: &Subscription) -> KeyOrigin {
    if !is_managed(secret) {
        return KeyOrigin::Supplied;
    }
    let owners = secret.owner_references().iter();
    let mut owners = owners
        .filter(|owner| owner.kind == Subscription::kind(&()))
        .peekable();
    let uid = subscription.uid();
    if owners.peek().is_none() {
        KeyOrigin::Supplied
    } else if owners.any(|owner| Some(&owner.uid) == uid.as_ref()) {
        KeyOrigin::Generated
    } else {
        KeyOrigin::Stale
    }
}

/// Was this Secret made by Tidegate?
pub fn is_managed(secret: &Secret) -> bool {
    let by = secret.labels().get(LABEL_MANAGED_BY);
    by.is_some_and(|by| by == MANAGED_BY)
}

/// Name and uid of the Subscription that owns a Secret of generated keys.
pub fn owner(secret: &Secret) -> Option<(ObjectKey, &str)> {
    let owners = secret.owner_references().iter();
    let mut owners = owners.filter(|owner| owner.kind == Subscription::kind(&()));
    let owner = owners.next().filter(|_| is_managed(secret))?;
    let namespace = secret.namespace().unwrap_or_default();
    Some((ObjectKey::new(&namespace, &owner.name), &owner.uid))
}

/// Makes the Subscription the owner of the Secret, as the one whose keys it holds.
pub fn own(secret: &mut Secret, subscription: &Subscription) {
    let labels = secret.labels_mut();
    labels.insert(LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    labels.insert(LABEL_PART.to_owned(), PART_KEYS.to_owned());
    let owner = subscription.controller_owner_ref(&());
    secret.metadata.owner_references = owner.map(|owner| vec![owner]);
}

/// The Secret with the subscription's keys: the one that it names, or `NAME-keys`.
pub fn secret_key(key: &ObjectKey, subscription: &Subscription) -> ObjectKey {
    let name = subscription.spec.keys.secret_name.clone();
    let name = name.unwrap_or_else(|| format!("{}-keys", key.name));
    ObjectKey::new(&key.namespace, name)
}

/// The generation that the Secret notes for a key.
pub(crate) fn noted(secret: &Secret, slot: KeySlot) -> Option<i64> {
    secret.annotations().get(slot.annotation)?.parse().ok()
}

/// Whether a key of this generation, if any is noted, is the one that is wanted. A lost annotation is no reason to
/// change keys that people use.
pub(crate) fn is_current(noted: Option<i64>, wanted: i64) -> bool {
    noted.is_none_or(|noted| noted >= wanted)
}

/// The new Secret that a request asks for.
///
/// # Errors
///
/// What `random` fails with.
pub fn new_secret<E>(
    request: &KeyRequest,
    subscription: &Subscription,
    random: impl FnMut() -> Result<[u8; KEY_BYTES], E>,
) -> Result<Secret, E> {
    let mut secret = Secret {
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    secret.metadata.name = Some(request.secret.name.clone());
    secret.metadata.namespace = Some(request.secret.namespace.clone());
    own(&mut secret, subscription);
    fill(&mut secret, request, random)?;
    Ok(secret)
}

/// Renews the requested keys of a Secret, and notes their generations. The other key stays.
///
/// # Errors
///
/// What `random` fails with.
pub fn fill<E>(
    secret: &mut Secret,
    request: &KeyRequest,
    mut random: impl FnMut() -> Result<[u8; KEY_BYTES], E>,
) -> Result<(), E> {
    for (generation, slot) in [(request.primary, PRIMARY), (request.secondary, SECONDARY)] {
        let Some(generation) = generation else {
            continue;
        };
        let key = text_of(random()?);
        let data = secret.data.get_or_insert_default();
        data.insert(slot.name.to_owned(), key);
        let annotations = secret.annotations_mut();
        annotations.insert(slot.annotation.to_owned(), generation.to_string());
    }
    Ok(())
}

/// A key as people see it: hexadecimal, which needs no escaping in a header, a query or a shell.
pub fn text_of(random: [u8; KEY_BYTES]) -> ByteString {
    ByteString(hex::encode(random).into_bytes())
}

#[cfg(test)]
mod tests;
