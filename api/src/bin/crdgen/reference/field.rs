//! One field as a row: its type with bounds, its default, its meaning, an example.

use serde_json::Value;
use tidegate_config::Duration;

/// What a row says about a field.
pub(super) struct Row {
    pub(super) field: String,
    pub(super) kind: String,
    pub(super) default: String,
    pub(super) meaning: String,
    pub(super) example: String,
}

impl Row {
    /// A row without an example. `shape` is the text of the type.
    pub(super) fn new(field: String, shape: String, schema: &Value, required: bool) -> Self {
        let (stated, meaning) = split_default(description(schema));
        let default = match (required, stated, scalar_default(schema)) {
            (true, _, _) => "required".to_owned(),
            (false, Some(stated), _) => stated,
            (false, None, Some(value)) => value,
            // The fields inside it have their own.
            (false, None, None) if schema["properties"].is_object() => String::new(),
            (false, None, None) => "none".to_owned(),
        };
        let meaning = [meaning].into_iter().chain(rules(schema)).collect();
        Self {
            field,
            kind: shape,
            default,
            meaning: sentences(meaning),
            example: String::new(),
        }
    }

    /// A line of a Markdown table.
    pub(super) fn line(&self) -> String {
        let cells = [
            &code(&self.field),
            &self.kind,
            &self.default,
            &self.meaning,
            &self.example,
        ];
        let cells = cells.map(|cell| cell.replace('|', r"\|"));
        format!("| {} |\n", cells.join(" | "))
    }
}

/// Where tables begin.
pub(super) const HEAD: &str =
    "| field | type | default | meaning | example |\n| --- | --- | --- | --- | --- |\n";

/// The whole description of an object, with its rules.
pub(super) fn meaning(schema: &Value) -> String {
    let parts = [description(schema)].into_iter().chain(rules(schema));
    sentences(parts.collect())
}

fn sentences(parts: Vec<String>) -> String {
    parts.join(" ").trim().to_owned()
}

fn description(schema: &Value) -> String {
    let words = schema["description"].as_str().unwrap_or_default();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of the sentence `Default: …`, and the other sentences.
fn split_default(text: String) -> (Option<String>, String) {
    let Some((before, after)) = text.split_once("Default: ") else {
        return (None, text);
    };
    let (default, rest) = after
        .split_once(". ")
        .unwrap_or((after.trim_end_matches('.'), ""));
    let meaning = [before.trim_end(), rest].join(" ");
    (Some(default.to_owned()), meaning.trim().to_owned())
}

fn scalar_default(schema: &Value) -> Option<String> {
    match &schema["default"] {
        Value::Null | Value::Object(_) => None,
        value => Some(code(&yaml(value))),
    }
}

/// Rules of a field, or of the entries of a list. Descriptions of durations state their bounds themselves.
fn rules(schema: &Value) -> Vec<String> {
    if is_duration(schema) {
        return Vec::new();
    }
    let rules = [schema, &schema["items"]].map(|of| of["x-kubernetes-validations"].as_array());
    let rules = rules.into_iter().flatten().flatten();
    let messages = rules.filter_map(|rule| rule["message"].as_str());
    // A step has one policy: the page says so once.
    let messages = messages.filter(|message| !message.starts_with("a step must name exactly one"));
    messages
        .map(|message| format!("Rule: {message}."))
        .collect()
}

fn is_duration(schema: &Value) -> bool {
    schema["pattern"] == Duration::PATTERN
}

/// Type and bounds, for example `integer, 1 to 65535`.
pub(super) fn shape(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "number or text".to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        return alternatives(values);
    }
    match schema["type"].as_str() {
        Some("string") => text(schema),
        Some("array") => {
            let items = shape(&schema["items"]);
            let of = if items == "object" { "objects" } else { &items };
            format!("list of {of}{}", count(schema, "Items", "entries"))
        }
        Some("object") if schema["additionalProperties"].is_object() => {
            let values = shape(&schema["additionalProperties"]);
            let count = count(schema, "Properties", "entries");
            format!("map of {values}{count}")
        }
        Some("integer") => format!("integer{}", range(schema)),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

fn alternatives(values: &[Value]) -> String {
    let mut names: Vec<_> = values.iter().map(|value| code(&yaml(value))).collect();
    let last = names.pop().unwrap_or_default();
    match names.is_empty() {
        true => last,
        false => format!("{} or {last}", names.join(", ")),
    }
}

fn text(schema: &Value) -> String {
    if is_duration(schema) {
        return "duration".to_owned();
    }
    if schema["format"] == "date-time" {
        return "time".to_owned();
    }
    let pattern = schema["pattern"].as_str();
    let pattern = pattern.map(|pattern| format!(", matches {}", code(pattern)));
    let count = count(schema, "Length", "characters");
    format!("text{count}{}", pattern.unwrap_or_default())
}

fn count(schema: &Value, of: &str, unit: &str) -> String {
    let bound = |side: &str| schema[format!("{side}{of}")].as_u64();
    match (bound("min"), bound("max")) {
        (Some(least), Some(most)) => format!(", {least} to {most} {unit}"),
        (None, Some(most)) => format!(", up to {most} {unit}"),
        (Some(least), None) => format!(", {least} or more {unit}"),
        (None, None) => String::new(),
    }
}

fn range(schema: &Value) -> String {
    let bound = |side: &str| schema[side].as_f64();
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

/// A value in one line of YAML.
pub(super) fn yaml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(yaml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", yaml(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) if needs_quotes(text) => format!("'{}'", text.replace('\'', "''")),
        scalar => {
            let text = serde_saphyr::to_string(scalar).expect("a scalar can be written as YAML");
            text.trim_end().to_owned()
        }
    }
}

/// Between brackets some characters end a text that has no quotes.
fn needs_quotes(text: &str) -> bool {
    text.contains([',', '[', ']', '{', '}', '#', '\'']) || text.contains(": ")
}

pub(super) fn code(text: &str) -> String {
    match text.contains('`') {
        true => format!("`` {text} ``"),
        false => format!("`{text}`"),
    }
}
