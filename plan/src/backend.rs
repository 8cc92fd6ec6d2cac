//! The backend of an API: its URL or URLs and what verifies it.

use std::collections::BTreeSet;

use tidegate_api::{Backend, Reason};
use tidegate_config::policy::{Policy, Section, Step};
use tidegate_config::{BackendProxy, BackendTls, PoolMember, SecretDataId};
use tidegate_expr::Template;
use url::Url;

use crate::backend_url::check_backend_url;
use crate::certificates::{key_pair, trust_anchor};
use crate::policies::Policies;
use crate::problem::Problem;
use crate::references::References;

/// Data keys of a kubernetes.io/basic-auth Secret.
pub(crate) const PROXY_CREDENTIALS: [&str; 2] = ["username", "password"];

/// Everything that is wrong with a backend.
pub(crate) fn check(
    namespace: &str,
    backend: &Backend,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(url) = &backend.url
        && let Err(problem) = check_backend_url(url)
    {
        problems.push(problem.at("spec.backend.url"));
    }
    problems.extend(backend.host_header.as_deref().and_then(check_host_header));
    problems.extend(check_pool(backend.pool.as_deref().unwrap_or_default()));
    problems.extend(check_statuses(backend));
    if let Some(proxy) = &backend.proxy {
        let checked = check_proxy(namespace, proxy, references);
        problems.extend(checked.err());
    }
    if let Some(tls) = &backend.tls {
        problems.extend(check_tls(namespace, tls, references));
    }
    problems
}

fn check_tls(namespace: &str, tls: &BackendTls, references: &mut References<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, reference) in tls.ca_refs.iter().enumerate() {
        if let Err(problem) = trust_anchor(namespace, reference, references) {
            problems.push(problem.at(&format!("spec.backend.tls.caRefs[{i}]")));
        }
    }
    if let Some(name) = &tls.client_certificate_ref
        && let Err(problem) = key_pair(namespace, name, references)
    {
        problems.push(problem.at("spec.backend.tls.clientCertificateRef"));
    }
    problems
}

/// What is the same for every handshake can be checked now: `host` or `host:port`.
fn check_host_header(text: &str) -> Option<Problem> {
    // What is no template is told as such elsewhere. `$${` is literal text, and no host has it.
    let (text, values) = Template::outline(text, "").ok()?;
    if !values.is_empty() {
        return None;
    }
    let authority = text
        .split_once("://")
        .is_none()
        .then(|| format!("ws://{text}/"));
    let url = authority.and_then(|url| Url::parse(&url).ok());
    let is_host = url.is_some_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none();
        bare && url.path() == "/" && url.query().is_none() && url.fragment().is_none()
    });
    // The URL's parser lets braces pass, which no host has.
    if is_host && !text.contains(['/', '\\', '@', '$', '{', '}']) {
        return None;
    }
    let text = format!("\"{text}\" is neither host nor host:port");
    Some(Problem::invalid(text).at("spec.backend.hostHeader"))
}

/// A proxy that can be asked, with what it wants to be asked with (RFC 7617: no colon in the name).
fn check_proxy(
    namespace: &str,
    proxy: &BackendProxy,
    references: &mut References<'_>,
) -> Result<(), Problem> {
    let url = Url::parse(&proxy.url).ok();
    let is_plain = |url: &Url| {
        let host = url.host_str().is_some_and(|host| !host.is_empty());
        host && url.scheme() == "http" && url.username().is_empty() && url.password().is_none()
    };
    if !url.as_ref().is_some_and(is_plain) {
        let text = "must be http://host:port; put user and password into credentialsRef";
        return Err(Problem::invalid(text).at("spec.backend.proxy.url"));
    }
    let name = proxy.credentials_ref.iter();
    let mut keys = name.flat_map(|name| PROXY_CREDENTIALS.map(|key| (name, key)));
    keys.try_for_each(|(name, key)| {
        let checked = check_proxy_credential(namespace, name, key, references);
        checked.map_err(|problem| problem.at("spec.backend.proxy.credentialsRef"))
    })
}

