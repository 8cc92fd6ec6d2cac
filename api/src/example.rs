//! A right value for a field, made from its schema.

use serde_json::{Map, Value, json};

/// What a text with a pattern is, and one that fits. A test compares the patterns with those of all kinds.
const PATTERNS: [(&str, &str, &str); 28] = [
    (
        r"^(0|([0-9]+(\.[0-9]+)?(h|m|s|ms))+)$",
        "a duration such as 500ms, 30s, 1m30s or 0",
        "30s",
    ),
    (
        r"^wss?://[^/?#\s]+[^#\s]*$",
        "a URL with ws:// or wss://",
        "ws://backend:8080/",
    ),
    (
        r"^https?://[^/?#\s]+[^#\s]*$",
        "a URL with http:// or https://",
        "https://example.com/path",
    ),
    (
        "^https?://",
        "a URL with http:// or https://",
        "https://example.com/path",
    ),
    (
        r"^https?://[^/?#@ ]+(/[^?# ]*)?$",
        "a URL with http:// or https://, without user and query",
        "http://collector:4318",
    ),
    (
        r"^http://[^/?#@\s]+/?$",
        "a URL with http:// and only a host and a port",
        "http://proxy:3128",
    ),
    (
        "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$",
        "the ARN of a role of AWS",
        "arn:aws:iam::123456789012:role/edge",
    ),
    (
        "^[A-Za-z0-9+=,.@_-]+$",
        "letters, digits and +=,.@_-",
        "edge",
    ),
    (
        "^rediss?://[^ ]+$",
        "a URL with redis:// or rediss://",
        "redis://redis:6379",
    ),
    (
        r#"^/[!"$->@-~]*$"#,
        "a path: it begins with / and has no space, ? or #",
        "/chat",
    ),
    (
        r#"^/[!"$-~]*$"#,
        "a path: it begins with / and has no space or #",
        "/healthz",
    ),
    (
        r"^(/|\$\{)",
        "a path, which begins with / or with an expression",
        "/v2/chat",
    ),
    (
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a name of a-z, 0-9 and -, with no - at either end",
        "plain",
    ),
    (
        r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a host name in lower case, or *. and a host name",
        "ws.example.com",
    ),
    (
        r"^(null|[a-z][a-z0-9+.-]*://(\*\.)?[^/*?#@\s]+)$",
        "an origin: scheme and host, without a path",
        "https://app.example.com",
    ),
    (
        "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        "a name for HTTP: letters, digits and -, without spaces",
        "X-Tenant",
    ),
    (
        r"^[!#-\[\]-~]+$",
        "one word without spaces, quotes and backslashes",
        "orders.read",
    ),
    (
        "^[A-Za-z_][A-Za-z0-9_]*$",
        "a name of letters, digits and _, without a digit at its start",
        "tenant",
    ),
    (
        "^[a-z][a-z0-9_]*$",
        "a name of a-z, 0-9 and _ that begins with a letter",
        "tenant",
    ),
    (
        "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
        "a time in UTC",
        "2030-01-31T12:00:00Z",
    ),
    ("^[0-9A-Fa-f: ]+$", "a number in hexadecimal", "0A:1B:2C:3D"),
    (
        "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
        "an IP address, or a network such as 10.0.0.0/8",
        "10.0.0.0/8",
    ),
    (
        "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
        "a network: an IP address, / and the length of its prefix",
        "10.0.0.0/8",
    ),
    (
        "^/[^:]+$",
        "an absolute path without a colon",
        "/etc/tidegate/ca",
    ),
    (
        r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        "a size in bytes, such as 64Mi",
        "64Mi",
    ),
    (
        r"^[^\x00-\x1f\x7f]*$",
        "one line without control characters",
        "${api} ${status}",
    ),
    ("^[^@ ]+@[^@ ]+$", "an e-mail address", "team@example.com"),
    (
        "^[45][0-9]{2}(-[45][0-9]{2})?$",
        "a status from 400 to 599, or a range such as 500-599",
        "500-599",
    ),
];

