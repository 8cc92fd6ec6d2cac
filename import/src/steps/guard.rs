//! Checks of headers and addresses.

use serde_json::{Value, json};

use super::super::field::Element;
use super::{Result, no, plain_name, policy, some_list, templates, text};

pub(super) fn check_header(node: Element<'_, '_>) -> Result<Value> {
    node.known(&[
        "name",
        "failed-check-httpcode",
        "failed-check-error-message",
        "ignore-case",
    ])?;
    let values = templates(&node.elements(&["value"])?, "value")?;
    let status = node.number("failed-check-httpcode")?;
    let fields = [
        ("name", Some(json!(plain_name(node)?))),
        ("values", some_list(values)),
        ("ignoreCase", node.flag("ignore-case")?.map(Value::Bool)),
        ("status", status.map(Value::from)),
        ("message", text(node, "failed-check-error-message")?),
    ];
    Ok(policy("checkHeader", fields))
}

pub(super) fn ip_filter(node: Element<'_, '_>) -> Result<Value> {
    node.known(&["action"])?;
    let mut entries = Vec::new();
    for child in node.elements(&["address", "address-range"])? {
        let entry = if child.name() == "address" {
            child.known(&[])?;
            child.constant()?
        } else {
            child.known(&["from", "to"])?;
            let (from, to) = (child.required_plain("from")?, child.required_plain("to")?);
            format!("{from}-{to}")
        };
        entries.push(entry);
    }
    match node.required_plain("action")?.as_str() {
        action @ ("allow" | "forbid") => Ok(json!({"ipFilter": {action: entries}})),
        other => no(format!("action {other} is not translated")),
    }
}
