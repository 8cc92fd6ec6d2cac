//! Generates subscription keys and admin tokens from the system's random bytes.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rand::TryRngCore;
use rand::rngs::OsRng;
use tidegate_api::Subscription;
use tidegate_plan::KeyRequest;
use tidegate_plan::generated_keys::{self, KEY_BYTES};

/// The system has no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system has no random bytes")]
pub(crate) struct RandomnessError(#[source] rand::rand_core::OsError);

/// A new token for an admin server.
pub(crate) fn new_token() -> Result<ByteString, RandomnessError> {
    Ok(generated_keys::text_of(random()?))
}

/// The new Secret that a request asks for.
pub(crate) fn new_secret(
    request: &KeyRequest,
    subscription: &Subscription,
) -> Result<Secret, RandomnessError> {
    generated_keys::new_secret(request, subscription, random)
}

/// Generates the requested keys of a Secret; the other one stays.
pub(crate) fn fill(secret: &mut Secret, request: &KeyRequest) -> Result<(), RandomnessError> {
    generated_keys::fill(secret, request, random)
}

fn random() -> Result<[u8; KEY_BYTES], RandomnessError> {
    let mut bytes = [0; KEY_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(RandomnessError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