/// What a text with this pattern is, and one that fits.
pub(crate) fn of_pattern(pattern: &str) -> Option<(&'static str, &'static str)> {
    let found = PATTERNS.iter().find(|(known, ..)| *known == pattern);
    found.map(|(_, what, example)| (*what, *example))
}

/// A right value for fields whose schema says too little.
fn of_name(name: &str) -> Option<Value> {
    match name {
        "backend" => Some(json!({"url": "ws://backend:8080/"})),
        "scope" => Some(json!({"product": "my-product"})),
        "url" => Some("https://example.com/path".into()),
        _ => None,
    }
}

/// A right value for a field of this name, if the schema says enough to make one.
pub(crate) fn of_field(name: &str, schema: &Value) -> Option<Value> {
    if let Some(first) = schema["enum"].get(0) {
        return Some(first.clone());
    }
    if let Some(default) = schema.get("default").filter(|value| !is_empty(value)) {
        return Some(default.clone());
    }
    match schema["type"].as_str() {
        Some("boolean") => Some(true.into()),
        Some("integer" | "number") => Some(number(name, schema)),
        Some("string") => text(name, schema)
            .map(Value::from)
            .or_else(|| of_name(name)),
        Some("array") => of_field(name, &schema["items"]).map(|item| json!([item])),
        Some("object") => object(schema).or_else(|| of_name(name)),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn number(name: &str, schema: &Value) -> Value {
    if name.to_lowercase().ends_with("port") {
        return 8080.into();
    }
    match schema["minimum"].as_f64() {
        Some(minimum) if minimum > 1.0 => schema["minimum"].clone(),
        _ => 1.into(),
    }
}

fn text(name: &str, schema: &Value) -> Option<&'static str> {
    if schema["format"] == "date-time" {
        return Some("2030-01-31T12:00:00Z");
    }
    match schema["pattern"].as_str() {
        Some(pattern) => of_pattern(pattern).map(|(_, example)| example),
        None if name == "name" => Some("my-name"),
        None => None,
    }
}

/// An object with the fields that it must have.
fn object(schema: &Value) -> Option<Value> {
    let mut map = Map::new();
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str()?;
        map.insert(
            name.to_owned(),
            of_field(name, &schema["properties"][name])?,
        );
    }
    (!map.is_empty()).then_some(Value::Object(map))
}

/// A value on one line of YAML.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(flow).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(map) => {
            let fields = map
                .iter()
                .map(|(name, value)| format!("{name}: {}", flow(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::crds;

    fn collect(schema: &Value, patterns: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                patterns.extend(
                    map.get("pattern")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                map.values().for_each(|below| collect(below, patterns));
            }
            Value::Array(items) => items.iter().for_each(|below| collect(below, patterns)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_pattern_of_a_kind_is_explained_and_its_example_fits() {
        let mut used = BTreeSet::new();
        for crd in crds() {
            collect(crd.schema(), &mut used);
        }
        let known: BTreeSet<_> = PATTERNS
            .iter()
            .map(|(known, ..)| (*known).to_owned())
            .collect();
        assert_eq!(known, used);
        for (pattern, _, example) in PATTERNS {
            let schema = json!({"type": "string", "pattern": pattern});
            assert!(
                jsonschema::is_valid(&schema, &example.into()),
                "{pattern} {example}"
            );
        }
    }

    #[test]
    fn an_example_fits_the_schema_that_it_was_made_from() {
        let kinds = crds();
        let listeners = &kinds[0].schema()["properties"]["spec"]["properties"]["listeners"];
        let example = of_field("listeners", listeners).unwrap();
        assert_eq!(flow(&example), "[{name: plain, port: 8080, protocol: WS}]");
        assert_eq!(of_field("x", &json!({"type": "string"})), None);
        assert_eq!(
            of_field("x", &json!({"type": "integer", "minimum": 5})),
            Some(json!(5))
        );
        assert_eq!(
            of_field("x", &json!({"default": {}, "type": "boolean"})),
            Some(json!(true))
        );
    }
}
