//! What policies that send requests have in common: compiling one, rendering it, sending it.

mod answer;
mod retry;
mod shared;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rustls::ClientConfig;
use sha2::{Digest, Sha256};
use tidegate_config::policy::{self, OutgoingRequest};
use tidegate_config::{BackendTls, SecretDataId};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Text, expression_failed};
use super::set_header::header_value;
use super::url_text::UrlText;
use crate::credentials::aws::Sts;
use crate::credentials::renewed::Source;
use crate::credentials::token_source::{Client, Grant, Proof, TokenSource};
use crate::exchange::Exchange;
use crate::exchange::hop;
use crate::http_client::{Call, CallError, Caller, shown_url};
use crate::refusal::{Origin, Reason, Refusal};
use tidegate_config::error_chain;

pub(super) use answer::Answer;
pub(super) use retry::Retry;
pub(crate) use shared::Calls;
pub(super) use shared::{AnswerKey, Answers, KeptAnswer};

/// Largest request: URL, headers and body together, as large as the largest text.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Concurrent requests of one step: a server that hangs delays only the handshakes that need it, and does not
/// use up descriptors and memory.
const MAX_CONCURRENT: usize = 256;

/// A request, compiled.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    url: UrlText,
    headers: Vec<(HeaderName, Text)>,
    body: Option<Text>,
    timeout: Duration,
    auth: Auth,
    caller: Arc<Caller>,
    permits: Semaphore,
}

/// How it proves who sends it, beyond TLS.
#[derive(Debug)]
enum Auth {
    None,
    Basic { username: Text, password: Text },
    Token(Arc<TokenSource>),
}

impl Request {
    /// `at` is the field of the request below its step.
    pub(super) fn compile(
        outgoing: OutgoingRequest<'_>,
        at: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let certificate = outgoing
            .auth
            .and_then(|auth| auth.client_certificate.as_ref());
        let certificate = certificate.map(|certificate| certificate.name.as_str());
        let caller = caller(outgoing.tls, certificate, at, compiler)?;
        let mut headers = Vec::with_capacity(outgoing.headers.len());
        for (i, header) in outgoing.headers.iter().enumerate() {
            let field = format!("{at}.headers[{i}]");
            let name = compiler.free_header(&format!("{field}.name"), &header.name)?;
            let value = compiler.text(&format!("{field}.value"), &header.value)?;
            headers.push((name, value));
        }
        let method = Method::from_bytes(outgoing.method.as_str().as_bytes());
        let method = method.map_err(|error| compiler.invalid(at, error_chain(&error)))?;
        Ok(Self {
            method,
            url: UrlText::url(&format!("{at}.url"), outgoing.url, compiler)?,
            headers,
            body: compiler.optional_text(&format!("{at}.body"), outgoing.body)?,
            timeout: outgoing.timeout.get(),
            auth: auth(outgoing, at, (&caller, compiler))?,
            caller,
            permits: Semaphore::new(MAX_CONCURRENT),
        })
    }

    /// The request for this exchange.
    pub(super) fn render(&self, exchange: &mut Exchange) -> Result<Call, Refusal> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        if let Auth::Basic { username, password } = &self.auth {
            headers.insert(AUTHORIZATION, basic(username, password, exchange)?);
        }
        for (name, text) in &self.headers {
            let value = header_value(name, &text.render(exchange)?)?;
            headers.append(name.clone(), value);
        }
        let body = self.body.as_ref().map(|body| body.render(exchange));
        let body = body.transpose()?.map_or_else(Bytes::new, |text| {
            Bytes::from(text.into_owned().into_bytes())
        });
        if body.is_empty() && expects_content(&self.method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let call = Call {
            method: self.method.clone(),
            url: url(&self.url.render(exchange)?)?,
            headers,
            via: hop::chain(&exchange.upstream.headers),
            body,
            timeout: self.timeout,
        };
        if call.size() > MAX_REQUEST_BYTES {
            let problem = format!("the request has more than {MAX_REQUEST_BYTES} bytes");
            return Err(expression_failed(problem));
        }
        Ok(call)
    }

