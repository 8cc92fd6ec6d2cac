//! Policies that ask others over HTTP: sendRequest, sendRequests, notify,
//! externalAuth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HeaderValue, ServiceAccountToken};
use crate::backend::{HostName, TrustAnchorRef};
use crate::expression::HasExpressions;
use crate::{Duration, Expression, ExpressionKind, SecretKeyRef};

/// Method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are RFC 9110's")]
pub enum HttpMethod {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl HttpMethod {
    /// The method as it stands in a request, for example `GET`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// TLS to an `https://` URL. The certificate's chain and host name are verified unless
/// insecureSkipVerify is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestTls {
    /// Certificate authorities to trust instead of the system's, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8))]
    pub ca_refs: Vec<TrustAnchorRef>,
    /// Name that the certificate must have. Default: host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<HostName>,
    /// Whether any certificate is accepted. For tests only: anyone on the network path can then
    /// read and change everything. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}

/// User name and password, sent as `Authorization: Basic` (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicCredentials {
    /// Name of the user, without a colon, as a template.
    #[schemars(length(min = 1, max = 1024))]
    pub username: String,
    /// Password, as a template, for example `${values.password}` with a value from a Secret.
    #[schemars(length(max = 4096))]
    pub password: String,
}

/// Client certificate to present (mTLS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificateRef {
    /// Name of a kubernetes.io/tls Secret with the certificate and its key.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A token that an OAuth 2.0 server issues for client credentials (RFC 6749 §4.4), sent as
/// `Authorization: Bearer`.
///
/// Tokens are kept per gateway pod, renewed before they expire, and dropped after a 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.secretRef) != has(self.clientAssertion)",
    "message": "exactly one of secretRef and clientAssertion must be set",
}]))]
pub struct ClientCredentials {
    /// `http://` or `https://` URL of the token endpoint.
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = r"^https?://[^/?#\s]+[^#\s]*$")
    )]
    pub token_url: String,
    /// Id of the client.
    #[schemars(length(min = 1, max = 1024))]
    pub client_id: String,
    /// Secret of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Token that proves who the client is, instead of a secret (RFC 7523 §2.2): workload identity
    /// federation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_assertion: Option<ClientAssertion>,
    /// Scopes to ask for. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        extend("maxItems" = 16),
        inner(length(min = 1, max = 256), regex(pattern = r#"^[!#-\[\]-~]+$"#))
    )]
    pub scopes: Vec<String>,
}

/// What a client shows instead of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientAssertion {
    /// Token of the service account of the gateway's pods, which the token endpoint must trust.
    pub service_account_token: ServiceAccountToken,
}

/// Credentials of a request: exactly one of basic, clientCertificate, oauth2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.basic) ? 1 : 0) + (has(self.clientCertificate) ? 1 : 0) + (has(self.oauth2) ? 1 : 0) == 1",
    "message": "exactly one of basic, clientCertificate, oauth2 must be set",
}]))]
pub struct RequestAuth {
    /// User name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicCredentials>,
    /// Client certificate to present (mTLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificateRef>,
    /// Token that an OAuth 2.0 server issues for client credentials (RFC 6749 §4.4), sent as
    /// `Authorization: Bearer`. Each pod keeps it, renews it before it expires, and drops it after
    /// a 401.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<ClientCredentials>,
}

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Largest number of repetitions after the first try.
    #[schemars(range(min = 1, max = 50))]
    pub count: u32,
    /// Wait before the first repetition. Default: 1s.
    #[serde(default = "one_second")]
    pub interval: Duration,
    /// Longest wait. If set, each wait is twice as long as the one before, up to this. Default: all
    /// waits are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<Duration>,
    /// CEL condition, evaluated after each try, under which the request is repeated. It reads the
    /// answer as `vars.NAME`, which is null without an answer. Default: no answer, or status 408,
    /// 429, 502, 503 or 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
}

