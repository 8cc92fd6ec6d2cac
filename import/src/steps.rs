//! Translates a policy element to a step.

mod answer;
mod cache;
mod call;
mod certificate;
mod guard;
mod limit;
mod request;
mod tell;
mod token;

use roxmltree::Node;
use serde_json::{Map, Value, json};

use super::csharp::Unreadable;
use super::field::{content, known, optional, required, template};

type Result<T> = std::result::Result<T, Unreadable>;

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
    /// Remarks about parts that are left out.
    pub(super) remarks: Vec<String>,
}

impl Made {
    fn remark(&mut self, text: &str) {
        self.remarks.push(text.to_owned());
    }
}

impl From<Value> for Made {
    fn from(policy: Value) -> Self {
        Self {
            policies: vec![policy],
            remarks: Vec::new(),
        }
    }
}

/// Policies without a counterpart, and what to use instead.
const INSTEAD: [(&str, &str); 5] = [
    (
        "authentication-managed-identity",
        "managed identities are not supported: write backendAuth with oauth2ClientCredentials or \
         serviceAccountToken",
    ),
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
];

/// The steps of an element.
pub(super) fn step(node: Node<'_, '_>) -> Result<Made> {
    let name = node.tag_name().name();
    if let Some((_, text)) = INSTEAD.iter().find(|(there, _)| *there == name) {
        return no(*text);
    }
    match name {
        "send-request" => call::send_request(node),
        "send-one-way-request" => call::notify(node),
        "retry" => call::retry(node),
        "wait" => call::wait(node),
        "cache-lookup-value" => cache::lookup(node),
        "cache-store-value" => cache::store(node),
        "cache-remove-value" => cache::remove(node),
        "trace" => tell::trace(node),
        "emit-metric" => tell::emit_metric(node),
        _ => single(node).map(Made::from),
    }
}

/// Elements that become one step completely.
fn single(node: Node<'_, '_>) -> Result<Value> {
    match node.tag_name().name() {
        "set-header" => Ok(json!({"setHeader": request::edit(node)?})),
        "set-query-parameter" => Ok(json!({"setQueryParameter": request::edit(node)?})),
        "set-variable" => request::set_variable(node),
        "authentication-basic" => Ok(json!({"backendAuth": call::basic(node)?})),
        "return-response" => answer::return_response(node),
        "set-status" => answer::set_status(node),
        "check-header" => guard::check_header(node),
        "ip-filter" => guard::ip_filter(node),
        "validate-client-certificate" => certificate::validate_client_certificate(node),
        "quota" => limit::quota(node),
        "quota-by-key" => limit::quota_by_key(node),
        "rate-limit" => limit::rate_limit(node),
        "rate-limit-by-key" => limit::rate_limit_by_key(node),
        "validate-jwt" => token::validate_jwt(node),
        "validate-azure-ad-token" => token::validate_azure_ad_token(node),
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
fn templates(nodes: &[Node<'_, '_>], name: &str) -> Result<Vec<String>> {
    nodes
        .iter()
        .filter(|node| node.tag_name().name() == name)
        .map(|node| {
            known(*node, &[])?;
            template(&content(*node)?)
        })
        .collect()
}

fn some_list(found: Vec<String>) -> Option<Value> {
    (!found.is_empty()).then(|| json!(found))
}

fn text(node: Node<'_, '_>, name: &str) -> Result<Option<Value>> {
    let found = optional(node, name).map(|text| template(&text));
    Ok(found.transpose()?.map(Value::String))
}

fn plain_name(node: Node<'_, '_>) -> Result<String> {
    let name = required(node, "name")?;
    if name.starts_with('@') || name.contains("{{") {
        return no("a name with an expression is not translated");
    }
    Ok(name)
}
