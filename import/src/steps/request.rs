//! Changes of the handshake with the backend.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::cel::identifier;
use super::super::field::{elements, known, optional, required, value};
use super::{Result, no, plain_name, templates};

/// Fields of set-header and set-query-parameter.
pub(super) fn edit(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["name", "exists-action"])?;
    let values = templates(&elements(node, &["value"])?, "value")?;
    let if_exists = match optional(node, "exists-action").as_deref() {
        None | Some("override") => "Override",
        Some("skip") => "Skip",
        Some("append") => "Append",
        Some("delete") => {
            return Ok(json!({"name": plain_name(node)?, "ifExists": "Delete"}));
        }
        Some(other) => return no(format!("exists-action {other} is not translated")),
    };
    Ok(json!({"name": plain_name(node)?, "values": values, "ifExists": if_exists}))
}

pub(super) fn set_variable(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["name", "value"])?;
    elements(node, &[])?;
    let name = identifier(&plain_name(node)?)?;
    let value = value(&required(node, "value")?)?;
    Ok(json!({"setVariable": {"name": name, "value": value}}))
}
