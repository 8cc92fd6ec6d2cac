//! Responses of the gateway itself.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::field::{content, elements, known, number, template};
use super::call::headers;
use super::{Result, no, policy};

/// The status. Tidegate always sends the standard reason phrase.
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
    let (mut code, mut body) = (None, None);
    let children = elements(node, &["set-status", "set-header", "set-body"])?;
    let headers = headers(&children)?;
    for child in children {
        match child.tag_name().name() {
            "set-status" => code = Some(status(child)?),
            "set-body" => {
                known(child, &[])?;
                body = Some(Value::String(template(&content(child)?)?));
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
    Ok(policy("returnResponse", fields))
}
