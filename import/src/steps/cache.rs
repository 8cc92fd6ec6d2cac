//! Values that are stored for later handshakes.

use serde_json::{Value, json};

use super::super::field::Element;
use super::super::service::Token;
use super::{Made, Result, no, policy};

/// The longest time that Tidegate stores a value, in seconds.
const LONGEST: u64 = 24 * 60 * 60;

/// In API Management, the variable is not set if there is no value; in Tidegate it would be null. So the result
/// goes into another variable first.
pub(super) fn lookup(node: Element<'_, '_>) -> Result<Made> {
    node.known(&["key", "variable-name", "default-value", "caching-type"])?;
    node.elements(&[])?;
    let name = node.required_plain("variable-name")?;
    let name = node.service.variable(&name)?;
    let found = format!("imported_cached_{name}");
    let lookup = [("key", Some(key(node)?)), ("as", Some(json!(found)))];
    let mut made = Made::from(policy("cacheLookup", lookup));
    let default = node.optional("default-value").map(|text| node.value(&text));
    made.policies.push(match default.transpose()? {
        Some(default) => json!({"setVariable": {
            "name": name,
            "value": format!("(vars.{found} != null ? vars.{found} : {default})"),
        }}),
        None => json!({
            "when": format!("vars.{found} != null"),
            "setVariable": {"name": name, "value": format!("vars.{found}")},
        }),
    });
    kind(node, &mut made)?;
    node.service.set_token(&name, Token::Unsure);
    Ok(made)
}

pub(super) fn store(node: Element<'_, '_>) -> Result<Made> {
    node.known(&["key", "value", "duration", "caching-type"])?;
    node.elements(&[])?;
    let Some(duration) = node.number("duration")? else {
        return no("the attribute duration is missing");
    };
    let fields = [
        ("key", Some(key(node)?)),
        ("value", Some(json!(node.value(&node.required("value")?)?))),
        ("for", Some(json!(format!("{}s", duration.min(LONGEST))))),
    ];
    let mut made = Made::from(policy("cacheStore", fields));
    if duration > LONGEST {
        made.remark("a value is kept for a day at most");
    }
    kind(node, &mut made)?;
    Ok(made)
}

pub(super) fn remove(node: Element<'_, '_>) -> Result<Made> {
    node.known(&["key", "caching-type"])?;
    node.elements(&[])?;
    let mut made = Made::from(policy("cacheRemove", [("key", Some(key(node)?))]));
    kind(node, &mut made)?;
    Ok(made)
}

fn key(node: Element<'_, '_>) -> Result<Value> {
    Ok(json!(node.key(&node.required("key")?)?))
}

/// Where the value is stored.
fn kind(node: Element<'_, '_>, made: &mut Made) -> Result<()> {
    match node.plain("caching-type")?.as_deref() {
        None | Some("internal" | "prefer-external") => {}
        Some("external") => made.remark("kept per gateway pod, not in an external cache"),
        Some(other) => return no(format!("caching-type {other} is not translated")),
    }
    Ok(())
}
