//! Answers of the gateway's own.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::field::{content, elements, known, number, optional, template};
use super::{Result, no, plain_name, policy, templates};

/// The status; its reason phrase is the standard one with us.
fn status(node: Node<'_, '_>) -> Result<u64> {
    known(node, &["code", "reason"])?;
    elements(node, &[])?;
    match number(node, "code")? {
        Some(code) => Ok(code),
        None => no("the attribute code is missing"),
    }
}

pub(super) fn set_status(node: Node<'_, '_>) -> Result<Value> {
    Ok(policy(
        "setStatus",
        [("status", Some(json!(status(node)?)))],
    ))
}

pub(super) fn return_response(node: Node<'_, '_>) -> Result<Value> {
    known(node, &[])?;
    let (mut code, mut headers, mut body) = (None, Vec::new(), None);
    for child in elements(node, &["set-status", "set-header", "set-body"])? {
        match child.tag_name().name() {
            "set-status" => code = Some(status(child)?),
            "set-header" => headers.extend(answer_headers(child)?),
            _ => {
                known(child, &[])?;
                body = Some(Value::String(template(&content(child)?)?));
            }
        }
    }
    let Some(code) = code else {
        return no("an answer without set-status has status 200, which refuses no handshake");
    };
    let headers = (!headers.is_empty()).then_some(Value::Array(headers));
    let fields = [
        ("status", Some(json!(code))),
        ("headers", headers),
        ("body", body),
    ];
    Ok(policy("returnResponse", fields))
}

fn answer_headers(node: Node<'_, '_>) -> Result<Vec<Value>> {
    known(node, &["name", "exists-action"])?;
    match optional(node, "exists-action").as_deref() {
        None | Some("override" | "append") => {}
        Some(other) => return no(format!("exists-action {other} is not translated here")),
    }
    let name = plain_name(node)?;
    let values = templates(&elements(node, &["value"])?, "value")?;
    let header = |value| json!({"name": name, "value": value});
    Ok(values.into_iter().map(header).collect())
}
