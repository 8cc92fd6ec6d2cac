use std::collections::BTreeSet;

use tidegate_api::Validator;

use super::*;

#[test]
fn the_page_is_what_the_types_say() {
    let written = include_str!("../../../../../docs/reference.md");
    assert!(
        written == page(),
        "docs/reference.md differs from the types: run `make crds`"
    );
}

#[test]
fn the_samples_are_valid() {
    let validator = Validator::new();
    for document in Samples::read().documents() {
        let findings = validator.validate(document);
        let name = &document["metadata"]["name"];
        assert!(
            findings.is_empty(),
            "{} {name}: {findings:?}",
            document["kind"]
        );
    }
}

/// The last cell is the example; fields inside an object have their own.
#[test]
fn every_field_has_an_example() {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let without = rows.filter(|row| row.ends_with("|  |") && !row.contains("object"));
    let without: Vec<_> = without.collect();
    assert!(without.is_empty(), "{without:#?}");
}

#[test]
fn every_link_leads_to_a_heading() {
    let page = page();
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    let anchors: BTreeSet<String> = headings
        .map(|heading| {
            let letters = heading.trim_start_matches('#').trim().chars();
            letters
                .filter(|letter| letter.is_alphanumeric())
                .collect::<String>()
                .to_lowercase()
        })
        .collect();
    for link in page.split("](#").skip(1) {
        let target = link.split(')').next().unwrap_or_default();
        assert!(anchors.contains(target), "#{target}");
    }
}

/// The page shows a policy once, for all sections and kinds.
#[test]
fn a_policy_is_the_same_wherever_it_may_stand() {
    let page = Page::new();
    let steps = page.any_step();
    for crd in &page.crds {
        let sections = fields(&crd.schema()["properties"]["spec"]["properties"]["onHandshake"]);
        for (section, list) in sections {
            for (name, policy) in fields(&list["items"]).filter(|(name, _)| *name != "base") {
                assert_eq!(
                    policy, &steps["properties"][name],
                    "{} {section} {name}",
                    crd.kind
                );
            }
        }
    }
}

#[test]
fn a_stated_default_is_that_of_the_schema() {
    fn check(schema: &Value, path: &str, wrong: &mut Vec<String>) {
        if let (Some(default), Some(text)) = (schema.get("default"), schema["description"].as_str())
            && !default.is_object()
            && !default.is_array()
        {
            let stated = Row::new(String::new(), String::new(), schema, false).default;
            let default = yaml(default);
            let plain = default.trim_matches(['"', '\'']);
            if !text.contains("Default:") || !stated.starts_with(plain) && plain.len() < 32 {
                wrong.push(format!("{path}: {default}, stated: {stated}"));
            }
        }
        for (name, field) in fields(schema) {
            check(field, &format!("{path}.{name}"), wrong);
        }
        if schema["items"].is_object() {
            check(&schema["items"], &format!("{path}[]"), wrong);
        }
    }
    let mut wrong = Vec::new();
    for crd in crds() {
        check(&crd.schema()["properties"]["spec"], &crd.kind, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
