use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn parameters() -> Parameters {
    Parameters {
        gateway: "conformance".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 9100,
        tls_port: 9101,
    }
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_file_of_the_suite_is_embedded() {
    let files = fs::read_dir(tree().join("conformance")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let stems: BTreeSet<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let embedded: BTreeSet<_> = CHAPTERS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(stems, embedded);
}

#[test]
fn cases_do_not_meet() {
    let chapters = load(&parameters()).unwrap();
    let mut names = BTreeSet::new();
    for (_, case) in cases(&chapters) {
        let name = &case.name;
        assert!(names.insert(name.clone()), "{name}: twice");
        assert!(name.len() <= 40, "{name}: too long for names made of it");
        let played = !case.steps.is_empty();
        assert_ne!(played, case.refused.is_some(), "{name}: steps or refused");
        for object in &case.objects {
            let own = object["metadata"]["name"].as_str().unwrap();
            assert!(own.starts_with(name.as_str()), "{name}: {own}");
        }
    }
}

#[test]
fn nothing_is_left_to_fill_in() {
    let chapters = load(&parameters()).unwrap();
    let target = crate::conformance::manifests::Target {
        gateway: "conformance".to_owned(),
        port: 8080,
        tls_port: 8443,
        managed: true,
    };
    for (_, case) in cases(&chapters) {
        let objects = crate::conformance::manifests::of_case(case, &target);
        let text = serde_json::to_string(&objects).unwrap();
        assert!(!text.contains("<<"), "{}: {text}", case.name);
    }
}

/// Names of all fields of a schema, as `policy.field.field`.
fn fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.insert(path.clone());
        fields(below, &path, found);
    }
    if schema["items"].is_object() {
        fields(&schema["items"], path, found);
    }
}

/// The same of what cases write.
fn used(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, below) in all {
                let path = format!("{path}.{name}");
                found.insert(path.clone());
                used(below, &path, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| used(item, path, found)),
        _ => {}
    }
}

/// Policies whose cases are still to be written. Nothing else belongs here.
const WITHOUT_CASES: [&str; 0] = [];

/// The policy in `onHandshake.SECTION.POLICY.…`.
fn policy(path: &str) -> &str {
    path.split('.').nth(2).unwrap_or_default()
}

#[test]
fn every_field_of_every_policy_has_a_case() {
    let crd = tree().join("crds/websocketapi.yaml");
    let crd: Value = serde_saphyr::from_str(&fs::read_to_string(crd).unwrap()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut known = BTreeSet::new();
    fields(
        &spec["properties"]["onHandshake"],
        "onHandshake",
        &mut known,
    );
    assert!(known.contains("onHandshake.inbound.validateJwt.issuers"));
    let mut seen = BTreeSet::new();
    for (_, case) in cases(&load(&parameters()).unwrap()) {
        used(&json!(case.api), "", &mut seen);
        used(&json!({"onHandshake": case.gateway}), "", &mut seen);
        for object in &case.objects {
            used(&object["spec"], "", &mut seen);
        }
    }
    let seen: BTreeSet<_> = seen
        .iter()
        .map(|path| path.trim_start_matches('.'))
        .collect();
    let missing = known.iter().filter(|path| !seen.contains(path.as_str()));
    // A policy is one type for all its sections: its fields are looked at in one of them.
    let elsewhere = |path: &&String| {
        let (_, rest) = path.split_at("onHandshake.".len());
        let Some((_, policy)) = rest.split_once('.').filter(|(_, p)| p.contains('.')) else {
            return false;
        };
        let of = |section: &str| format!("onHandshake.{section}.{policy}");
        let sections = ["inbound", "outbound", "onError"];
        sections
            .iter()
            .any(|section| seen.contains(of(section).as_str()))
    };
    let is_later = |path: &&String| WITHOUT_CASES.contains(&policy(path));
    let missing: Vec<_> = missing
        .filter(|path| !elsewhere(path) && !is_later(path))
        .collect();
    let written = seen.iter().map(|path| policy(path));
    let written: Vec<_> = written
        .filter(|policy| WITHOUT_CASES.contains(policy))
        .collect();
    assert!(written.is_empty(), "take them off the list: {written:?}");
    assert!(
        missing.is_empty(),
        "write a case for each of these (conformance/README.md): {missing:#?}"
    );
}
