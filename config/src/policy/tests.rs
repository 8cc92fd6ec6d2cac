use serde_json::{Value, json};

use super::*;

fn step(json: Value) -> Result<InboundStep, serde_json::Error> {
    serde_json::from_value(json)
}

#[test]
fn a_step_knows_its_only_policy() {
    let one = step(json!({"when": "true", "setVariable": {"name": "a", "value": "1"}})).unwrap();
    assert_eq!(one.policy().map(Policy::name), Some("setVariable"));
    let fields: Vec<_> = one.expressions().into_iter().map(|e| e.field).collect();
    assert_eq!(fields, ["when", "setVariable.value"]);
}

#[test]
fn none_or_several_policies_are_no_policy() {
    assert!(step(json!({"id": "x"})).unwrap().policy().is_none());
    let two = json!({"base": {}, "setVariable": {"name": "a", "value": "1"}});
    assert!(step(two).unwrap().policy().is_none());
}

/// Names of a step type's policies.
fn policies<S: JsonSchema>() -> Vec<String> {
    let schema: Value = schemars::schema_for!(S).into();
    let fields = schema["properties"].as_object().unwrap().keys().cloned();
    let common = ["id", "when", "base"];
    fields
        .filter(|name| !common.contains(&name.as_str()))
        .collect()
}

#[test]
fn a_fragment_takes_the_steps_of_all_sections_and_no_base() {
    let mut all = policies::<InboundStep>();
    all.extend(policies::<OutboundStep>());
    all.extend(policies::<ErrorStep>());
    all.sort();
    all.dedup();
    assert_eq!(policies::<FragmentStep>(), all);
    let base = serde_json::from_value::<FragmentStep>(json!({"base": {}}));
    assert!(base.is_err());
}

#[test]
fn a_fragments_step_becomes_one_of_the_section_or_is_named() {
    let read = |json| serde_json::from_value::<FragmentStep>(json).unwrap();
    let set = read(json!({"when": "true", "setStatus": {"status": 400}}));
    assert_eq!(InboundStep::of_fragment(&set), Err("setStatus"));
    let taken = ErrorStep::of_fragment(&set).unwrap();
    assert_eq!((taken.when(), taken.policy()), (set.when(), set.policy()));
}

#[test]
fn an_unknown_policy_is_an_error_that_lists_the_known_ones() {
    let error = step(json!({"cors": {}})).unwrap_err().to_string();
    assert!(error.contains("unknown field `cors`"), "{error}");
    assert!(error.contains("validateJwt"), "{error}");
}
