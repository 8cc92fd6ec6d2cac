//! validateJwt: can its keys be read, and can any token pass at all?

use tidegate_api::Reason;
use tidegate_config::SecretDataId;
use tidegate_config::policy::{JwtKey, ValidateJwt};
use tidegate_keys::{KeyFamily, SecretLength, VerificationKey};

use super::call;
use crate::problem::Problem;
use crate::references::References;

pub(super) fn check(
    namespace: &str,
    policy: &ValidateJwt,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut keys = Vec::new();
    for (i, key) in policy.keys.iter().enumerate() {
        let at = format!("{path}.keys[{i}]");
        match parse(namespace, key, references) {
            Ok(parsed) => {
                problems.extend(short_secret(&parsed, key, policy).map(|problem| problem.at(&at)));
                keys.push(parsed);
            }
            Err(problem) => problems.push(problem.at(&at)),
        }
    }
    problems.extend(call::tls(namespace, policy.tls.as_ref(), path, references));
    problems.extend(combination(policy, path));
    if problems.is_empty() && !any_fits(policy, &keys) {
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

fn parse(
    namespace: &str,
    key: &JwtKey,
    references: &mut References<'_>,
) -> Result<VerificationKey, Problem> {
    match (&key.secret_key_ref, &key.n, &key.e) {
        (Some(reference), None, None) => {
            let bytes = references.secret_ref(namespace, reference)?;
            let length = SecretLength::allowing_short(key.allow_short_secret);
            let parsed = VerificationKey::from_secret(None, &bytes, length);
            let parsed =
                parsed.map_err(|error| super::unusable_key(namespace, reference, &error))?;
            references.keep(SecretDataId::of_secret_ref(namespace, reference), &bytes);
            Ok(parsed)
        }
        (None, Some(n), Some(e)) => VerificationKey::from_rsa(None, n, e).map_err(|_| {
            Problem::invalid("n and e must be an RSA key of 2048 to 8192 bits in base64url")
        }),
        _ => Err(Problem::invalid("set either secretKeyRef or both n and e")),
    }
}

/// A secret that is too short for every accepted algorithm of its kind, and a permission for one that
/// is no secret.
fn short_secret(key: &VerificationKey, source: &JwtKey, policy: &ValidateJwt) -> Option<Problem> {
    if key.family() != KeyFamily::Hmac {
        let text = "allowShortSecret is for an HMAC secret, and this is a public key";
        return source.allow_short_secret.then(|| Problem::invalid(text));
    }
    if policy
        .algorithms
        .iter()
        .any(|algorithm| key.fits(*algorithm))
    {
        return None;
    }
    let reference = source.secret_key_ref.as_ref()?;
    let mut short = policy
        .algorithms
        .iter()
        .filter_map(|alg| key.too_short_for(*alg));
    let text = format!(
        "key \"{}\" of Secret {}: {}",
        reference.key,
        reference.name,
        short.next()?
    );
    Some(Problem::unresolved(Reason::InvalidMaterial, text))
}

/// Remote keys may be of any family; a token without signature needs none.
fn any_fits(policy: &ValidateJwt, keys: &[VerificationKey]) -> bool {
    let remote = !policy.openid_config.is_empty() || !policy.jwks.is_empty();
    if remote || keys.is_empty() || policy.algorithms.is_empty() || !policy.require_signed {
        return true;
    }
    keys.iter().any(|key| {
        policy
            .algorithms
            .iter()
            .any(|algorithm| key.fits(*algorithm))
    })
}
