//! CEL rules, compiled for the fields that documents have so far: all rules of a kind take longer to
//! compile than hundreds of documents take to check.

use kube::core::cel::{CompiledSchema, ValidationErrors, Validator, compile_schema};
use parking_lot::Mutex;
use serde_json::Value;

use super::Finding;

/// What a compiled part does not bring along: it is compiled when a document has it.
const BELOW: [&str; 3] = ["properties", "items", "additionalProperties"];

/// The rules of one kind.
pub(super) struct Rules {
    /// A part of the kind's schema: the root, and what was needed since.
    compiled: Mutex<CompiledSchema>,
}

impl Rules {
    /// The rules of the root.
    pub(super) fn new(schema: &Value) -> Self {
        Self {
            compiled: Mutex::new(part(schema)),
        }
    }

    /// The rules that a document breaks, also as a change of `before`. `schema` is that of [`Self::new`].
    pub(super) fn check(
        &self,
        schema: &Value,
        validator: &Validator,
        document: &Value,
        before: Option<&Value>,
    ) -> Vec<Finding> {
        let mut compiled = self.compiled.lock();
        extend(&mut compiled, schema, document);
        if let Some(before) = before {
            extend(&mut compiled, schema, before);
        }
        let errors = validator
            .validate_compiled(&compiled, document, before)
            .err()
            .map(ValidationErrors::into_vec);
        let finding =
            |error: kube::core::cel::ValidationError| Finding::new(error.field_path, error.message);
        errors.into_iter().flatten().map(finding).collect()
    }
}

/// A schema without those of its fields and items.
fn part(schema: &Value) -> CompiledSchema {
    let mut own = schema.clone();
    if let Some(map) = own.as_object_mut() {
        let is_map = map
            .get("additionalProperties")
            .is_some_and(|other| *other != false);
        map.retain(|name, _| !BELOW.contains(&name.as_str()));
        if is_map {
            // Says that keys are the author's, not field names.
            map.insert("additionalProperties".to_owned(), Value::Bool(true));
        }
    }
    compile_schema(&own)
}

/// Compiles what the value has and no document had before.
fn extend(compiled: &mut CompiledSchema, schema: &Value, value: &Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let other = &schema["additionalProperties"];
                if let Some(below) = schema["properties"].get(name) {
                    let fields = &mut compiled.properties;
                    let field = fields.entry(name.clone()).or_insert_with(|| part(below));
                    extend(field, below, value);
                } else if other.is_object() {
                    let part = || Box::new(part(other));
                    let field = compiled.additional_properties.get_or_insert_with(part);
                    extend(field, other, value);
                }
            }
        }
        Value::Array(items) => {
            let below = &schema["items"];
            for value in items.iter().filter(|_| below.is_object()) {
                let item = compiled.items.get_or_insert_with(|| Box::new(part(below)));
                extend(item, below, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        let rule = |rule: &str, message: &str| json!([{"rule": rule, "message": message}]);
        json!({
            "type": "object",
            "x-kubernetes-validations": rule("self.list.size() < 2 || has(self.map)", "map is missing"),
            "properties": {
                "list": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"n": {
                        "type": "integer", "x-kubernetes-validations": rule("self > 0", "n is too small"),
                    }},
                }},
                "map": {"type": "object", "additionalProperties": {
                    "type": "string", "x-kubernetes-validations": rule("self == oldSelf", "is immutable"),
                }},
            },
        })
    }

    #[test]
    fn parts_give_the_findings_of_the_whole() {
        let (schema, validator) = (schema(), Validator::new());
        let rules = Rules::new(&schema);
        let whole = compile_schema(&schema);
        let documents = [
            json!({"list": []}),
            json!({"list": [{"n": 1}, {"n": 0}]}),
            json!({"list": [{}, {}], "map": {"list": "a"}}),
            json!({"list": [{"n": -1}], "map": {"list": "b", "other": "c"}}),
        ];
        let mut seen = 0;
        for document in &documents {
            for before in std::iter::once(None).chain(documents.iter().map(Some)) {
                let mut found = rules.check(&schema, &validator, document, before);
                found.sort();
                let errors = validator.validate_compiled(&whole, document, before);
                let wanted = errors.err().map(ValidationErrors::into_vec);
                let mut wanted: Vec<_> = wanted
                    .into_iter()
                    .flatten()
                    .map(|error| Finding::new(error.field_path, error.message))
                    .collect();
                wanted.sort();
                assert_eq!(found, wanted, "{document} {before:?}");
                seen += found.len();
            }
        }
        assert!(seen > 10, "the documents break rules: {seen}");
    }

    #[test]
    fn what_no_document_has_is_not_compiled() {
        let (schema, validator) = (schema(), Validator::new());
        let rules = Rules::new(&schema);
        rules.check(&schema, &validator, &json!({"list": []}), None);
        let compiled = rules.compiled.lock();
        assert!(!compiled.properties.contains_key("map"));
        assert!(compiled.properties["list"].items.is_none());
    }
}