fn check_proxy_credential(
    namespace: &str,
    name: &str,
    key: &str,
    references: &mut References<'_>,
) -> Result<(), Problem> {
    let bytes = references.secret(namespace, name, key)?;
    let usable =
        |text: &str| !(text.contains(char::is_control) || key == "username" && text.contains(':'));
    if !std::str::from_utf8(&bytes).is_ok_and(usable) {
        let text = format!(
            "key \"{key}\" of Secret {namespace}/{name} cannot be sent to a proxy: it has line \
             ends or other control characters, is not UTF-8, or is a user name with a colon"
        );
        return Err(Problem::unresolved(Reason::InvalidMaterial, text));
    }
    references.keep(SecretDataId::secret(namespace, name, key), &bytes);
    Ok(())
}

/// URL of the backend, or of the first one of its pool.
pub(crate) fn first_url(backend: &Backend) -> &str {
    let of_pool = || backend.pool.iter().flatten().map(|member| &*member.url);
    backend
        .url
        .as_deref()
        .or_else(|| of_pool().next())
        .unwrap_or_default()
}

/// Members differ in scheme, host and port only: policies that change path or query do so before
/// one is chosen.
fn check_pool(pool: &[PoolMember]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut first: Option<Url> = None;
    let mut places = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (i, member) in pool.iter().enumerate() {
        let name = member.name.as_deref();
        if name.is_some_and(|name| !names.insert(name)) {
            let problem = Problem::invalid("another member already has this name");
            problems.push(problem.at(&format!("spec.backend.pool[{i}].name")));
        }
        let at = format!("spec.backend.pool[{i}].url");
        let url = match (check_backend_url(&member.url), Url::parse(&member.url)) {
            (Ok(()), Ok(url)) => url,
            (checked, _) => {
                problems.extend(checked.err().map(|problem| problem.at(&at)));
                continue;
            }
        };
        let first = first.get_or_insert_with(|| url.clone());
        if (url.path(), url.query()) != (first.path(), first.query()) {
            let text = "path and query must be the same as those of the first member";
            problems.push(Problem::invalid(text).at(&at));
        }
        let host = url.host_str().map(str::to_owned);
        if !places.insert((host, url.port_or_known_default())) {
            let text = "another member already has this host and port: give that one more weight";
            problems.push(Problem::invalid(text).at(&at));
        }
    }
    problems
}

/// A range that ends before it begins has no status.
fn check_statuses(backend: &Backend) -> Vec<Problem> {
    let breaker = backend.circuit_breaker.as_ref();
    let breaker = breaker.and_then(|breaker| breaker.statuses.as_deref());
    let failover = backend.failover.as_ref();
    let failover = failover.map(|failover| failover.statuses.as_slice());
    let lists = [("circuitBreaker", breaker), ("failover", failover)];
    let ranges = lists.into_iter().flat_map(|(of, ranges)| {
        let ranges = ranges.unwrap_or_default().iter().enumerate();
        ranges.map(move |(i, range)| (format!("spec.backend.{of}.statuses[{i}]"), range))
    });
    let empty = ranges.filter(|(_, range)| range.first > range.last);
    empty
        .map(|(at, range)| {
            let text = format!("{range} ends before it begins");
            Problem::invalid(text).at(&at)
        })
        .collect()
}

/// Names of members that steps call for and that nobody has. Wider scopes do not know the pool:
/// what they name shows when a handshake comes.
pub(crate) fn check_refs(policies: &Policies, backend: &Backend) -> Vec<Problem> {
    let names = || {
        backend
            .pool
            .iter()
            .flatten()
            .filter_map(|m| m.name.as_deref())
    };
    let unknown = |(section, position, step): (Section, usize, &dyn Step)| {
        let Some(Policy::SetBackend(policy)) = step.policy() else {
            return None;
        };
        let name = policy.member.as_deref()?;
        if name.contains("${") || names().any(|known| known == name) {
            return None;
        }
        let text = match names().collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "no member of backend.pool has a name".to_owned(),
            known => {
                format!("no member of backend.pool is called \"{name}\": the names are {known}")
            }
        };
        let path = format!("{}.setBackend.ref", policies.paths.of(section, position));
        Some(Problem::invalid(text).at(&path))
    };
    let steps = policies.on_handshake.steps();
    steps.filter_map(unknown).collect()
}
