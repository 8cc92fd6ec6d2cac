//! `tidegate import apim`: what it makes of documents is valid, and what it cannot is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import")
        .join(name)
}

fn tidegate(args: &[&str], path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(args)
        .arg(path)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The imported block within a WebSocketApi that declares the named values it reads.
fn manifest(block: &str) -> String {
    let spec: String = block
        .lines()
        .filter(|line| *line != "---")
        .map(|line| format!("  {line}\n"))
        .collect();
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: Gateway\nmetadata: {{name: edge}}\n\
         spec: {{listeners: [{{name: plain, port: 8080, protocol: WS}}]}}\n---\n\
         apiVersion: tidegate.dev/v1alpha1\nkind: WebSocketApi\nmetadata: {{name: chat}}\n\
         spec:\n  gateways: [{{name: edge}}]\n  path: /chat\n  backend: {{url: \"ws://localhost:1/\"}}\n\
         \x20 values: [{{name: audience, value: a}}, {{name: backend_password, value: b}}]\n{spec}"
    )
}

fn assert_valid(block: &str) {
    let directory = tempfile::tempdir().expect("a directory is made");
    let file = directory.path().join("all.yaml");
    fs::write(&file, manifest(block)).expect("the file is written");
    let output = tidegate(&["validate"], &file);
    assert!(output.status.success(), "{}\n{block}", text(&output.stdout));
}

#[test]
fn a_document_of_known_policies_is_translated_whole_and_valid() {
    let output = tidegate(&["import", "apim"], &fixture("whole.xml"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let block = text(&output.stdout);
    assert!(!block.contains("501"), "{block}");
    assert_valid(&block);
}

#[test]
fn what_is_not_translated_is_named_and_refused() {
    let file = fixture("gaps.xml");
    let output = tidegate(&["import", "apim"], &file);
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output.stderr);
    for (line, level, what) in [
        ("3:5", "error", "not supported on a WebSocket API"),
        ("4:5", "error", "context.Deployment.ServiceName"),
        ("11:9", "error", "validate-client-certificate"),
        ("14:5", "warning", "left out"),
        ("15:5", "error", "backend.hostHeader"),
        ("17:12", "warning", "timeouts"),
        ("18:13", "error", "left out"),
    ] {
        let start = format!("{}:{line}: {level}: ", file.display());
        let is_named = |row: &str| row.starts_with(&start) && row.contains(what);
        assert!(found.lines().any(is_named), "{start}{what}\n{found}");
    }
    let block = text(&output.stdout);
    assert_eq!(block.matches("status: 501").count(), 4, "{block}");
    assert!(block.contains("request.method"), "{block}");
    assert_valid(&block);
}

#[test]
fn inherited_policies_that_never_run_on_a_handshake_are_notes() {
    let directory = tempfile::tempdir().expect("a directory is made");
    let file = directory.path().join("global.xml");
    let document =
        "<policies><inbound><cors/></inbound><backend><forward-request/></backend></policies>";
    fs::write(&file, document).expect("the file is written");
    let output = tidegate(&["import", "apim", "--scope", "global"], &file);
    assert_eq!(output.status.code(), Some(0));
    let found = text(&output.stderr);
    assert!(
        found.contains("note: skipped: no effect on WebSocket APIs"),
        "{found}"
    );
}

/// What an import of definitions prints is taken as it is.
fn assert_valid_manifests(manifests: &str) {
    let directory = tempfile::tempdir().expect("a directory is made");
    let file = directory.path().join("all.yaml");
    fs::write(&file, manifests).expect("the file is written");
    let output = tidegate(&["validate"], &file);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{manifests}");
}

fn assert_said(found: &str, wanted: &[(&str, &str)]) {
    for (place, what) in wanted {
        let is_named = |row: &str| row.contains(place) && row.contains(what);
        assert!(found.lines().any(is_named), "{place} {what}\n{found}");
    }
    assert_eq!(found.lines().count(), wanted.len(), "{found}");
}

#[test]
fn a_folder_of_apiops_becomes_manifests_that_are_valid() {
    let output = tidegate(&["import", "apim", "--gateway", "edge"], &fixture("apiops"));
    let (manifests, found) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_valid_manifests(&manifests);
    for wanted in [
        "path: /chat/v1",
        "url: wss://other.example.com/socket",
        "name: on-prem",
        "approval: Approved",
        "owner: ann",
        "subscriptionsLimit: 3",
        "remainingVariable: left",
        "name: X-Who",
        "name: X-All",
        "status: 501",
        "backend_key: replace me",
    ] {
        assert!(manifests.contains(wanted), "{wanted}\n{manifests}");
    }
    assert_said(
        &found,
        &[
            (
                "apiInformation.json:12:1: warning",
                "authenticationSettings",
            ),
            ("rest/apiInformation.json:1:1: note", "of type http"),
            (
                "products/gold/policy.xml:1:28: note",
                "skipped: no effect on WebSocket APIs",
            ),
            (
                "policy fragments/who/policy.xml:3:3: error",
                "quota-of-dreams",
            ),
            ("backends/other/backendInformation.json:1:1: warning", "tls"),
            (
                "chat/apiInformation.json:1:1: note",
                "its policy always names the backend other",
            ),
            (
                "backend-key/namedValueInformation.json:1:1: error",
                "backend_key",
            ),
            ("ann/subscriptionInformation.json:1:1: warning", "new keys"),
            ("apiops/loggers:1:1: note", "not read"),
            ("gold/apis.json:1:1: note", "its API is not imported"),
        ],
    );
}

#[test]
fn a_template_becomes_manifests_that_are_valid() {
    let output = tidegate(&["import", "apim"], &fixture("template.json"));
    let (manifests, found) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_valid_manifests(&manifests);
    for wanted in [
        "name: realtime-prod",
        "url: wss://prod.example.com/realtime",
        "header: api-key",
        "validateJwt",
        "api: realtime-prod",
    ] {
        assert!(manifests.contains(wanted), "{wanted}\n{manifests}");
    }
    assert_said(
        &found,
        &[
            ("template.json:14:1: note", "service ?: it exists already"),
            ("template.json:27:1: warning", "protocols is left out"),
            (
                "template.json:37:1: error",
                "not supported on a WebSocket API",
            ),
            ("template.json:40:1: warning", "new keys"),
            ("template.json:49:1: note", "microsoft.insights"),
        ],
    );
}

#[test]
fn compiled_bicep_becomes_manifests_that_are_valid() {
    let output = tidegate(&["import", "apim"], &fixture("bicep.json"));
    let (manifests, found) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_valid_manifests(&manifests);
    for wanted in [
        "name: chat-prod",
        "displayName: Chat of another",
        "path: /chat",
        "url: wss://one.prod.example.com/socket",
        "url: wss://two.example.com/socket",
        "weight: 3",
        "priority: 2",
        "consecutiveFailures: 3",
        "tripDuration: 2m",
        "value: PROD",
        "kind: PolicyFragment",
        "- includeFragment:",
        "- ${values.tenant}",
        "path: /many0",
        "path: /many1",
    ] {
        assert!(manifests.contains(wanted), "{wanted}\n{manifests}");
    }
    assert!(!manifests.contains("setBackend"), "{manifests}");
    assert_said(
        &found,
        &[
            ("bicep.json:15:1: note", "service ?: it exists already"),
            ("bicep.json:63:1: note", "its condition is false"),
            ("bicep.json:100:1: note", "always names the backend pool"),
            ("bicep.json:100:1: warning", "counts failures in a row"),
            (
                "bicep.json:100:1: warning",
                "no statuses that are translated",
            ),
        ],
    );
}

#[test]
fn fragments_come_along_with_the_documents_that_include_them() {
    let directory = tempfile::tempdir().expect("a directory is made");
    let write = |name: &str, content: &str| {
        let file = directory.path().join(name);
        fs::write(&file, content).expect("the file is written");
        file
    };
    let inner = r#"<set-header name="X-A"><value>1</value></set-header>"#;
    let fragment = write("known.xml", &format!("<fragment>{inner}</fragment>"));
    let other = write(
        "other.xml",
        "<!-- whose? -->\n<fragment><quota-of-dreams/></fragment>",
    );
    let include = r#"<include-fragment fragment-id="KNOWN"/>"#;
    let sections = format!("<inbound>{include}{include}</inbound><on-error>{include}</on-error>");
    let document = write("policy.xml", &format!("<policies>{sections}</policies>"));
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["import", "apim"])
        .args([&document, &fragment, &other])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    let (block, fragments) = printed
        .split_once("---\napiVersion")
        .expect("fragments stand behind the block");
    assert_eq!(block.matches("name: known").count(), 3, "{block}");
    assert!(block.contains("name: known-on-error"), "{block}");
    assert_eq!(
        fragments.matches("kind: PolicyFragment").count(),
        3,
        "{fragments}"
    );
    assert_valid_manifests(&format!("{}\n---\napiVersion{fragments}", manifest(block)));
    assert_said(
        &text(&output.stderr),
        &[("other.xml:2:11: error", "quota-of-dreams")],
    );
}

#[test]
fn documents_and_definitions_are_not_mixed() {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["import", "apim"])
        .args([fixture("template.json"), fixture("whole.xml")])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
}
