//! JSON Schema (draft 7, which editors know) of documents as people write them: unknown fields are errors, and
//! what the API server fills in is not required.

use serde_json::{Map, Value, json};

use crate::{API_VERSION, Crd, crds};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// The schema of documents of a kind, in any case of letters.
pub fn json_schema(kind: &str) -> Option<Value> {
    let crd = crds()
        .into_iter()
        .find(|crd| crd.kind.eq_ignore_ascii_case(kind))?;
    let mut schema = document(&crd);
    schema["$schema"] = DRAFT.into();
    Some(schema)
}

/// One schema for files with documents of all kinds. Documents of other groups are not checked.
pub fn json_schemas() -> Value {
    let kinds = crds();
    let mut definitions = Map::new();
    let mut choices = Vec::new();
    for crd in &kinds {
        definitions.insert(crd.kind.clone(), document(crd));
        let is_this = json!({
            "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"const": crd.kind}},
            "required": ["apiVersion", "kind"],
        });
        let reference = json!({"$ref": format!("#/definitions/{}", crd.kind)});
        choices.push(json!({"if": is_this, "then": reference}));
    }
    let is_ours =
        json!({"properties": {"apiVersion": {"const": API_VERSION}}, "required": ["apiVersion"]});
    let names: Vec<_> = kinds.iter().map(|crd| crd.kind.clone()).collect();
    choices.push(json!({"if": is_ours, "then": {"properties": {"kind": {"enum": names}}}}));
    json!({
        "$schema": DRAFT,
        "title": "Manifests of Tidegate",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}},
        "allOf": choices,
        "definitions": definitions,
    })
}

fn document(crd: &Crd) -> Value {
    let mut schema = plain(crd.schema());
    let description = schema["description"].clone();
    let spec = schema["properties"]["spec"].take();
    json!({
        "title": crd.kind,
        "description": description,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": crd.kind},
            "metadata": metadata(),
            "spec": spec,
            "status": {"type": "object", "description": "Written by the operator."},
        },
    })
}

fn metadata() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 253},
            "namespace": {"type": "string", "minLength": 1, "maxLength": 63},
            "labels": texts,
            "annotations": texts,
        },
    })
}

/// A structural schema as JSON Schema. An object has the fields that it names and no others.
fn plain(schema: &Value) -> Value {
    let Value::Object(map) = schema else {
        return schema.clone();
    };
    let mut result = Map::new();
    for (keyword, value) in map {
        match keyword.as_str() {
            "properties" => {
                let fields = value.as_object().into_iter().flatten();
                let fields = fields.map(|(name, below)| (name.clone(), plain(below)));
                result.insert(keyword.clone(), Value::Object(fields.collect()));
            }
            "items" | "additionalProperties" => {
                result.insert(keyword.clone(), plain(value));
            }
            _ if keyword.starts_with("x-kubernetes-") => {}
            _ => {
                result.insert(keyword.clone(), value.clone());
            }
        }
    }
    if schema["x-kubernetes-int-or-string"] == true {
        result.insert("type".to_owned(), json!(["integer", "string"]));
    }
    let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if result.contains_key("properties") && !is_open && !result.contains_key("additionalProperties")
    {
        result.insert("additionalProperties".to_owned(), false.into());
    }
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Validator;

    fn documents(text: &str) -> Vec<Value> {
        serde_saphyr::from_multiple(text).unwrap()
    }

    /// For the API server a null is a field that is left out. Editors may object to it.
    fn without_nulls(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, below| !below.is_null());
                map.values_mut().for_each(without_nulls);
            }
            Value::Array(items) => items.iter_mut().for_each(without_nulls),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn what_the_api_server_takes_is_valid() {
        let schema = jsonschema::validator_for(&json_schemas()).unwrap();
        for mut document in documents(include_str!("../tests/accepted.yaml")) {
            without_nulls(&mut document);
            let errors: Vec<_> = schema
                .iter_errors(&document)
                .map(|e| e.to_string())
                .collect();
            assert!(
                errors.is_empty(),
                "{}: {errors:#?}",
                document["metadata"]["name"]
            );
        }
        let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": 1});
        assert!(schema.is_valid(&other));
    }

    /// Rules in CEL have no counterpart in JSON Schema.
    #[test]
    fn unknown_fields_and_wrong_values_are_not() {
        let schema = jsonschema::validator_for(&json_schemas()).unwrap();
        let validator = Validator::new();
        let mut refused = 0;
        for document in documents(include_str!("../tests/refused.yaml")) {
            let found = validator.validate(&document);
            let is_unknown = found.iter().any(|f| f.message.starts_with("unknown field"));
            assert!(!is_unknown || !schema.is_valid(&document), "{document}");
            refused += usize::from(!schema.is_valid(&document));
        }
        assert!(refused > 20, "{refused}");
        let unknown = json!({"apiVersion": API_VERSION, "kind": "Gatewy", "metadata": {"name": "a"}, "spec": {}});
        assert!(!schema.is_valid(&unknown));
    }

    #[test]
    fn each_kind_has_one_of_its_own() {
        for crd in crds() {
            let schema = json_schema(&crd.kind.to_lowercase()).unwrap();
            assert_eq!(schema["properties"]["kind"]["const"], crd.kind);
            assert!(jsonschema::validator_for(&schema).is_ok());
        }
        assert_eq!(json_schema("Secret"), None);
    }
}
