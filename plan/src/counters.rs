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
    let url = match (&redis.url, &redis.url_secret_ref) {
        (Some(url), None) if is_counters_url(url) => ResolvedValue::Plain(url.clone()),
        (None, Some(reference)) => from_secret(gateway, reference, previous, references, problems),
        _ => {
            let text = "exactly one of url (redis:// or rediss://) and urlSecretRef must be set";
            problems.push(Problem::invalid(text).at("spec.counters.redis"));
            ResolvedValue::Plain(String::new())
        }
    };
    let secure = match &url {
        ResolvedValue::Plain(url) => is_secure_counters_url(url),
        ResolvedValue::Secret(id) => references
            .secret_data
            .get(id)
            .is_some_and(|bytes| std::str::from_utf8(bytes).is_ok_and(is_secure_counters_url)),
    };
    let is_there = url != ResolvedValue::Plain(String::new());
    if is_there && !secure && !redis.ca_refs.is_empty() {
        let text = "caRefs need a rediss:// URL";
        problems.push(Problem::invalid(text).at("spec.counters.redis.caRefs"));
    }
    for (i, anchor) in redis.ca_refs.iter().enumerate() {
        if let Err(problem) = trust_anchor(&gateway.namespace, anchor, references) {
            problems.push(problem.at(&format!("spec.counters.redis.caRefs[{i}]")));
        }
    }
    let RedisCounters {
        on_failure,
        ca_refs,
        ..
    } = redis;
    let authority = |anchor| SecretDataId::of_trust_anchor(&gateway.namespace, anchor);
    Some(CountersConfig {
        url,
        authorities: ca_refs.iter().map(authority).collect(),
        on_failure: *on_failure,
    })
}

fn from_secret(
    gateway: &ObjectKey,
    reference: &SecretKeyRef,
    previous: Option<&SecretData>,
    references: &mut References<'_>,
    problems: &mut Vec<Problem>,
) -> ResolvedValue {
    let id = SecretDataId::of_secret_ref(&gateway.namespace, reference);
    let found = references.secret_ref(&gateway.namespace, reference);
    let found = found.and_then(|bytes| {
        let is_url = std::str::from_utf8(&bytes).is_ok_and(is_counters_url);
        let SecretKeyRef { name, key, .. } = reference;
        let namespace = &gateway.namespace;
        let text = format!(
            "key \"{key}\" of Secret {namespace}/{name} is not a redis:// or rediss:// URL"
        );
        is_url
            .then(|| bytes.into_owned())
            .ok_or_else(|| Problem::unresolved(Reason::InvalidMaterial, text))
    });
    let bytes = found.or_else(|problem| {
        problems.push(problem.at("spec.counters.redis.urlSecretRef"));
        previous
            .and_then(|previous| previous.get(&id))
            .map(<[u8]>::to_vec)
            .ok_or(())
    });
    match bytes {
        Ok(bytes) => {
            references.keep(id.clone(), &bytes);
            ResolvedValue::Secret(id)
        }
        Err(()) => ResolvedValue::Plain(String::new()),
    }
}
