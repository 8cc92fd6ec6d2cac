//! Rate limits and quotas.

use serde_json::{Value, json};

use super::super::field::Element;
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

pub(super) fn rate_limit(node: Element<'_, '_>) -> Result<Value> {
    node.known(&SHARED)?;
    node.elements(&[])?;
    Ok(policy("rateLimit", shared(node)?))
}

pub(super) fn rate_limit_by_key(node: Element<'_, '_>) -> Result<Value> {
    let own = ["counter-key", "increment-condition", "increment-count"];
    node.known(&[&SHARED[..], &own].concat())?;
    node.elements(&[])?;
    let mut fields = shared(node)?;
    fields.extend(by_key(node)?);
    Ok(policy("rateLimitByKey", fields))
}

/// Key and limit.
fn by_key(node: Element<'_, '_>) -> Result<Fields> {
    let when = node
        .optional("increment-condition")
        .map(|text| node.condition(&text));
    let by = node
        .number("increment-count")?
        .map(|by| json!(by.to_string()));
    Ok(vec![
        (
            "key",
            Some(json!(node.key(&node.required("counter-key")?)?)),
        ),
        (
            "incrementWhen",
            when.transpose()?.map(|when| json!(when.text)),
        ),
        ("incrementBy", by),
    ])
}

fn shared(node: Element<'_, '_>) -> Result<Fields> {
    let header = |name| Ok(node.plain(name)?.map(Value::String));
    let variable = |name| {
        let found = node.plain(name)?.map(|name| node.service.variable(&name));
        Ok(found.transpose()?.map(Value::String))
    };
    let (Some(calls), Some(period)) = (node.number("calls")?, node.number("renewal-period")?)
    else {
        return no("calls and renewal-period are required");
    };
    Ok(vec![
        ("calls", Some(json!(calls))),
        ("period", Some(json!(format!("{period}s")))),
        ("retryAfterHeader", header("retry-after-header-name")?),
        ("retryAfterVariable", variable("retry-after-variable-name")?),
        ("remainingHeader", header("remaining-calls-header-name")?),
        (
            "remainingVariable",
            variable("remaining-calls-variable-name")?,
        ),
        ("totalHeader", header("total-calls-header-name")?),
    ])
}

/// Fields of both quotas.
const QUOTA: [&str; 3] = ["calls", "bandwidth", "renewal-period"];

/// In API Management, periods begin with the subscription; in Tidegate, at a fixed time.
pub(super) fn quota(node: Element<'_, '_>) -> Result<Value> {
    node.known(&QUOTA)?;
    node.elements(&[])?;
    Ok(policy("quota", quota_fields(node)?))
}

pub(super) fn quota_by_key(node: Element<'_, '_>) -> Result<Value> {
    let own = [
        "counter-key",
        "increment-condition",
        "increment-count",
        "first-period-start",
    ];
    node.known(&[&QUOTA[..], &own].concat())?;
    node.elements(&[])?;
    let mut fields = quota_fields(node)?;
    fields.extend(by_key(node)?);
    let start = node.plain("first-period-start")?.map(Value::String);
    fields.push(("firstPeriodStart", start));
    Ok(policy("quotaByKey", fields))
}

fn quota_fields(node: Element<'_, '_>) -> Result<Fields> {
    let Some(period) = node.number("renewal-period")? else {
        return no("renewal-period is required");
    };
    let period = match period {
        0 => "0".to_owned(),
        seconds => format!("{seconds}s"),
    };
    Ok(vec![
        ("calls", node.number("calls")?.map(Value::from)),
        ("bandwidthKb", node.number("bandwidth")?.map(Value::from)),
        ("period", Some(json!(period))),
    ])
}
