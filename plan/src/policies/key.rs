//! Keys of tokens in Secrets.

use std::error::Error;

use tidegate_api::Reason;
use tidegate_config::SecretKeyRef;

use crate::problem::Problem;

/// What is wrong with a Secret that is to be the key of tokens.
pub(super) fn unusable(namespace: &str, reference: &SecretKeyRef, why: &dyn Error) -> Problem {
    let SecretKeyRef { name, key } = reference;
    let text = format!("key \"{key}\" of Secret {namespace}/{name} cannot be used: {why}");
    Problem::unresolved(Reason::InvalidMaterial, text)
}
