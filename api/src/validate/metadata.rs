//! What the API server demands of the metadata of every object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::Finding;

/// All annotations of an object together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    let unreadable = unreadable(metadata);
    if !unreadable.is_empty() {
        return unreadable;
    }
    let meta: ObjectMeta = match serde_json::from_value(metadata.clone()) {
        Ok(meta) => meta,
        Err(error) => return vec![Finding::new("metadata", error.to_string())],
    };
    let mut findings = Vec::new();
    let mut refuse = |path: String, message: String| findings.push(Finding::new(path, message));
    match (&meta.name, &meta.generate_name) {
        (Some(name), _) if !is_subdomain(name) => {
            let name = quoted(name);
            let text = format!("{name} must be lower-case letters, digits, - and ., at most 253");
            refuse("metadata.name".to_owned(), text);
        }
        (None, None) => refuse("metadata.name".to_owned(), "is missing".to_owned()),
        (Some(_), _) | (None, Some(_)) => {}
    }
    if let Some(name) = meta.namespace.filter(|name| !is_label(name)) {
        let name = quoted(&name);
        let text = format!("{name} must be lower-case letters, digits and -, at most 63");
        refuse("metadata.namespace".to_owned(), text);
    }
    for (key, value) in meta.labels.iter().flatten() {
        if !is_qualified_name(key) || !is_label_value(value) {
            let value = quoted(value);
            let text = format!(
                "{value} must be at most 63 of letters, digits, -, _ and ., and the key such a \
                 name with an optional DNS name and / before it"
            );
            refuse(format!("metadata.labels.{key}"), text);
        }
    }
    let annotations = meta.annotations.unwrap_or_default();
    for key in annotations
        .keys()
        .filter(|key| !is_qualified_name(&key.to_lowercase()))
    {
        let text = "the key must be a name with an optional DNS name and / before it";
        refuse(format!("metadata.annotations.{key}"), text.to_owned());
    }
    let size: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > MAX_ANNOTATION_BYTES {
        let text = format!("have {size} bytes, at most {MAX_ANNOTATION_BYTES} are allowed");
        refuse("metadata.annotations".to_owned(), text);
    }
    findings
}

/// What people write there and that is no text.
fn unreadable(metadata: &Value) -> Vec<Finding> {
    if !metadata.is_object() {
        let text = "must be a map of fields; for example {name: my-name}";
        return vec![Finding::new("metadata", text)];
    }
    let texts = ["name", "generateName", "namespace"].into_iter();
    let mut findings: Vec<_> = texts
        .filter_map(|name| not_text(&format!("metadata.{name}"), &metadata[name]))
        .collect();
    for name in ["labels", "annotations"] {
        match &metadata[name] {
            Value::Null => {}
            Value::Object(map) => {
                let entries = map.iter();
                let entry = |(key, value)| not_text(&format!("metadata.{name}.{key}"), value);
                findings.extend(entries.filter_map(entry));
            }
            _ => {
                let text = "must be a map of text; for example {team: chat}";
                findings.push(Finding::new(format!("metadata.{name}"), text));
            }
        }
    }
    findings
}

/// A finding about a value that is there and is no text.
fn not_text(path: &str, value: &Value) -> Option<Finding> {
    let (text, wants_text) = match value {
        Value::Null | Value::String(_) => return None,
        Value::Bool(_) | Value::Number(_) => {
            (format!("{value} is not text: quote it, \"{value}\""), true)
        }
        Value::Array(_) | Value::Object(_) => ("must be text".to_owned(), false),
    };
    Some(Finding {
        wants_text,
        ..Finding::new(path, text)
    })
}

/// As much of a name as anybody reads.
fn quoted(name: &str) -> String {
    match name.char_indices().nth(253) {
        Some((end, _)) => format!("\"{}…\"", &name[..end]),
        None => format!("\"{name}\""),
    }
}

/// RFC 1123: lower-case labels with dots between them.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_of_any_length)
}

fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

fn is_label_of_any_length(label: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: char| c != '-';
    !label.is_empty()
        && label.chars().all(inner)
        && label.starts_with(edge)
        && label.ends_with(edge)
}

/// `name` or `example.com/name`.
fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

fn is_label_value(value: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
    value.len() <= 63
        && value.chars().all(inner)
        && (value.is_empty() || value.starts_with(edge) && value.ends_with(edge))
}