/// Keeps answers with a status from 200 to 299 for later handshakes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnswerCache {
    /// CEL expression for the key: handshakes with the same key share the answer of this step.
    #[schemars(length(min = 1, max = 4096))]
    pub key: String,
    /// How long an answer is kept, 1s to 24h.
    #[serde(rename = "for")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
        "message": "for must be between 1s and 24h",
    }]))]
    pub ttl: Duration,
}

/// Sends an HTTP request and keeps the answer as `vars.NAME`, with status, headers, text and json.
///
/// Redirects are not followed: they are answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendRequest {
    /// Name of the variable that gets the answer.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub variable: String,
    /// Method of the request: GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Default: GET.
    #[serde(default)]
    pub method: HttpMethod,
    /// `http://` or `https://` URL, as a template.
    #[schemars(length(min = 1, max = 4096))]
    pub url: String,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub headers: Vec<HeaderValue>,
    /// Body of the request, as a template. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub body: Option<String>,
    /// How long each try may take, from the connection to the end of the answer, up to 5m. Default:
    /// 10s.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) > duration('0s') && duration(self) <= duration('5m')",
        "message": "timeout must be above 0s and at most 5m",
    }]))]
    pub timeout: Duration,
    /// Whether the handshake goes on without an answer, with the variable null. If false, it is
    /// refused. Default: false.
    #[serde(default)]
    pub ignore_error: bool,
    /// When the request is sent again. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Keeps the answer for later handshakes. Default: it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<AnswerCache>,
    /// TLS to an `https://` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RequestTls>,
    /// Credentials of the request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<RequestAuth>,
}

/// When a step with several requests goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WaitFor {
    /// When all requests are answered.
    #[default]
    All,
    /// When the first one is answered; the others are cancelled.
    Any,
}

/// Sends several HTTP requests at the same time and keeps the answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendRequests {
    /// Requests to send, 1 to 8, each with a variable of its own.
    #[schemars(extend("minItems" = 1, "maxItems" = 8))]
    pub requests: Vec<SendRequest>,
    /// Whether the step waits for All answers or for the first (Any), which cancels the other
    /// requests. Default: All.
    #[serde(default)]
    pub wait_for: WaitFor,
}

/// Sends an HTTP request and goes on at once. The answer is ignored, and so is a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notify {
    /// Method of the request: GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Default: POST.
    #[serde(default = "post")]
    pub method: HttpMethod,
    /// `http://` or `https://` URL, as a template.
    #[schemars(length(min = 1, max = 4096))]
    pub url: String,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub headers: Vec<HeaderValue>,
    /// Body of the request, as a template. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub body: Option<String>,
    /// How long the request may take, from the connection to the end of the answer, up to 5m.
    /// Default: 10s.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) > duration('0s') && duration(self) <= duration('5m')",
        "message": "timeout must be above 0s and at most 5m",
    }]))]
    pub timeout: Duration,
    /// TLS to an `https://` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RequestTls>,
    /// Credentials of the request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<RequestAuth>,
}

/// Asks a server whether to admit the client: with a status from 200 to 299 it is admitted, with
/// any other it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalAuth {
    /// `http://` or `https://` URL of the server, as a template.
    #[schemars(length(min = 1, max = 4096))]
    pub url: String,
    /// Method of the request: GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Default: GET.
    #[serde(default)]
    pub method: HttpMethod,
    /// Headers of the client's request that the server gets. Default: Authorization.
    #[serde(default = "authorization")]
    #[schemars(
        extend("maxItems" = 16),
        inner(
            length(min = 1, max = 256),
            regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
        )
    )]
    pub send_headers: Vec<String>,
    /// How long the request may take, from the connection to the end of the answer, up to 5m.
    /// Default: 10s.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) > duration('0s') && duration(self) <= duration('5m')",
        "message": "timeout must be above 0s and at most 5m",
    }]))]
    pub timeout: Duration,
    /// How long an answer with status 2xx, 401 or 403 is kept for clients with the same URL and
    /// headers, 1s to 24h. Default: it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
        "message": "cacheFor must be between 1s and 24h",
    }]))]
    pub cache_for: Option<Duration>,
    /// Headers of the answer that replace the client's in the request that the backend gets.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        extend("maxItems" = 16),
        inner(
            length(min = 1, max = 256),
            regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
        )
    )]
    pub copy_headers: Vec<String>,
    /// TLS to an `https://` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RequestTls>,
}

