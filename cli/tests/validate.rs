//! `tidegate validate` on examples and on broken files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn validate(path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("validate")
        .arg(path)
        .output()
        .expect("the program starts")
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_example_is_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut count = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let output = validate(&path);
            assert!(
                output.status.success(),
                "{}: {:#?}",
                path.display(),
                lines(&output)
            );
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} examples found");
}

const GATEWAY: &str = "apiVersion: tidegate.dev/v1alpha1\nkind: Gateway\nmetadata: {name: edge}\n\
                       spec: {listeners: [{name: plain, port: 8080, protocol: WS}]}\n---\n";

fn api(spec: &str) -> String {
    format!(
        "{GATEWAY}apiVersion: tidegate.dev/v1alpha1\nkind: WebSocketApi\nmetadata: {{name: echo}}\n\
         spec:\n  gateways: [{{name: edge}}]\n{spec}"
    )
}

#[test]
fn a_broken_manifest_is_named_with_file_object_and_field() {
    let good = "  path: /echo\n  backend: {url: ws://localhost:1/}\n";
    for (case, text, wanted) in [
        (
            "unknown field",
            api(&format!("{good}  nonsense: 1\n")),
            "spec.nonsense",
        ),
        (
            "wrong type",
            api(&format!("{good}  subscriptionRequired: 1\n")),
            "spec.subscriptionRequired",
        ),
        (
            "rule",
            api("  path: echo\n  backend: {url: ws://localhost:1/}\n"),
            "spec.path",
        ),
        (
            "scheme",
            api("  path: /echo\n  backend: {url: http://localhost:1/}\n"),
            "spec.backend.url",
        ),
        (
            "expression",
            api(&format!(
                "{good}  onHandshake: {{inbound: [{{when: 'reqest.host == \"a\"', base: {{}}}}]}}\n"
            )),
            "request",
        ),
        (
            "missing gateway",
            api(good).replace("[{name: edge}]", "[{name: egde}]"),
            "egde",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        fs::write(&file, text).unwrap();
        let output = validate(&file);
        let lines = lines(&output);
        assert_eq!(output.status.code(), Some(1), "{case}: {lines:#?}");
        let named = lines.iter().any(|line| {
            line.starts_with(&format!(
                "{}:6: WebSocketApi default/echo: ",
                file.display()
            )) && line.contains(wanted)
        });
        assert!(named, "{case}: {lines:#?}");
    }
}
