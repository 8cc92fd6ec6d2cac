//! The patches of `docs/operate.md` are valid and do what the page says, on the manifests of `docs/first-gateways.md`.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PAGE: &str = include_str!("../../docs/operate.md");
const MANIFESTS: &str = include_str!("../../docs/first-gateways.md");

/// A `kubectl patch` of the page: short name of the kind, name, merge patch.
struct Patch {
    kind: &'static str,
    name: &'static str,
    patch: Value,
}

fn patches() -> Vec<Patch> {
    let lines = PAGE.lines();
    let lines = lines.filter_map(|line| line.strip_prefix("kubectl patch "));
    lines
        .map(|line| {
            let (object, patch) = line.split_once(" --type merge -p ").unwrap();
            let (kind, name) = object.split_once(' ').unwrap();
            let patch = patch.trim_matches('\'');
            Patch {
                kind: match kind {
                    "wssub" => "Subscription",
                    "wsapi" => "WebSocketApi",
                    "wsprod" => "Product",
                    other => other,
                },
                name,
                patch: serde_json::from_str(patch).unwrap(),
            }
        })
        .collect()
}

/// The objects of first-gateways.md.
fn objects() -> Vec<Value> {
    let blocks = MANIFESTS.split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let documents = blocks.flat_map(|block| block.split("---\n"));
    documents
        .map(|text| serde_saphyr::from_str(text).unwrap())
        .collect()
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(target.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn apply(objects: &mut [Value], patch: &Patch) {
    let is_it = |object: &&mut Value| {
        object["kind"] == patch.kind && object["metadata"]["name"] == patch.name
    };
    let mut objects = objects.iter_mut();
    let object = objects.find(is_it).expect("the page names an object");
    merge(object, &patch.patch);
}

/// One file for each object: JSON is YAML.
fn write(directory: &Path, objects: &[Value]) {
    for (index, object) in objects.iter().enumerate() {
        let file = directory.join(format!("{index:02}.yaml"));
        fs::write(file, object.to_string()).unwrap();
    }
}

fn tidegate(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(directory).args(arguments);
    command.output().unwrap()
}

#[test]
fn every_patch_is_valid_after_those_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut objects = objects();
    let patches = patches();
    assert!(patches.len() >= 9, "{} patches", patches.len());
    for patch in &patches {
        apply(&mut objects, patch);
        write(directory.path(), &objects);
        let checked = tidegate(directory.path(), &["validate", "."]);
        assert!(checked.status.success(), "{}: {checked:?}", patch.patch);
    }
}

#[test]
fn each_patch_decides_who_gets_in() {
    let url = "ws://127.0.0.1:8080/prices";
    for (case, patches_of, subscription, wanted) in [
        ("nothing", &[][..], "trader", 0),
        ("a rotation", &[r#""primaryGeneration""#][..], "trader", 0),
        ("suspended", &["Suspended"], "trader", 1),
        ("active again", &["Suspended", "Active"], "trader", 0),
        ("an end in the future", &["2099"], "trader", 0),
        ("cancelled, without keys", &["Cancelled"], "trader", 2),
        ("not approved", &["approvalRequired"], "partner", 1),
        (
            "approved",
            &["approvalRequired", r#""approval":"#],
            "partner",
            0,
        ),
        (
            "approved anew",
            &["approvalRequired", r#""approval":"#, "approvalGeneration"],
            "partner",
            0,
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut objects = objects();
        let all = patches();
        for word in patches_of {
            let mut all = all.iter();
            let patch = all.find(|patch| patch.patch.to_string().contains(word));
            apply(&mut objects, patch.expect("the page has the patch"));
        }
        write(directory.path(), &objects);
        let arguments = ["explain", url, "--dir", ".", "--subscription", subscription];
        let explained = tidegate(directory.path(), &arguments);
        assert_eq!(
            explained.status.code(),
            Some(wanted),
            "{case}: {explained:?}"
        );
    }
}

#[test]
fn a_replaced_backend_is_the_one_that_is_called() {
    let directory = tempfile::tempdir().unwrap();
    let mut objects = objects();
    let all = patches();
    for patch in all.iter().filter(|patch| patch.kind == "WebSocketApi") {
        apply(&mut objects, patch);
        write(directory.path(), &objects);
        let explained = tidegate(
            directory.path(),
            &["explain", "ws://127.0.0.1:8080/chat", "--dir", "."],
        );
        let said = String::from_utf8(explained.stdout).unwrap();
        let backend = patch.patch["spec"]["backend"]["url"].as_str().unwrap();
        assert!(said.contains(backend), "{said}");
    }
}

#[test]
fn who_waits_and_who_has_expired_is_named() {
    for (word, change, field) in [
        (
            "approval",
            r#"{"spec": {"approvalRequired": true}}"#,
            "spec.approval",
        ),
        (
            "expired",
            r#"{"spec": {"expiresAt": "2020-01-01T00:00:00Z"}}"#,
            "spec.expiresAt",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut objects = objects();
        let is_expiry = word == "expired";
        let patch = Patch {
            kind: if is_expiry { "Subscription" } else { "Product" },
            name: if is_expiry { "trader" } else { "market-data" },
            patch: serde_json::from_str(change).unwrap(),
        };
        apply(&mut objects, &patch);
        write(directory.path(), &objects);
        let checked = tidegate(directory.path(), &["validate", "."]);
        assert!(checked.status.success(), "it is a warning: {checked:?}");
        let said = String::from_utf8(checked.stdout).unwrap();
        let mut lines = said.lines();
        let line = lines.find(|line| line.contains("Subscription default/trader"));
        let line = line.expect("a line about trader");
        assert!(
            line.contains(word) && line.contains(field) && line.contains("warning"),
            "{line}"
        );
    }
}