/// What every policy that sends a request says about it.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are those of the policies")]
pub struct OutgoingRequest<'a> {
    pub method: HttpMethod,
    pub url: &'a str,
    pub headers: &'a [HeaderValue],
    pub body: Option<&'a String>,
    pub timeout: Duration,
    pub tls: Option<&'a RequestTls>,
    pub auth: Option<&'a RequestAuth>,
}

impl SendRequest {
    /// The request itself, without variable, retry and cache.
    pub fn outgoing(&self) -> OutgoingRequest<'_> {
        OutgoingRequest {
            method: self.method,
            url: &self.url,
            headers: &self.headers,
            body: self.body.as_ref(),
            timeout: self.timeout,
            tls: self.tls.as_ref(),
            auth: self.auth.as_ref(),
        }
    }

    /// With the place of the step in each field.
    pub(crate) fn expressions_at(&self, at: &str) -> Vec<Expression<'_>> {
        let mut found = self.outgoing().expressions(at);
        if let Some(when) = self.retry.as_ref().and_then(|retry| retry.when.as_ref()) {
            let field = format!("{at}.retry.when");
            found.push(Expression::new(field, ExpressionKind::Condition, when));
        }
        if let Some(cache) = &self.cache {
            let field = format!("{at}.cache.key");
            found.push(Expression::new(field, ExpressionKind::Value, &cache.key));
        }
        found
    }
}

impl HasExpressions for SendRequest {
    fn expressions(&self) -> Vec<Expression<'_>> {
        self.expressions_at("sendRequest")
    }
}

impl HasExpressions for SendRequests {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let requests = self.requests.iter().enumerate();
        requests
            .flat_map(|(i, request)| request.expressions_at(&format!("sendRequests.requests[{i}]")))
            .collect()
    }
}

impl ExternalAuth {
    /// The request itself, without the client's headers.
    pub fn outgoing(&self) -> OutgoingRequest<'_> {
        OutgoingRequest {
            method: self.method,
            url: &self.url,
            headers: &[],
            body: None,
            timeout: self.timeout,
            tls: self.tls.as_ref(),
            auth: None,
        }
    }
}

impl HasExpressions for ExternalAuth {
    fn expressions(&self) -> Vec<Expression<'_>> {
        self.outgoing().expressions("externalAuth")
    }
}

impl Notify {
    /// The request itself.
    pub fn outgoing(&self) -> OutgoingRequest<'_> {
        OutgoingRequest {
            method: self.method,
            url: &self.url,
            headers: &self.headers,
            body: self.body.as_ref(),
            timeout: self.timeout,
            tls: self.tls.as_ref(),
            auth: self.auth.as_ref(),
        }
    }
}

impl HasExpressions for Notify {
    fn expressions(&self) -> Vec<Expression<'_>> {
        self.outgoing().expressions("notify")
    }
}

impl<'a> OutgoingRequest<'a> {
    fn expressions(&self, at: &str) -> Vec<Expression<'a>> {
        let template = |field: String, text: &'a String| {
            Expression::new(format!("{at}.{field}"), ExpressionKind::Template, text)
        };
        let mut found = vec![Expression::new(
            format!("{at}.url"),
            ExpressionKind::Template,
            self.url,
        )];
        for (i, header) in self.headers.iter().enumerate() {
            found.push(template(format!("headers[{i}].value"), &header.value));
        }
        found.extend(self.body.map(|body| template("body".to_owned(), body)));
        if let Some(basic) = self.auth.and_then(|auth| auth.basic.as_ref()) {
            found.push(template("auth.basic.username".to_owned(), &basic.username));
            found.push(template("auth.basic.password".to_owned(), &basic.password));
        }
        found
    }
}

fn authorization() -> Vec<String> {
    vec!["Authorization".to_owned()]
}

fn post() -> HttpMethod {
    HttpMethod::Post
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}
