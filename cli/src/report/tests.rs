use std::path::PathBuf;

use super::*;
use crate::positions::Position;

fn report() -> Report {
    let finding = |line, is_warning| Finding {
        file: PathBuf::from("a, b.yaml"),
        position: Position { line, column: 3 },
        object: Some("Gateway default/edge".to_owned()),
        field: Some("spec.listeners[0].port".to_owned()),
        message: "is 100% wrong\n::error::me".to_owned(),
        is_warning,
    };
    Report {
        findings: vec![finding(4, false), finding(9, true)],
        checked: BTreeMap::from([("Gateway".to_owned(), 1), ("WebSocketApi".to_owned(), 2)]),
        read: BTreeMap::from([("Secret".to_owned(), 1)]),
        skipped: BTreeMap::from([(("apps/v1".to_owned(), "Deployment".to_owned()), 2)]),
        external: BTreeMap::from([("Secret".to_owned(), 3)]),
    }
}

#[test]
fn the_last_line_counts_what_was_checked_and_what_was_not() {
    let text = report().render(Format::Text).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "a, b.yaml:4: Gateway default/edge: spec.listeners[0].port: is 100% wrong\\n::error::me",
            "a, b.yaml:9: Gateway default/edge: spec.listeners[0].port: warning: is 100% wrong\\n::error::me",
            "3 objects checked (1 Gateway, 2 WebSocketApi): 1 error, 1 warning; read beside them: 1 Secret; \
             not checked: 2 Deployment of apps/v1; references not followed: 3 Secret",
        ]
    );
    assert_eq!(
        Report::default().render(Format::Text).unwrap(),
        "0 objects checked: 0 errors, 0 warnings"
    );
}

#[test]
fn a_manifest_begins_no_command_of_a_workflow() {
    let text = report().render(Format::Github).unwrap();
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "::error file=a%2C b.yaml,line=4,col=3::Gateway default/edge: spec.listeners[0].port: is 100%25 \
         wrong%0A::error::me"
    );
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn programs_get_every_finding_with_its_place() {
    let json: Value = serde_json::from_str(&report().render(Format::Json).unwrap()).unwrap();
    assert_eq!(json["findings"][1]["level"], "warning");
    assert_eq!(json["findings"][0]["line"], 4);
    assert_eq!(json["checked"]["WebSocketApi"], 2);
    assert_eq!(json["notChecked"][0]["kind"], "Deployment");
    let sarif: Value = serde_json::from_str(&report().render(Format::Sarif).unwrap()).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(result["level"], "error");
    assert_eq!(place["artifactLocation"]["uri"], "a%2C%20b.yaml");
    assert_eq!(place["region"]["startLine"], 4);
}
