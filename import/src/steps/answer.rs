//! Responses of the gateway itself.

use serde_json::{Value, json};

use super::super::field::Element;
use super::call::headers;
use super::{Made, Result, no, policy};

/// What Tidegate answers to a handshake.
const STATUSES: std::ops::RangeInclusive<u64> = 300..=599;

/// Statuses of a kept answer that are passed on. All others become 502.
const PASSED: [u64; 7] = [400, 401, 403, 404, 429, 500, 503];

/// The status. Tidegate always sends the standard reason phrase.
fn status(node: Element<'_, '_>) -> Result<u64> {
    node.known(&["code", "reason"])?;
    node.elements(&[])?;
    match node.number("code")? {
        Some(code) if STATUSES.contains(&code) => Ok(code),
        Some(code) => no(format!(
            "an answer with status {code} to a handshake is no WebSocket: choose a status from 300 to 599"
        )),
        None => no("the attribute code is missing"),
    }
}

pub(super) fn set_status(node: Element<'_, '_>) -> Result<Value> {
    Ok(policy(
        "setStatus",
        [("status", Some(json!(status(node)?)))],
    ))
}

pub(super) fn return_response(node: Element<'_, '_>) -> Result<Made> {
    if node.optional("response-variable-name").is_some() {
        return kept_response(node);
    }
    node.known(&[])?;
    let (mut code, mut body) = (None, None);
    let children = node.elements(&["set-status", "set-header", "set-body"])?;
    let headers = headers(&children)?;
    for child in children {
        match child.name() {
            "set-status" => code = Some(status(child)?),
            "set-body" => {
                child.known(&[])?;
                body = Some(Value::String(child.template(&child.content()?)?));
            }
            _ => {}
        }
    }
    let Some(code) = code else {
        return no(
            "a response without set-status has status 200, which does not refuse a handshake",
        );
    };
    let headers = (!headers.is_empty()).then_some(Value::Array(headers));
    let fields = [
        ("status", Some(json!(code))),
        ("headers", headers),
        ("body", body),
    ];
    Ok(policy("returnResponse", fields).into())
}

/// The answer to a request, one step for each status, because a step has one status.
fn kept_response(node: Element<'_, '_>) -> Result<Made> {
    node.known(&["response-variable-name"])?;
    node.elements(&[])?;
    let name = node.required_plain("response-variable-name")?;
    let answer = format!("vars.{}", node.service.variable(&name)?);
    let step = |status: u64| copy_of(&answer, status);
    let mut made = Made::none();
    for status in PASSED {
        let when = format!("{answer}.status == {status}");
        made.policies
            .push(json!({"when": when, "returnResponse": step(status)}));
    }
    made.policies.push(json!({"returnResponse": step(502)}));
    made.remark(&format!(
        "of the answer {name} status, Content-Type and body are returned; other statuses than {PASSED:?} become 502"
    ));
    Ok(made)
}

/// The fields of a response with Content-Type and body of an answer.
fn copy_of(answer: &str, status: u64) -> Value {
    let kind = format!("${{{answer}.header(\"Content-Type\", \"text/plain\")}}");
    json!({
        "status": status,
        "headers": [{"name": "Content-Type", "value": kind}],
        "body": format!("${{{answer}.text}}"),
    })
}
