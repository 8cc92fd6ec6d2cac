//! Requests of policies: are their URLs, headers and secrets usable?

use rustls_pki_types::ServerName;
use tidegate_api::Reason;
use tidegate_config::policy::{
    ClientCredentials, OutgoingRequest, RequestAuth, RequestTls, SendRequest,
};
use tidegate_config::{SecretDataId, SecretKeyRef, check_url};
use url::Url;

use super::check::StepContext;
use super::header::restricted;
use super::url_template::check_author;
use crate::certificates::{key_pair, key_pair_ids, trust_anchor};
use crate::problem::Problem;
use crate::references::References;

/// What is wrong with a request at `path`.
pub(super) fn check(
    request: OutgoingRequest<'_>,
    path: &str,
    step: &mut StepContext<'_, '_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let unsafe_url = || check_author(request.url, check_url);
    let url = match request.url.contains("${") {
        true => unsafe_url(),
        false => http_url(request.url).or_else(unsafe_url),
    };
    problems.extend(url.map(|problem| problem.at(&format!("{path}.url"))));
    for (i, header) in request.headers.iter().enumerate() {
        let field = format!("{path}.headers[{i}].name");
        problems.extend(restricted(&header.name, &field));
    }
    problems.extend(self::tls(request.tls, path, step));
    if let Some(auth) = request.auth {
        problems.extend(self::auth(auth, &format!("{path}.auth"), step));
    }
    problems
}

/// What a request shows of itself.
fn auth(auth: &RequestAuth, path: &str, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(certificate) = &auth.client_certificate
        && let Err(problem) = key_pair(step.namespace, &certificate.name, step.references)
    {
        problems.push(problem.at(&format!("{path}.clientCertificate")));
    }
    if let Some(oauth2) = &auth.oauth2 {
        problems.extend(client_credentials(oauth2, &format!("{path}.oauth2"), step));
    }
    problems
}

/// A request whose answer is kept, and the waits of its retry.
pub(super) fn sent(
    request: &SendRequest,
    path: &str,
    step: &mut StepContext<'_, '_>,
) -> Vec<Problem> {
    let mut problems = check(request.outgoing(), path, step);
    problems.extend(request.retry.as_ref().and_then(|retry| {
        let longest = retry.max_interval?;
        let text = "maxInterval must not be shorter than interval";
        (longest < retry.interval).then(|| Problem::invalid(text).at(&format!("{path}.retry")))
    }));
    problems
}

/// Whom a request trusts.
pub(super) fn tls(
    tls: Option<&RequestTls>,
    path: &str,
    step: &mut StepContext<'_, '_>,
) -> Vec<Problem> {
    let anchors = tls.into_iter().flat_map(|tls| &tls.ca_refs).enumerate();
    let problem = |(i, anchor)| {
        let problem = trust_anchor(step.namespace, anchor, step.references).err()?;
        Some(problem.at(&format!("{path}.tls.caRefs[{i}]")))
    };
    let mut problems: Vec<_> = anchors.filter_map(problem).collect();
    let name = tls.and_then(|tls| tls.server_name.as_deref());
    if let Some(name) = name.filter(|name| ServerName::try_from(*name).is_err()) {
        let text = format!("\"{name}\" is neither a DNS name nor an IP address");
        problems.push(Problem::invalid(text).at(&format!("{path}.tls.serverName")));
    }
    problems
}

pub(super) fn client_credentials(
    oauth2: &ClientCredentials,
    path: &str,
    step: &mut StepContext<'_, '_>,
) -> Vec<Problem> {
    let StepContext {
        namespace,
        references,
        ..
    } = step;
    let url = token_url(&oauth2.token_url).map(|problem| problem.at(&format!("{path}.tokenUrl")));
    let mut problems: Vec<_> = url.into_iter().collect();
    match (&oauth2.secret_ref, &oauth2.client_assertion) {
        (Some(reference), None) => {
            let checked = client_secret(namespace, reference, references);
            let at = format!("{path}.secretRef");
            problems.extend(checked.err().map(|problem| problem.at(&at)));
        }
        // Whether there is such a token is for each Gateway to say.
        (None, Some(_)) => {}
        _ => {
            let text = "exactly one of secretRef and clientAssertion must be set";
            problems.push(Problem::invalid(text).at(path));
        }
    }
    problems
}

/// What is wrong with the URL of a token endpoint.
pub(super) fn token_url(url: &str) -> Option<Problem> {
    http_url(url).or_else(|| check_author(url, check_url))
}

fn client_secret(
    namespace: &str,
    reference: &SecretKeyRef,
    references: &mut References<'_>,
) -> Result<(), Problem> {
    let bytes = references.secret_ref(namespace, reference)?;
    if std::str::from_utf8(&bytes).is_ok_and(|text| !text.trim().is_empty()) {
        references.keep(SecretDataId::of_secret_ref(namespace, reference), &bytes);
        return Ok(());
    }
    let (name, key) = (&reference.name, &reference.key);
    let text = format!("key \"{key}\" of Secret {namespace}/{name} is not UTF-8 text");
    Err(Problem::unresolved(Reason::InvalidMaterial, text))
}

/// Ids of the trust anchors of a request.
pub(super) fn trust_anchors<'a>(
    namespace: &'a str,
    tls: Option<&'a RequestTls>,
) -> impl Iterator<Item = SecretDataId> + 'a {
    let anchors = tls.into_iter().flat_map(|tls| &tls.ca_refs);
    anchors.map(|anchor| SecretDataId::of_trust_anchor(namespace, anchor))
}

/// The secret data of a request.
pub(super) fn secret_data(namespace: &str, request: OutgoingRequest<'_>) -> Vec<SecretDataId> {
    let mut ids: Vec<_> = trust_anchors(namespace, request.tls).collect();
    let Some(auth) = request.auth else {
        return ids;
    };
    if let Some(certificate) = &auth.client_certificate {
        let (chain, key) = key_pair_ids(namespace, &certificate.name);
        ids.extend([chain, key]);
    }
    let secret = auth.oauth2.as_ref();
    let secret = secret.and_then(|oauth2| oauth2.secret_ref.as_ref());
    ids.extend(secret.map(|reference| SecretDataId::of_secret_ref(namespace, reference)));
    ids
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
