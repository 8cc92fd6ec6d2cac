use std::collections::BTreeSet;

use serde_json::json;

use crate::{Validator, crds};

use super::*;

/// A case, the field of a listener, its wrong value, and what is said about it.
fn wrong_values() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    vec![
        (
            "a word",
            "port",
            json!("x"),
            "spec.listeners[0].port: must be a whole number, not text; for example 8080",
        ),
        (
            "too high",
            "port",
            json!(70_000),
            "spec.listeners[0].port: must be from 1 to 65535, not 70000",
        ),
        (
            "no choice",
            "protocol",
            json!("TCP"),
            "spec.listeners[0].protocol: \"TCP\" is none of WS, WSS",
        ),
        (
            "a switch",
            "name",
            json!(true),
            "spec.listeners[0].name: true is a boolean and not text: quote it, \"true\"",
        ),
        (
            "capitals",
            "name",
            json!("Plain"),
            "spec.listeners[0].name: \"Plain\" is not a name of a-z, 0-9 and -, with no - at either end; for example plain",
        ),
        (
            "too long",
            "name",
            json!("aaaaaaaaaaaaaaaa"),
            "spec.listeners[0].name: has 16 characters, at most 15 are allowed",
        ),
        (
            "no list",
            "hostnames",
            json!("a.example"),
            "spec.listeners[0].hostnames: must be a list, not text; for example [ws.example.com]",
        ),
        (
            "text for a switch",
            "http2",
            json!("yes"),
            "spec.listeners[0].http2: must be true or false, not text; for example false",
        ),
        (
            "nothing",
            "port",
            json!(null),
            "spec.listeners[0].port: is missing; for example 8080",
        ),
    ]
}

#[test]
fn a_wrong_value_is_explained_with_a_right_one() {
    let validator = Validator::new();
    let listener = json!({"name": "plain", "port": 8080, "protocol": "WS"});
    for (case, field, value, wanted) in wrong_values() {
        let mut listener = listener.clone();
        listener[field] = value;
        let document = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Gateway", "metadata": {"name": "edge"},
            "spec": {"listeners": [listener]},
        });
        let found = validator.validate(&document);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(found.contains(&wanted.to_owned()), "{case}: {found:#?}");
    }
}

/// Keywords of a schema that say what a value must be.
const KNOWN: [&str; 13] = [
    "type",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "additionalProperties",
];

#[test]
fn schemas_demand_nothing_that_has_no_words() {
    const SAY_NOTHING: [&str; 5] = ["description", "default", "title", "properties", "items"];
    fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
        for (keyword, below) in schema.as_object().into_iter().flatten() {
            found.insert(keyword.clone());
            match keyword.as_str() {
                "properties" => below
                    .as_object()
                    .into_iter()
                    .flatten()
                    .for_each(|(_, b)| keywords(b, found)),
                "items" | "additionalProperties" => keywords(below, found),
                _ => {}
            }
        }
    }
    let mut found = BTreeSet::new();
    for crd in crds() {
        keywords(crd.schema(), &mut found);
    }
    found.retain(|word| !word.starts_with("x-kubernetes-"));
    found.retain(|word| !SAY_NOTHING.contains(&word.as_str()));
    let unknown: Vec<_> = found
        .iter()
        .filter(|word| !KNOWN.contains(&word.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a_duration_without_a_unit_is_not_sent_to_be_quoted() {
    let field = json!({"type": "string", "pattern": Duration::PATTERN});
    for (value, wanted) in [
        (
            json!(60),
            "60 lacks a unit: use h, m, s or ms, for example 60s",
        ),
        (
            json!(1.5),
            "1.5 lacks a unit: use h, m, s or ms, for example 1.5s",
        ),
        (json!(0), "0 is a number and not text: quote it, \"0\""),
    ] {
        assert_eq!(wrong_type(&value, "period", &field), wanted);
    }
}
