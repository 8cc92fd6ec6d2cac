//! Values that are stored for later handshakes.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::cel::identifier;
use super::super::field::{elements, known, number, optional, required, value};
use super::{Made, Result, no, policy};

/// The longest time that Tidegate stores a value, in seconds.
const LONGEST: u64 = 24 * 60 * 60;

/// In API Management, the variable is not set if there is no value; in Tidegate it would be null. So the result
/// goes into another variable first.
pub(super) fn lookup(node: Node<'_, '_>) -> Result<Made> {
    known(
        node,
        &["key", "variable-name", "default-value", "caching-type"],
    )?;
    elements(node, &[])?;
    let name = identifier(&required(node, "variable-name")?)?;
    let found = format!("imported_cached_{name}");
    let lookup = [("key", Some(key(node)?)), ("as", Some(json!(found)))];
    let mut made = Made::from(policy("cacheLookup", lookup));
    let default = optional(node, "default-value").map(|text| value(&text));
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
    Ok(made)
}

pub(super) fn store(node: Node<'_, '_>) -> Result<Made> {
    known(node, &["key", "value", "duration", "caching-type"])?;
    elements(node, &[])?;
    let Some(duration) = number(node, "duration")? else {
        return no("the attribute duration is missing");
    };
    let fields = [
        ("key", Some(key(node)?)),
        ("value", Some(json!(value(&required(node, "value")?)?))),
        ("for", Some(json!(format!("{}s", duration.min(LONGEST))))),
    ];
    let mut made = Made::from(policy("cacheStore", fields));
    if duration > LONGEST {
        made.remark("a value is kept for a day at most");
    }
    kind(node, &mut made)?;
    Ok(made)
}

pub(super) fn remove(node: Node<'_, '_>) -> Result<Made> {
    known(node, &["key", "caching-type"])?;
    elements(node, &[])?;
    let mut made = Made::from(policy("cacheRemove", [("key", Some(key(node)?))]));
    kind(node, &mut made)?;
    Ok(made)
}

fn key(node: Node<'_, '_>) -> Result<Value> {
    Ok(json!(value(&required(node, "key")?)?))
}

/// Where the value is stored.
fn kind(node: Node<'_, '_>, made: &mut Made) -> Result<()> {
    match optional(node, "caching-type").as_deref() {
        None | Some("internal" | "prefer-external") => {}
        Some("external") => made.remark("kept per gateway pod, not in an external cache"),
        Some(other) => return no(format!("caching-type {other} is not translated")),
    }
    Ok(())
}
