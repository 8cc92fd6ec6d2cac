//! validateJwt: can its keys be read, and can any token pass at all?

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidegate_api::Reason;
use tidegate_config::MaterialId;
use tidegate_config::policy::{JwtAlgorithm, JwtKey, ValidateJwt};

use super::call;
use crate::pem;
use crate::problem::Problem;
use crate::references::References;

/// What a key can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFamily {
    Hmac,
    Rsa,
    P256,
    P384,
    Ed25519,
}

pub(super) fn check(
    namespace: &str,
    policy: &ValidateJwt,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut families = Vec::new();
    for (i, key) in policy.keys.iter().enumerate() {
        match family(namespace, key, references) {
            Ok(family) => families.push(family),
            Err(problem) => problems.push(problem.at(&format!("{path}.keys[{i}]"))),
        }
    }
    problems.extend(call::tls(namespace, policy.tls.as_ref(), path, references));
    problems.extend(combination(policy, path));
    if problems.is_empty() && !any_fits(policy, &families) {
        let text = "none of the keys fits any of the algorithms: no token could pass";
        problems.push(Problem::invalid(text).at(&format!("{path}.algorithms")));
    }
    problems
}

/// Fields that exclude each other or need each other.
fn combination(policy: &ValidateJwt, path: &str) -> Option<Problem> {
    let places = [
        &policy.header,
        &policy.query,
        &policy.subprotocol,
        &policy.cookie,
        &policy.token,
    ];
    let given = places.iter().filter(|place| place.is_some()).count();
    let sources = policy.openid_config.len() + policy.jwks.len() + policy.keys.len();
    let text = if given > 1 {
        "at most one of header, query, subprotocol, cookie, token may be set"
    } else if sources == 0 && policy.require_signed {
        "say where the keys come from: openidConfig, jwks or keys"
    } else if policy.require_scheme.is_some() && given == 1 && policy.header.is_none() {
        "requireScheme needs the token in a header"
    } else {
        return None;
    };
    Some(Problem::invalid(text).at(path))
}

fn family(
    namespace: &str,
    key: &JwtKey,
    references: &mut References<'_>,
) -> Result<KeyFamily, Problem> {
    match (&key.secret_key_ref, &key.n, &key.e) {
        (Some(reference), None, None) => {
            let bytes = references.secret_ref(namespace, reference)?;
            let family = secret_family(&bytes).ok_or_else(|| {
                let (name, key) = (&reference.name, &reference.key);
                let text = format!(
                    "key \"{key}\" of Secret {namespace}/{name} must be an HMAC secret, or in PEM a \
                     public key or certificate (RSA from 2048 bits, P-256, P-384, Ed25519)"
                );
                Problem::unresolved(Reason::InvalidMaterial, text)
            })?;
            references.keep(MaterialId::of_secret_ref(namespace, reference), &bytes);
            Ok(family)
        }
        (None, Some(n), Some(e)) => rsa(n, e).ok_or_else(|| {
            Problem::invalid("n and e must be an RSA key of 2048 to 8192 bits in base64url")
        }),
        _ => Err(Problem::invalid("set either secretKeyRef or both n and e")),
    }
}

fn rsa(n: &str, e: &str) -> Option<KeyFamily> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    pem::is_rsa_key(&decode(n)?, &decode(e)?).then_some(KeyFamily::Rsa)
}

/// Text that begins like PEM is PEM, anything else is an HMAC secret.
fn secret_family(bytes: &[u8]) -> Option<KeyFamily> {
    if bytes.is_empty() {
        None
    } else if pem::looks_like(bytes) {
        pem::public_key_family(bytes)
    } else {
        Some(KeyFamily::Hmac)
    }
}

/// Remote keys may be of any family; a token without signature needs none.
fn any_fits(policy: &ValidateJwt, families: &[KeyFamily]) -> bool {
    let remote = !policy.openid_config.is_empty() || !policy.jwks.is_empty();
    if remote || families.is_empty() || policy.algorithms.is_empty() || !policy.require_signed {
        return true;
    }
    let fits = |algorithm: &JwtAlgorithm| families.contains(&family_of(*algorithm));
    policy.algorithms.iter().any(fits)
}

/// The keys that an algorithm needs.
pub(super) fn family_of(algorithm: JwtAlgorithm) -> KeyFamily {
    use JwtAlgorithm as A;
    match algorithm {
        A::HS256 | A::HS384 | A::HS512 => KeyFamily::Hmac,
        A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => KeyFamily::Rsa,
        A::ES256 => KeyFamily::P256,
        A::ES384 => KeyFamily::P384,
        A::EdDSA => KeyFamily::Ed25519,
    }
}