    /// Sends it; waits for a permit within its own timeout.
    pub(super) async fn send(&self, mut call: Call) -> Result<Arc<Answer>, CallError> {
        let deadline = Instant::now() + self.timeout;
        let late = |_| CallError::Timeout(self.timeout);
        let permit = timeout_at(deadline, self.permits.acquire()).await;
        // The semaphore is never closed.
        let _permit = permit.map_err(late)?.map_err(|_| CallError::Cancelled)?;
        let token = match &self.auth {
            Auth::Token(source) => {
                let token = timeout_at(deadline, source.token()).await.map_err(late)??;
                call.headers.insert(AUTHORIZATION, token.header());
                Some((source, token))
            }
            Auth::None | Auth::Basic { .. } => None,
        };
        call.timeout = deadline.saturating_duration_since(Instant::now());
        let shown = shown_url(&call.url);
        let answered = self.caller.ask(call, Answer::read).await;
        match &answered {
            Ok(answer) if answer.status == 401 => {
                if let Some((source, token)) = token {
                    source.discard(&token);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(url = shown, error = error_chain(error), "no answer"),
        }
        answered.map(Arc::new).map_err(|error| match error {
            // What was left is not what was configured.
            CallError::Timeout(_) => CallError::Timeout(self.timeout),
            other => other,
        })
    }
}

/// User and password as a header (RFC 7617 §2).
pub(super) fn basic(
    username: &Text,
    password: &Text,
    exchange: &mut Exchange,
) -> Result<HeaderValue, Refusal> {
    let pair = format!(
        "{}:{}",
        username.render(exchange)?,
        password.render(exchange)?
    );
    let credentials = STANDARD.encode(pair);
    exchange.add_secret(&credentials);
    let mut value = header_value(&AUTHORIZATION, &format!("Basic {credentials}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Servers may insist on a length for these, also where it is 0 (RFC 9110 §8.6).
fn expects_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// Why a handshake ends whose request got no answer.
pub(super) fn failed(place: &str, error: &CallError) -> Refusal {
    let (status, reason, message) = if error.is_timeout() {
        (
            504,
            Reason::RequestTimeout,
            "A request of a policy timed out",
        )
    } else {
        (502, Reason::RequestFailed, "A request of a policy failed")
    };
    let detail = format!("{place}: {}", error_chain(error));
    Refusal::new(status, reason, Origin::Policy, message).detail(detail)
}

/// Where the answers are kept of the object whose policies are compiled.
pub(super) fn answers(compiler: &Compiler<'_>) -> Arc<Answers> {
    let calls = &compiler.context.services.calls;
    calls.answers.of(compiler.context.namespace)
}

/// An absolute URL without user: that would stand in logs.
fn url(text: &str) -> Result<Url, Refusal> {
    let problem = match Url::parse(text) {
        Err(error) => error.to_string(),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            "it must begin with http:// or https://".to_owned()
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "it must not contain a user or password".to_owned()
        }
        Ok(url) => return Ok(url),
    };
    Err(expression_failed(format!(
        "the URL is not usable: {problem}"
    )))
}

/// One with the TLS settings and the certificate of the request; equal ones share connections.
pub(super) fn caller(
    tls: Option<&policy::RequestTls>,
    certificate: Option<&str>,
    at: &str,
    compiler: &Compiler<'_>,
) -> Result<Arc<Caller>, InvalidPolicy> {
    let (id, config) = tls_settings(tls, certificate, at, compiler)?;
    let callers = &compiler.context.services.calls.callers;
    let caller = callers.with(id, &config);
    caller.map_err(|error| compiler.invalid(at, error_chain(&error)))
}

/// TLS settings, and what equal ones hash to.
pub(super) fn tls_settings(
    tls: Option<&policy::RequestTls>,
    certificate: Option<&str>,
    at: &str,
    compiler: &Compiler<'_>,
) -> Result<([u8; 32], Arc<ClientConfig>), InvalidPolicy> {
    let namespace = compiler.context.namespace;
    let secret_data = compiler.context.secret_data;
    let calls = &compiler.context.services.calls;
    let tls = BackendTls {
        ca_refs: tls.map(|tls| tls.ca_refs.clone()).unwrap_or_default(),
        server_name: tls.and_then(|tls| tls.server_name.clone()),
        client_certificate_ref: certificate.map(str::to_owned),
        insecure_skip_verify: tls.is_some_and(|tls| tls.insecure_skip_verify),
    };
    let mut id = Sha256::new();
    let mut add = |bytes: &[u8]| {
        id.update(bytes.len().to_be_bytes());
        id.update(bytes);
    };
    add(&[u8::from(tls.insecure_skip_verify)]);
    add(tls.server_name.as_deref().unwrap_or_default().as_bytes());
    let anchors = tls.ca_refs.iter();
    let anchors = anchors.map(|anchor| SecretDataId::of_trust_anchor(namespace, anchor));
    let pair = tls.client_certificate_ref.iter().flat_map(|name| {
        ["tls.crt", "tls.key"].map(|key| SecretDataId::secret(namespace, name, key))
    });
    for piece in anchors.chain(pair) {
        add(piece.as_str().as_bytes());
        add(secret_data.get(&piece).unwrap_or_default());
    }
    let compiled = calls.tls.compile_named(&tls, namespace, secret_data);
    let compiled =
        compiled.map_err(|error| compiler.invalid(&format!("{at}.tls"), error_chain(&error)))?;
    Ok((id.finalize().into(), compiled))
}

fn auth(
    outgoing: OutgoingRequest<'_>,
    at: &str,
    (caller, compiler): (&Arc<Caller>, &Compiler<'_>),
) -> Result<Auth, InvalidPolicy> {
    let Some(auth) = outgoing.auth else {
        return Ok(Auth::None);
    };
    if let Some(basic) = &auth.basic {
        return Ok(Auth::Basic {
            username: compiler.text(&format!("{at}.auth.basic.username"), &basic.username)?,
            password: compiler.text(&format!("{at}.auth.basic.password"), &basic.password)?,
        });
    }
    let Some(oauth2) = &auth.oauth2 else {
        return Ok(Auth::None);
    };
    let source = token_source(oauth2, &format!("{at}.auth.oauth2"), (caller, compiler))?;
    Ok(Auth::Token(source))
}

/// The tokens of a client, shared by all steps of a namespace that name the same.
pub(super) fn token_source(
    oauth2: &policy::ClientCredentials,
    at: &str,
    (caller, compiler): (&Arc<Caller>, &Compiler<'_>),
) -> Result<Arc<TokenSource>, InvalidPolicy> {
    let client = Client {
        url: token_url(&oauth2.token_url, at, compiler)?,
        grant: Grant::ClientCredentials {
            id: oauth2.client_id.clone(),
            proof: proof(oauth2, at, compiler)?,
        },
        scope: oauth2.scopes.join(" "),
    };
    let tokens = &compiler.context.services.calls.tokens;
    Ok(tokens.of(client, caller))
}

/// The tokens for which the service account's is exchanged, shared like those of a client.
pub(super) fn exchange_source(
    exchange: &policy::TokenExchange,
    at: &str,
    (caller, compiler): (&Arc<Caller>, &Compiler<'_>),
) -> Result<Arc<TokenSource>, InvalidPolicy> {
    let tokens = &compiler.context.services.calls.tokens;
    let subject = &exchange.subject_token.service_account_token.audience;
    let client = Client {
        url: token_url(&exchange.token_url, at, compiler)?,
        grant: Grant::TokenExchange {
            audience: exchange.audience.clone(),
            subject: tokens.account_token(subject),
        },
        scope: exchange.scopes.join(" "),
    };
    Ok(tokens.of(client, caller))
}

/// The keys of a role of AWS, shared by all steps with the same role.
pub(super) fn role_keys(
    aws: &policy::AwsSigV4,
    (caller, compiler): (Arc<Caller>, &Compiler<'_>),
) -> Result<Arc<Source<Sts>>, InvalidPolicy> {
    let calls = &compiler.context.services.calls;
    let url = Url::parse(&aws.sts_url());
    let url =
        url.map_err(|error| compiler.invalid("backendAuth.awsSigV4.stsUrl", error.to_string()))?;
    let audience = &aws.web_identity_token.service_account_token.audience;
    Ok(calls.roles.of(Sts {
        url,
        role: aws.role_arn.clone(),
        session: aws.session_name.clone(),
        duration: aws.session_duration.get(),
        account: calls.tokens.account_token(audience),
        caller,
    }))
}

fn token_url(url: &str, at: &str, compiler: &Compiler<'_>) -> Result<Url, InvalidPolicy> {
    let parsed = Url::parse(url);
    parsed.map_err(|error| compiler.invalid(&format!("{at}.tokenUrl"), error.to_string()))
}

/// How a client proves who it is.
fn proof(
    oauth2: &policy::ClientCredentials,
    at: &str,
    compiler: &Compiler<'_>,
) -> Result<Proof, InvalidPolicy> {
    let reference = match (&oauth2.secret_ref, &oauth2.client_assertion) {
        (Some(reference), None) => reference,
        (None, Some(assertion)) => {
            let audience = &assertion.service_account_token.audience;
            let tokens = &compiler.context.services.calls.tokens;
            return Ok(Proof::Assertion(tokens.account_token(audience)));
        }
        _ => {
            let problem = "exactly one of secretRef and clientAssertion must be set";
            return Err(compiler.invalid(at, problem));
        }
    };
    let id = SecretDataId::of_secret_ref(compiler.context.namespace, reference);
    let secret = compiler.context.secret_data.get(&id).ok_or_else(|| {
        let problem = format!("the Secret {} has no key {}", reference.name, reference.key);
        compiler.invalid(&format!("{at}.secretRef"), problem)
    })?;
    let secret = String::from_utf8_lossy(secret).trim().to_owned();
    Ok(Proof::Secret(secret))
}
