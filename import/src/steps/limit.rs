//! Rate limits and quotas.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::cel::identifier;
use super::super::field::{condition, elements, known, number, optional, required, value};
use super::{Fields, Result, no, policy};

/// Fields of both rate limits.
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
    let mut fields = shared(node)?;
    fields.extend(by_key(node)?);
    Ok(policy("rateLimitByKey", fields))
}

/// Key and limit.
fn by_key(node: Node<'_, '_>) -> Result<Fields> {
    let when = optional(node, "increment-condition").map(|text| condition(&text));
    let by = number(node, "increment-count")?.map(|by| json!(by.to_string()));
    Ok(vec![
        ("key", Some(json!(value(&required(node, "counter-key")?)?))),
        ("incrementWhen", when.transpose()?.map(Value::String)),
        ("incrementBy", by),
    ])
}

fn shared(node: Node<'_, '_>) -> Result<Fields> {
    let header = |name| optional(node, name).map(Value::String);
    let variable = |name| {
        let found = optional(node, name).map(|name| identifier(&name));
        Ok(found.transpose()?.map(Value::String))
    };
    let (Some(calls), Some(period)) = (number(node, "calls")?, number(node, "renewal-period")?)
    else {
        return no("calls and renewal-period are required");
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

/// Fields of both quotas.
const QUOTA: [&str; 3] = ["calls", "bandwidth", "renewal-period"];

/// In API Management, periods begin with the subscription; in Tidegate, at a fixed time.
pub(super) fn quota(node: Node<'_, '_>) -> Result<Value> {
    known(node, &QUOTA)?;
    elements(node, &[])?;
    Ok(policy("quota", quota_fields(node)?))
}

pub(super) fn quota_by_key(node: Node<'_, '_>) -> Result<Value> {
    let own = [
        "counter-key",
        "increment-condition",
        "increment-count",
        "first-period-start",
    ];
    known(node, &[&QUOTA[..], &own].concat())?;
    elements(node, &[])?;
    let mut fields = quota_fields(node)?;
    fields.extend(by_key(node)?);
    let start = optional(node, "first-period-start").map(Value::String);
    fields.push(("firstPeriodStart", start));
    Ok(policy("quotaByKey", fields))
}

fn quota_fields(node: Node<'_, '_>) -> Result<Fields> {
    let Some(period) = number(node, "renewal-period")? else {
        return no("renewal-period is required");
    };
    let period = match period {
        0 => "0".to_owned(),
        seconds => format!("{seconds}s"),
    };
    Ok(vec![
        ("calls", number(node, "calls")?.map(Value::from)),
        ("bandwidthKb", number(node, "bandwidth")?.map(Value::from)),
        ("period", Some(json!(period))),
    ])
}
