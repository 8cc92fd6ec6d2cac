//! One policy element to one step.

mod answer;
mod certificate;
mod guard;
mod limit;
mod request;
mod token;

use roxmltree::Node;
use serde_json::{Map, Value, json};

use super::csharp::Unreadable;
use super::field::{content, known, optional, required, template};
use super::policy::Context;

type Result<T> = std::result::Result<T, Unreadable>;

/// Fields of a step; those without a value are left out.
type Fields = Vec<(&'static str, Option<Value>)>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// The step's policy, as `{key: fields}`.
pub(super) fn step(node: Node<'_, '_>, context: &Context) -> Result<Value> {
    match node.tag_name().name() {
        "set-header" => Ok(json!({"setHeader": request::edit(node)?})),
        "set-query-parameter" => Ok(json!({"setQueryParameter": request::edit(node)?})),
        "set-variable" => request::set_variable(node),
        "set-backend-service" => request::set_backend(node, context),
        "authentication-basic" => request::authentication_basic(node),
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
        return no("a name that is made by an expression is not translated");
    }
    Ok(name)
}
