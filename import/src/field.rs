//! Attributes and texts of elements as templates, values and numbers.

use roxmltree::Node;

use super::cel::{Kind, literal, translate};
use super::csharp::Unreadable;
use super::xml::restore;

type Result<T> = std::result::Result<T, Unreadable>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

fn is_expression(text: &str) -> bool {
    text.starts_with("@(") || text.starts_with("@{")
}

/// A text or an expression, as a template.
pub(super) fn template(text: &str) -> Result<String> {
    if is_expression(text.trim()) {
        let found = translate(text.trim())?;
        let found = match found.kind {
            Kind::Json => found.value(Kind::MaybeText)?,
            _ => found,
        };
        return match found.kind {
            Kind::Text | Kind::MaybeText | Kind::Int | Kind::MaybeInt | Kind::Any => {
                Ok(format!("${{{}}}", found.text))
            }
            _ => no("a string is expected here"),
        };
    }
    if text.contains("@(") || text.contains("@{") {
        return no("an expression inside a text is not translated");
    }
    let mut found = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            return no("a named value has no end");
        };
        found.push_str(&before.replace("${", "$${"));
        let name = super::cel::identifier(name)?;
        found.push_str(&format!("${{values.{name}}}"));
        rest = after;
    }
    found.push_str(&rest.replace("${", "$${"));
    Ok(found)
}

/// A text or an expression, as CEL.
pub(super) fn value(text: &str) -> Result<String> {
    if is_expression(text.trim()) {
        return Ok(translate(text.trim())?.kept()?.text);
    }
    Ok(literal(text)?.text)
}

/// A boolean expression, or the word true or false, as CEL.
pub(super) fn condition(text: &str) -> Result<String> {
    if !is_expression(text.trim()) {
        return Ok(truth(text)?.to_string());
    }
    let found = translate(text.trim())?;
    match found.kind {
        Kind::Bool | Kind::Any => Ok(found.text),
        _ => no("a condition must be true or false"),
    }
}

fn truth(text: &str) -> Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => no(format!("{text:?} is neither true nor false")),
    }
}

/// The text of an element.
pub(super) fn content(node: Node<'_, '_>) -> Result<String> {
    if node.children().any(|child| child.is_element()) {
        return no("only text is supported here");
    }
    let parts: String = node.children().filter_map(|child| child.text()).collect();
    Ok(restore(&parts))
}

/// An attribute as written.
pub(super) fn optional(node: Node<'_, '_>, name: &str) -> Option<String> {
    node.attribute(name).map(restore)
}

/// A required attribute.
pub(super) fn required(node: Node<'_, '_>, name: &str) -> Result<String> {
    match optional(node, name) {
        Some(text) => Ok(text),
        None => no(format!("the attribute {name} is missing")),
    }
}

/// A literal number.
pub(super) fn number(node: Node<'_, '_>, name: &str) -> Result<Option<u64>> {
    match optional(node, name).map(|text| text.trim().parse()) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => no(format!("{name} is translated only when it is a number")),
    }
}

/// An attribute that is true or false.
pub(super) fn flag(node: Node<'_, '_>, name: &str) -> Result<Option<bool>> {
    optional(node, name).map(|text| truth(&text)).transpose()
}

/// The child elements. Other names than these are an error.
pub(super) fn elements<'a, 'i>(node: Node<'a, 'i>, names: &[&str]) -> Result<Vec<Node<'a, 'i>>> {
    let found: Vec<_> = node.children().filter(Node::is_element).collect();
    let unknown = found
        .iter()
        .find(|child| !names.contains(&child.tag_name().name()));
    match unknown {
        None => Ok(found),
        Some(child) => no(format!(
            "{} is not translated here",
            child.tag_name().name()
        )),
    }
}

/// Fails if there are other attributes than these and `id`.
pub(super) fn known(node: Node<'_, '_>, names: &[&str]) -> Result<()> {
    let mut attributes = node.attributes().map(|attribute| attribute.name());
    match attributes.find(|name| *name != "id" && !names.contains(name)) {
        None => Ok(()),
        Some(name) => no(format!("the attribute {name} is not translated")),
    }
}
