//! What a value breaks of its schema, in words for its author.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as K;
use serde_json::Value;
use tidegate_config::Duration;

use super::{Finding, structural};
use crate::example;

/// So much of a value is quoted.
const QUOTED_CHARS: usize = 60;

/// One error of a document whose kind has this schema. `None`: another error at the same place says it.
pub(super) fn finding(error: &ValidationError<'_>, schema: &Value) -> Option<Finding> {
    let pointer = error.instance_path().as_str();
    let (name, field) = field(schema, pointer);
    let path = structural::dotted(pointer);
    if let K::Required { property } = error.kind() {
        let missing = property.as_str().unwrap_or_default();
        let field = &field["properties"][missing];
        let text = format!("is missing{}", for_example(missing, field));
        return Some(Finding::new(structural::join(&path, missing), text));
    }
    let value = error.instance();
    if matches!(error.kind(), K::Enum { .. }) && field["type"] == "string" && !value.is_string() {
        return None;
    }
    let text = describe(error, name, field);
    Some(Finding {
        wants_text: matches!(error.kind(), K::Type { .. })
            && is_text_without_quotes(field, value)
            && !lacks_unit(field, value),
        ..Finding::new(path, text)
    })
}

/// The schema at a JSON pointer into a document, and the name of the field.
fn field<'s, 'p>(schema: &'s Value, pointer: &'p str) -> (&'p str, &'s Value) {
    let (mut schema, mut name) = (schema, "");
    for segment in pointer.split('/').skip(1) {
        let below = &schema["properties"][segment];
        schema = if below.is_object() {
            name = segment;
            below
        } else if schema["items"].is_object() {
            &schema["items"]
        } else {
            name = segment;
            &schema["additionalProperties"]
        };
    }
    (name, schema)
}

/// Would the value be right in quotes?
fn is_text_without_quotes(field: &Value, value: &Value) -> bool {
    field["type"] == "string" && (value.is_boolean() || value.is_number())
}

/// Is it a duration without its unit? Quotes alone would not make it right.
fn lacks_unit(field: &Value, value: &Value) -> bool {
    let number = value.as_f64().filter(|number| *number > 0.0);
    field["pattern"] == Duration::PATTERN && number.is_some()
}

fn describe(error: &ValidationError<'_>, name: &str, field: &Value) -> String {
    let value = error.instance();
    match error.kind() {
        K::Type { .. } => wrong_type(value, name, field),
        K::Enum { options } => {
            let options: Vec<_> = options
                .as_array()
                .into_iter()
                .flatten()
                .map(example::flow)
                .collect();
            format!("{} is none of {}", quoted(value), options.join(", "))
        }
        K::Pattern { pattern } => match example::of_pattern(pattern) {
            Some((what, example)) => {
                format!("{} is not {what}; for example {example}", quoted(value))
            }
            None => format!("{} does not match {pattern}", quoted(value)),
        },
        K::Format { .. } => format!(
            "{} is not a time; for example 2030-01-31T12:00:00Z",
            quoted(value)
        ),
        K::Minimum { .. } | K::Maximum { .. } => format!("must be {}, not {value}", range(field)),
        K::MinLength { limit: 1 } => format!("must not be empty{}", for_example(name, field)),
        K::MinLength { limit } => too_few(length(value), *limit, "characters"),
        K::MaxLength { limit } => too_many(length(value), *limit, "characters"),
        K::MinItems { limit } => {
            format!(
                "{}{}",
                too_few(length(value), *limit, "items"),
                for_example(name, field)
            )
        }
        K::MaxItems { limit } => too_many(length(value), *limit, "items"),
        K::MaxProperties { limit } => too_many(length(value), *limit, "entries"),
        // Schemas of the kinds have nothing else: a test says so.
        _ => error.masked_with("the value").to_string(),
    }
}

fn wrong_type(value: &Value, name: &str, field: &Value) -> String {
    if lacks_unit(field, value) {
        return format!("{value} lacks a unit: use h, m, s or ms, for example {value}s");
    }
    if is_text_without_quotes(field, value) {
        return format!(
            "{value} is {} and not text: quote it, \"{value}\"",
            type_of(value)
        );
    }
    let wanted = match field["type"].as_str() {
        Some("string") => "text",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => "true or false",
        Some("array") => "a list",
        Some("object") => "a map of fields",
        _ => "a number or text",
    };
    format!(
        "must be {wanted}, not {}{}",
        type_of(value),
        for_example(name, field)
    )
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map of fields",
    }
}

fn for_example(name: &str, field: &Value) -> String {
    match example::of_field(name, field) {
        Some(example) => format!("; for example {}", example::flow(&example)),
        None => String::new(),
    }
}

fn range(field: &Value) -> String {
    let bound = |name| field[name].as_f64();
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("from {least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "in range".to_owned(),
    }
}

fn too_many(found: usize, limit: u64, what: &str) -> String {
    format!("has {found} {what}, at most {limit} are allowed")
}

fn too_few(found: usize, limit: u64, what: &str) -> String {
    format!("has {found} {what}, at least {limit} needed")
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// As much of a value as anybody reads.
fn quoted(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
