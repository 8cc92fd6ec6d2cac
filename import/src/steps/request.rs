//! Changes of the handshake with the backend.

use serde_json::{Value, json};

use super::super::field::Element;
use super::super::service::Token;
use super::{Made, Result, identity, no, plain_name, templates};

/// `set-header`. With the token of a managed identity it becomes the credentials themselves.
pub(super) fn set_header(node: Element<'_, '_>) -> Result<Made> {
    if let Some(credentials) = identity::of_header(node)? {
        return Ok(identity::auth(credentials).into());
    }
    if plain_name(node)?.eq_ignore_ascii_case("Host") {
        return no("the host belongs to the backend: set backend.hostHeader of the WebSocketApi");
    }
    Ok(json!({"setHeader": edit(node)?}).into())
}

/// Fields of set-header and set-query-parameter.
pub(super) fn edit(node: Element<'_, '_>) -> Result<Value> {
    node.known(&["name", "exists-action"])?;
    let values = templates(&node.elements(&["value"])?, "value")?;
    let if_exists = match node.plain("exists-action")?.as_deref() {
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

pub(super) fn set_variable(node: Element<'_, '_>) -> Result<Value> {
    node.known(&["name", "value"])?;
    node.elements(&[])?;
    let name = node.service.variable(&plain_name(node)?)?;
    let value = node.value(&node.required("value")?)?;
    node.service.set_token(&name, Token::Plain);
    Ok(json!({"setVariable": {"name": name, "value": value}}))
}
