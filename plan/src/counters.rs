//! Where a Gateway's limits count: is there a server, and is its URL one?

use tidegate_api::Reason;
use tidegate_config::{
    Counters, CountersConfig, ObjectKey, RedisCounters, ResolvedValue, SecretData, SecretDataId,
    SecretKeyRef, is_counters_url, is_secure_counters_url,
};

use crate::certificates::trust_anchor;
use crate::problem::Problem;
use crate::references::References;

/// Without its URL a gateway cannot reach the server, and does what `onFailure` says; a Secret
/// that goes away or is broken leaves the URL that was in use.
pub(crate) fn resolve(
    gateway: &ObjectKey,
    counters: &Counters,
    previous: Option<&SecretData>,
    references: &mut References<'_>,
    problems: &mut Vec<Problem>,
) -> Option<CountersConfig> {
    let redis = counters.redis.as_ref()?;
    let namespace = &gateway.namespace;
    let url = match (&redis.url, &redis.url_secret_ref) {
        (Some(url), None) if is_counters_url(url) => Some(ResolvedValue::Plain(url.clone())),
        (None, Some(reference)) => {
            from_secret(namespace, reference, previous, references, problems)
        }
        _ => {
            let text = "exactly one of url (redis:// or rediss://) and urlSecretRef must be set";
            problems.push(Problem::invalid(text).at("spec.counters.redis"));
            None
        }
    };
    problems.extend(check_authorities(
        namespace,
        redis,
        url.as_ref(),
        references,
    ));
    let authority = |anchor| SecretDataId::of_trust_anchor(namespace, anchor);
    Some(CountersConfig {
        url: url.unwrap_or(ResolvedValue::Plain(String::new())),
        authorities: redis.ca_refs.iter().map(authority).collect(),
        on_failure: redis.on_failure,
    })
}

/// What is wrong with the authorities, and whether the URL has a use for them.
fn check_authorities(
    namespace: &str,
    redis: &RedisCounters,
    url: Option<&ResolvedValue>,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let is_plain = url.is_some_and(|url| !is_secure(url, references));
    let mut problems = Vec::new();
    if is_plain && !redis.ca_refs.is_empty() {
        let text = "caRefs need a rediss:// URL";
        problems.push(Problem::invalid(text).at("spec.counters.redis.caRefs"));
    }
    for (i, anchor) in redis.ca_refs.iter().enumerate() {
        if let Err(problem) = trust_anchor(namespace, anchor, references) {
            problems.push(problem.at(&format!("spec.counters.redis.caRefs[{i}]")));
        }
    }
    problems
}

fn is_secure(url: &ResolvedValue, references: &References<'_>) -> bool {
    match url {
        ResolvedValue::Plain(url) => is_secure_counters_url(url),
        ResolvedValue::Secret(id) => references
            .named
            .secret_data
            .get(id)
            .is_some_and(|bytes| std::str::from_utf8(bytes).is_ok_and(is_secure_counters_url)),
    }
}

/// The URL in a Secret, or the one that was in use.
fn from_secret(
    namespace: &str,
    reference: &SecretKeyRef,
    previous: Option<&SecretData>,
    references: &mut References<'_>,
    problems: &mut Vec<Problem>,
) -> Option<ResolvedValue> {
    let id = SecretDataId::of_secret_ref(namespace, reference);
    let bytes = match read_url(namespace, reference, references) {
        Ok(bytes) => bytes,
        Err(problem) => {
            problems.push(problem.at("spec.counters.redis.urlSecretRef"));
            previous?.get(&id)?.to_vec()
        }
    };
    references.keep(id.clone(), &bytes);
    Some(ResolvedValue::Secret(id))
}

fn read_url(
    namespace: &str,
    reference: &SecretKeyRef,
    references: &mut References<'_>,
) -> Result<Vec<u8>, Problem> {
    let bytes = references.secret_ref(namespace, reference)?;
    if std::str::from_utf8(&bytes).is_ok_and(is_counters_url) {
        return Ok(bytes.into_owned());
    }
    let SecretKeyRef { name, key, .. } = reference;
    let text =
        format!("key \"{key}\" of Secret {namespace}/{name} is not a redis:// or rediss:// URL");
    Err(Problem::unresolved(Reason::InvalidMaterial, text))
}
