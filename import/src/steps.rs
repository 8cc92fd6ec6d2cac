//! Translates a policy element to a step.

mod answer;
mod cache;
mod call;
mod certificate;
mod guard;
mod identity;
mod limit;
mod request;
mod tell;
mod token;

use serde_json::{Map, Value, json};

pub(super) use self::identity::{AUDIENCE, SECRET, auth, of_identity};

use super::csharp::Unreadable;
use super::field::Element;
use super::finding::Level;

type Result<T> = std::result::Result<T, Unreadable>;

/// The key of a step under which its comment is kept until it is printed.
pub(super) const COMMENT: &str = "#";

/// Fields of a step; those without a value are left out.
type Fields = Vec<(&'static str, Option<Value>)>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// The translation of an element.
#[derive(Debug)]
pub(super) struct Made {
    /// Policies as `{key: fields}`, some with a `when` of their own.
    pub(super) policies: Vec<Value>,
    /// Remarks about parts that are left out or must be completed.
    pub(super) remarks: Vec<(Level, String)>,
}

impl Made {
    /// No policy.
    pub(super) fn none() -> Self {
        Self {
            policies: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Adds what another translation has made.
    pub(super) fn extend(&mut self, other: Self) {
        self.policies.extend(other.policies);
        self.remarks.extend(other.remarks);
    }

    /// Something is different, without wider access.
    pub(super) fn remark(&mut self, text: &str) {
        self.remarks.push((Level::Warning, text.to_owned()));
    }

    /// Something must be completed. Until then the step refuses.
    pub(super) fn problem(&mut self, text: &str) {
        self.remarks.push((Level::Error, text.to_owned()));
    }
}

impl From<Value> for Made {
    fn from(policy: Value) -> Self {
        Self {
            policies: vec![policy],
            ..Self::none()
        }
    }
}

/// Limits of tokens count messages, which pass unread here.
const TOKENS: &str = "messages are not read here, so their tokens are not counted: quota with bandwidthKb \
     limits bytes, limitConnections limits tunnels";

/// Policies without a counterpart, and what to use instead.
const INSTEAD: [(&str, &str); 6] = [
    (
        "authentication-certificate",
        "put the certificate in a Secret and name it in backend.tls.clientCertificateRef",
    ),
    (
        "get-authorization-context",
        "stored authorizations are not supported: write backendAuth with oauth2ClientCredentials",
    ),
    ("proxy", "set backend.proxy of the WebSocketApi"),
    (
        "cache-value",
        "write it as cache-lookup-value, choose and cache-store-value",
    ),
    ("llm-token-limit", TOKENS),
    ("azure-openai-token-limit", TOKENS),
];

/// The steps of an element.
pub(super) fn step(node: Element<'_, '_>) -> Result<Made> {
    let name = node.name();
    if let Some((_, text)) = INSTEAD.iter().find(|(there, _)| *there == name) {
        return no(*text);
    }
    match name {
        "authentication-managed-identity" => identity::managed_identity(node),
        "send-request" => call::send_request(node),
        "send-one-way-request" => call::notify(node),
        "retry" => call::retry(node),
        "wait" => call::wait(node),
        "cache-lookup-value" => cache::lookup(node),
        "cache-store-value" => cache::store(node),
        "cache-remove-value" => cache::remove(node),
        "trace" => tell::trace(node),
        "emit-metric" => tell::emit_metric(node),
        "return-response" => answer::return_response(node),
        "set-header" => request::set_header(node),
        "validate-jwt" => token::validate_jwt(node),
        "validate-azure-ad-token" => token::validate_azure_ad_token(node),
        _ => single(node).map(Made::from),
    }
}

/// Elements that become one step completely.
fn single(node: Element<'_, '_>) -> Result<Value> {
    match node.name() {
        "set-query-parameter" => Ok(json!({"setQueryParameter": request::edit(node)?})),
        "set-variable" => request::set_variable(node),
        "authentication-basic" => Ok(json!({"backendAuth": call::basic(node)?})),
        "set-status" => answer::set_status(node),
        "check-header" => guard::check_header(node),
        "ip-filter" => guard::ip_filter(node),
        "validate-client-certificate" => certificate::validate_client_certificate(node),
        "quota" => limit::quota(node),
        "quota-by-key" => limit::quota_by_key(node),
        "rate-limit" => limit::rate_limit(node),
        "rate-limit-by-key" => limit::rate_limit_by_key(node),
        other => no(format!("{other} is not translated")),
    }
}

/// A step with these fields.
fn policy(name: &str, fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    json!({name: object(fields)})
}

/// Only the fields that have a value.
fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let present = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

/// The templates of all elements `name`.
fn templates(nodes: &[Element<'_, '_>], name: &str) -> Result<Vec<String>> {
    nodes
        .iter()
        .filter(|node| node.name() == name)
        .map(|node| {
            node.known(&[])?;
            node.template(&node.content()?)
        })
        .collect()
}

fn some_list(found: Vec<String>) -> Option<Value> {
    (!found.is_empty()).then(|| json!(found))
}

fn text(node: Element<'_, '_>, name: &str) -> Result<Option<Value>> {
    let found = node.optional(name).map(|text| node.template(&text));
    Ok(found.transpose()?.map(Value::String))
}

/// The attribute `name`.
fn plain_name(node: Element<'_, '_>) -> Result<String> {
    if node.required("name")?.starts_with('@') {
        return no("a name with an expression is not translated");
    }
    node.required_plain("name")
}
