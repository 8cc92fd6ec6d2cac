//! Checks of headers and addresses.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::field::{content, elements, flag, known, number, required};
use super::{Result, no, plain_name, policy, some_list, templates, text};

pub(super) fn check_header(node: Node<'_, '_>) -> Result<Value> {
    let attributes = [
        "name",
        "failed-check-httpcode",
        "failed-check-error-message",
        "ignore-case",
    ];
    known(node, &attributes)?;
    let values = templates(&elements(node, &["value"])?, "value")?;
    let fields = [
        ("name", Some(json!(plain_name(node)?))),
        ("values", some_list(values)),
        ("ignoreCase", flag(node, "ignore-case")?.map(Value::Bool)),
        (
            "status",
            number(node, "failed-check-httpcode")?.map(Value::from),
        ),
        ("message", text(node, "failed-check-error-message")?),
    ];
    Ok(policy("checkHeader", fields))
}

pub(super) fn ip_filter(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["action"])?;
    let mut entries = Vec::new();
    for child in elements(node, &["address", "address-range"])? {
        let entry = if child.tag_name().name() == "address" {
            known(child, &[])?;
            content(child)?.trim().to_owned()
        } else {
            known(child, &["from", "to"])?;
            format!("{}-{}", required(child, "from")?, required(child, "to")?)
        };
        if entry.contains(['@', '{']) {
            return no("only constant addresses are translated");
        }
        entries.push(entry);
    }
    match required(node, "action")?.as_str() {
        action @ ("allow" | "forbid") => Ok(json!({"ipFilter": {action: entries}})),
        other => no(format!("action {other} is not translated")),
    }
}
