//! What the API server does with a structural schema before it validates: unknown fields, nulls,
//! defaults, and lists whose items must differ.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Finding;

/// A document after defaulting, and what was wrong so far.
pub(super) struct Normalized {
    pub(super) value: Value,
    pub(super) findings: Vec<Finding>,
}

/// Fields of `metadata` that people may write; the rest of ObjectMeta is the server's.
const METADATA: [&str; 16] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
    "clusterName",
];

/// Fills in defaults and drops nulls, and reports unknown fields and duplicates.
pub(super) fn normalize(schema: &Value, document: &Value) -> Normalized {
    let mut walk = Walk::default();
    let mut value = document.clone();
    if let Some(map) = value.as_object_mut() {
        let metadata = map.get("metadata").cloned().unwrap_or_else(|| json!({}));
        for name in ["apiVersion", "kind", "metadata"] {
            map.remove(name);
        }
        walk.metadata(&metadata);
        let mut rest = walk.visit(schema, Value::Object(map.clone()), "");
        if let Some(rest) = rest.as_object_mut() {
            for name in ["apiVersion", "kind"] {
                rest.insert(name.to_owned(), document[name].clone());
            }
            rest.insert("metadata".to_owned(), metadata);
        }
        value = rest;
    }
    Normalized {
        value,
        findings: walk.findings,
    }
}

#[derive(Default)]
struct Walk {
    findings: Vec<Finding>,
}

impl Walk {
    fn metadata(&mut self, metadata: &Value) {
        for name in metadata.as_object().into_iter().flat_map(Map::keys) {
            if !METADATA.contains(&name.as_str()) {
                self.unknown(&format!("metadata.{name}"), METADATA.into_iter().take(7));
            }
        }
    }

    fn visit(&mut self, schema: &Value, value: Value, path: &str) -> Value {
        match value {
            Value::Object(map) => Value::Object(self.object(schema, map, path)),
            Value::Array(items) => {
                self.duplicates(schema, &items, path);
                let at = |(i, item)| self.visit(&schema["items"], item, &format!("{path}[{i}]"));
                Value::Array(items.into_iter().enumerate().map(at).collect())
            }
            scalar => scalar,
        }
    }

    fn object(
        &mut self,
        schema: &Value,
        map: Map<String, Value>,
        path: &str,
    ) -> Map<String, Value> {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return map;
        }
        let none = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&none);
        let other = &schema["additionalProperties"];
        let mut result = Map::new();
        for (name, value) in map {
            let at = join(path, &name);
            let below = known.get(&name).unwrap_or(other);
            if !below.is_object() && *below != true {
                self.unknown(&at, known.keys().map(String::as_str));
            } else if !value.is_null() {
                result.insert(name, self.visit(below, value, &at));
            }
        }
        for (name, below) in known {
            if let (false, Some(default)) = (result.contains_key(name), below.get("default")) {
                let value = self.visit(below, default.clone(), &join(path, name));
                result.insert(name.clone(), value);
            }
        }
        result
    }

    fn unknown<'a>(&mut self, path: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<_> = known.collect();
        let wrong = path.rsplit('.').next().unwrap_or(path);
        let meant = nearest(wrong, &known).map(|name| format!("; did you mean {name}?"));
        let meant = meant.as_deref().unwrap_or(";");
        let message = format!("unknown field{meant} known here: {}", known.join(", "));
        self.findings.push(Finding::new(path, message));
    }

    /// Items of a list-map must differ in their keys, items of a set altogether.
    fn duplicates(&mut self, schema: &Value, items: &[Value], path: &str) {
        let keys = match schema["x-kubernetes-list-type"].as_str() {
            Some("map") => schema["x-kubernetes-list-map-keys"].as_array(),
            Some("set") => None,
            _ => return,
        };
        let mut seen = BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            let identity = match keys {
                Some(keys) => keys
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|k| item[k].to_string())
                    .collect(),
                None => vec![item.to_string()],
            };
            let shown = identity.join(", ");
            if !seen.insert(identity) {
                let message = format!("{shown} occurs twice");
                self.findings
                    .push(Finding::new(format!("{path}[{i}]"), message));
            }
        }
    }
}

/// The name that was most likely meant: the same but for case, or few letters away.
pub(super) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    let allowed = if lower.chars().count() < 5 { 1 } else { 2 };
    let distance = |name: &str| strsim::osa_distance(&lower, &name.to_lowercase());
    let nearest = known.iter().copied().min_by_key(|name| distance(name))?;
    (distance(nearest) <= allowed).then_some(nearest)
}

pub(super) fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// A JSON pointer the way people and the API server write it: `spec.listeners[0].port`.
pub(super) fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if segment.bytes().all(|b| b.is_ascii_digit()) && !segment.is_empty() {
            path.push_str(&format!("[{segment}]"));
        } else {
            path = join(&path, &segment);
        }
    }
    path
}

/// OpenAPI's structural dialect as plain JSON Schema.
pub(super) fn to_json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut plain: Map<String, Value> = map
                .iter()
                .map(|(name, value)| (name.clone(), to_json_schema(value)))
                .collect();
            if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                plain.insert("type".to_owned(), json!(["integer", "string"]));
            }
            Value::Object(plain)
        }
        Value::Array(items) => Value::Array(items.iter().map(to_json_schema).collect()),
        other => other.clone(),
    }
}
