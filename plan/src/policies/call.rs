//! Requests of policies: are their URLs, headers and secrets usable?

use std::collections::BTreeSet;

use rustls_pki_types::ServerName;
use tidegate_api::Reason;
use tidegate_config::policy::{ClientCredentials, Outgoing, RequestTls, Retry, SendRequests};
use tidegate_config::{SecretDataId, check_url};
use url::Url;

use super::{free_header, url_text};
use crate::backend;
use crate::problem::Problem;
use crate::references::References;

pub(super) fn check(
    namespace: &str,
    request: Outgoing<'_>,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let unsafe_url = || url_text(request.url, check_url);
    let url = match request.url.contains("${") {
        true => unsafe_url(),
        false => http_url(request.url).or_else(unsafe_url),
    };
    problems.extend(url.map(|problem| problem.at(&format!("{path}.url"))));
    for (i, header) in request.headers.iter().enumerate() {
        let field = format!("{path}.headers[{i}].name");
        problems.extend(free_header(&header.name, &field));
    }
    problems.extend(self::tls(namespace, request.tls, path, references));
    let auth = request.auth;
    if let Some(certificate) = auth.and_then(|auth| auth.client_certificate.as_ref())
        && let Err(problem) = backend::key_pair(namespace, &certificate.name, references)
    {
        problems.push(problem.at(&format!("{path}.auth.clientCertificate")));
    }
    if let Some(oauth2) = auth.and_then(|auth| auth.oauth2.as_ref()) {
        let path = format!("{path}.auth.oauth2");
        problems.extend(client_credentials(namespace, oauth2, &path, references));
    }
    problems
}

/// Several requests of one step.
pub(super) fn several(
    namespace: &str,
    policy: &SendRequests,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut variables = BTreeSet::new();
    for (i, request) in policy.requests.iter().enumerate() {
        let path = format!("{path}.requests[{i}]");
        problems.extend(check(namespace, request.outgoing(), &path, references));
        problems.extend(retry(request.retry.as_ref(), &path));
        if !variables.insert(&request.variable) {
            let text = "another request of the step has this variable already";
            problems.push(Problem::invalid(text).at(&format!("{path}.as")));
        }
    }
    problems
}

/// The waits of a retry.
pub(super) fn retry(retry: Option<&Retry>, path: &str) -> Option<Problem> {
    let retry = retry?;
    let longest = retry.max_interval?;
    let text = "maxInterval must not be shorter than interval";
    (longest < retry.interval).then(|| Problem::invalid(text).at(&format!("{path}.retry")))
}

/// Whom a request trusts.
pub(super) fn tls(
    namespace: &str,
    tls: Option<&RequestTls>,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let anchors = tls.into_iter().flat_map(|tls| &tls.ca_refs).enumerate();
    let problem = |(i, anchor)| {
        let problem = backend::trust_anchor(namespace, anchor, references).err()?;
        Some(problem.at(&format!("{path}.tls.caRefs[{i}]")))
    };
    let mut problems: Vec<_> = anchors.filter_map(problem).collect();
    let name = tls.and_then(|tls| tls.server_name.as_deref());
    if let Some(name) = name.filter(|name| ServerName::try_from(*name).is_err()) {
        let text = format!("\"{name}\" is neither a DNS name nor an address");
        problems.push(Problem::invalid(text).at(&format!("{path}.tls.serverName")));
    }
    problems
}

pub(super) fn client_credentials(
    namespace: &str,
    oauth2: &ClientCredentials,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let url = http_url(&oauth2.token_url).or_else(|| url_text(&oauth2.token_url, check_url));
    let url = url.map(|problem| problem.at(&format!("{path}.tokenUrl")));
    let mut problems: Vec<_> = url.into_iter().collect();
    let reference = &oauth2.secret_ref;
    let secret = references.secret_ref(namespace, reference);
    let secret = secret.and_then(|bytes| match std::str::from_utf8(&bytes) {
        Ok(text) if !text.trim().is_empty() => {
            references.keep(SecretDataId::of_secret_ref(namespace, reference), &bytes);
            Ok(())
        }
        _ => {
            let (name, key) = (&reference.name, &reference.key);
            let text = format!("key \"{key}\" of Secret {namespace}/{name} is not UTF-8 text");
            Err(Problem::unresolved(Reason::InvalidMaterial, text))
        }
    });
    if let Err(problem) = secret {
        problems.push(problem.at(&format!("{path}.secretRef")));
    }
    problems
}

/// What is wrong with an `http://` or `https://` URL.
fn http_url(text: &str) -> Option<Problem> {
    let what = match Url::parse(text) {
        Err(_) => "is not a URL",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            "must begin with http:// or https://"
        }
        // It would stand in logs.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            return Some(Problem::invalid(
                "the URL must not contain a user or password: use auth.basic with a secret value",
            ));
        }
        Ok(_) => return None,
    };
    Some(Problem::invalid(format!("\"{text}\" {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_requests() {
        for good in ["http://a", "https://a.example:8443/b?c=d", "http://[::1]/"] {
            assert_eq!(http_url(good), None, "{good}");
        }
        for bad in [
            "",
            "a",
            "ws://a",
            "https://",
            "file:///etc/passwd",
            "http://u:secret@a",
        ] {
            let problem = http_url(bad).expect(bad);
            assert!(!problem.message.contains("secret@"), "{problem:?}");
        }
    }
}
