//! validateJwt: can its keys be read, and can any token pass at all?

use tidegate_api::Reason;
use tidegate_config::SecretDataId;
use tidegate_config::policy::{JwtKey, ValidateJwt};
use tidegate_keys::{KeyFamily, SecretLength, VerificationKey};

use super::check::{Access, Check, StepContext};
use super::{call, key};
use crate::problem::Problem;
use crate::references::References;

impl Check for ValidateJwt {
    const ACCESS: Access = Access::Always;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let path = step.path;
        let mut problems = Vec::new();
        let mut keys = Vec::new();
        for (i, key) in self.keys.iter().enumerate() {
            let at = format!("{path}.keys[{i}]");
            match parse(step.namespace, key, step.references) {
                Ok(parsed) => {
                    let short = short_secret(&parsed, key, self);
                    problems.extend(short.map(|problem| problem.at(&at)));
                    keys.push(parsed);
                }
                Err(problem) => problems.push(problem.at(&at)),
            }
        }
        problems.extend(call::tls(self.tls.as_ref(), path, step));
        problems.extend(combination(self, path));
        if problems.is_empty() && !any_fits(self, &keys) {
            let text = "no key fits any of the algorithms, so no token can be accepted";
            problems.push(Problem::invalid(text).at(&format!("{path}.algorithms")));
        }
        problems
    }

    fn secret_data(&self, namespace: &str) -> Vec<SecretDataId> {
        let keys = self.keys.iter();
        let references = keys.filter_map(|key| key.secret_key_ref.as_ref());
        references
            .map(|reference| SecretDataId::of_secret_ref(namespace, reference))
            .chain(call::trust_anchors(namespace, self.tls.as_ref()))
            .collect()
    }
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
        "at least one of openidConfig, jwks, keys must be set"
    } else if policy.require_scheme.is_some() && given == 1 && policy.header.is_none() {
        "requireScheme needs the token in a header"
    } else {
        return None;
    };
    Some(Problem::invalid(text).at(path))
}

fn parse(
    namespace: &str,
    source: &JwtKey,
    references: &mut References<'_>,
) -> Result<VerificationKey, Problem> {
    match (&source.secret_key_ref, &source.n, &source.e) {
        (Some(reference), None, None) => {
            let bytes = references.secret_ref(namespace, reference)?;
            let length = SecretLength::allowing_short(source.allow_short_secret);
            let parsed = VerificationKey::from_secret(None, &bytes, length);
            let parsed = parsed.map_err(|error| key::unusable(namespace, reference, &error))?;
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
        let text = "allowShortSecret is only for an HMAC secret, and this is a public key";
        return source.allow_short_secret.then(|| Problem::invalid(text));
    }
    let algorithms = &policy.algorithms;
    if algorithms.iter().any(|algorithm| key.fits(*algorithm)) {
        return None;
    }
    let reference = source.secret_key_ref.as_ref()?;
    let mut short = algorithms.iter().filter_map(|alg| key.too_short_for(*alg));
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
    let algorithms = &policy.algorithms;
    let fits = |key: &VerificationKey| algorithms.iter().any(|algorithm| key.fits(*algorithm));
    keys.iter().any(fits)
}
