//! How often: rate limits.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::cel::identifier;
use super::super::field::{condition, elements, known, number, optional, required, value};
use super::{Fields, Result, no, policy};

/// What both rate limits have.
const SHARED: [&str; 7] = [
    "calls",
    "renewal-period",
    "retry-after-header-name",
    "retry-after-variable-name",
    "remaining-calls-header-name",
    "remaining-calls-variable-name",
    "total-calls-header-name",
];

pub(super) fn rate_limit(node: Node<'_, '_>) -> Result<Value> {
    known(node, &SHARED)?;
    elements(node, &[])?;
    Ok(policy("rateLimit", shared(node)?))
}

pub(super) fn rate_limit_by_key(node: Node<'_, '_>) -> Result<Value> {
    let own = ["counter-key", "increment-condition", "increment-count"];
    known(node, &[&SHARED[..], &own].concat())?;
    elements(node, &[])?;
    let when = optional(node, "increment-condition").map(|text| condition(&text));
    let by = number(node, "increment-count")?.map(|by| json!(by.to_string()));
    let mut fields = shared(node)?;
    fields.extend([
        ("key", Some(json!(value(&required(node, "counter-key")?)?))),
        ("incrementWhen", when.transpose()?.map(Value::String)),
        ("incrementBy", by),
    ]);
    Ok(policy("rateLimitByKey", fields))
}

fn shared(node: Node<'_, '_>) -> Result<Fields> {
    let header = |name| optional(node, name).map(Value::String);
    let variable = |name| {
        let found = optional(node, name).map(|name| identifier(&name));
        Ok(found.transpose()?.map(Value::String))
    };
    let (Some(calls), Some(period)) = (number(node, "calls")?, number(node, "renewal-period")?)
    else {
        return no("calls and renewal-period must be there");
    };
    Ok(vec![
        ("calls", Some(json!(calls))),
        ("period", Some(json!(format!("{period}s")))),
        ("retryAfterHeader", header("retry-after-header-name")),
        ("retryAfterVariable", variable("retry-after-variable-name")?),
        ("remainingHeader", header("remaining-calls-header-name")),
        (
            "remainingVariable",
            variable("remaining-calls-variable-name")?,
        ),
        ("totalHeader", header("total-calls-header-name")),
    ])
}
