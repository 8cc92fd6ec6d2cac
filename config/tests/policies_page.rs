//! `docs/policies.md` names every policy with all its fields, and no others.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_config::policy::{ErrorStep, InboundStep, OutboundStep};

const PAGE: &str = include_str!("../../docs/policies.md");

/// The fields of a step that are no policies.
const COMMON: [&str; 3] = ["id", "when", "base"];

/// Name and fields of every policy that a step type takes.
fn policies(schema: &Value) -> Vec<(String, BTreeSet<String>)> {
    let properties = schema["properties"].as_object().expect("properties");
    let policies = properties
        .iter()
        .filter(|(name, _)| !COMMON.contains(&name.as_str()));
    let fields = |policy: &Value| {
        let reference = policy["anyOf"][0]["$ref"].as_str().expect("a reference");
        let target = schema.pointer(&reference[1..]).expect("its target");
        let fields = target["properties"].as_object().expect("its properties");
        fields.keys().cloned().collect()
    };
    policies
        .map(|(name, policy)| (name.clone(), fields(policy)))
        .collect()
}

/// The text below `## heading`.
fn part(heading: &str) -> Option<&'static str> {
    let (_, rest) = PAGE.split_once(&format!("\n## {heading}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest))
}

/// The first cells of all rows that name a field, or a field of it.
fn documented_fields(part: &str) -> BTreeSet<String> {
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split_once('`')?.0.split('.').next());
    names.map(str::to_owned).collect()
}

fn all() -> [(usize, Value); 3] {
    [
        (1, schemars::schema_for!(InboundStep).into()),
        (2, schemars::schema_for!(OutboundStep).into()),
        (3, schemars::schema_for!(ErrorStep).into()),
    ]
}

#[test]
fn every_policy_has_its_part_with_exactly_its_fields() {
    for (_, schema) in all() {
        for (policy, fields) in policies(&schema) {
            let part = part(&policy).unwrap_or_else(|| panic!("no part about {policy}"));
            assert_eq!(documented_fields(part), fields, "{policy}");
        }
    }
}

#[test]
fn the_table_says_in_which_sections_a_policy_stands() {
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter(|line| line.starts_with("| [`"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut marked = BTreeSet::new();
    let mut declared = BTreeSet::new();
    for (column, schema) in all() {
        for row in rows.iter().filter(|row| row[column + 1] == "x") {
            let name = row[1].trim_start_matches("[`").split('`').next();
            marked.insert((column, name.unwrap_or_default().to_owned()));
        }
        declared.extend(
            policies(&schema)
                .into_iter()
                .map(|(name, _)| (column, name)),
        );
    }
    assert_eq!(marked, declared);
}
