//! `tidegate validate` on examples and on broken files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tidegate_cli::objects::{Loader, Object};

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

/// So many inbound steps, each with about so many kilobytes.
fn steps(count: usize, kilobytes: usize) -> String {
    let value = "x".repeat(1000);
    let values = vec![value; kilobytes].join(", ");
    let step = format!("    - setHeader: {{name: X-A, values: [{values}]}}\n");
    format!("  onHandshake:\n    inbound:\n{}", step.repeat(count))
}

#[test]
fn what_is_too_large_is_refused_with_the_bound_and_harms_nothing_beside_it() {
    let good = "  path: /echo\n  backend: {url: ws://localhost:1/}\n";
    let long = "x".repeat(1 << 20);
    let value = |text: &str| api(&format!("{good}  values: [{{name: a, value: {text}}}]\n"));
    let when = |text: &str| {
        let step = format!("{{when: '{text}', setVariable: {{name: a, value: '1'}}}}");
        api(&format!("{good}  onHandshake: {{inbound: [{step}]}}\n"))
    };
    for (case, text, wanted) in [
        (
            "half a megabyte of policies",
            api(&format!("{good}{}", steps(32, 16))),
            "spec.onHandshake and spec.values have ",
        ),
        (
            "a thousand steps, a megabyte in all",
            api(&format!("{good}{}", steps(1_000, 1))),
            "spec.onHandshake.inbound: what stands here has more than 32 items",
        ),
        (
            "a named value of a megabyte",
            value(&long),
            "spec.values[0].value: ",
        ),
        (
            "an expression of a megabyte",
            when(&long),
            "spec.onHandshake.inbound[0].when: ",
        ),
        (
            "an expression nested two thousand deep",
            when(&format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000))),
            "nested or chained deeper than 64 levels",
        ),
        (
            "a pattern that grows when it is compiled",
            when("request.path.matches(\"(?:(?:a{100}){100}){100}\")"),
            "the pattern is too big when compiled",
        ),
        (
            "a name of a megabyte",
            api(good).replace("name: echo", &format!("name: {long}")),
            "metadata.name: ",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.yaml"), text).unwrap();
        let output = validate(directory.path());
        let lines = lines(&output);
        assert_eq!(output.status.code(), Some(1), "{case}: {lines:#?}");
        let found = lines.iter().find(|line| line.contains(wanted));
        let found = found.unwrap_or_else(|| panic!("{case}: {lines:#?}"));
        assert!(found.len() < 2_000, "{case}: {} bytes", found.len());
        assert!(!found.contains("Gateway default/edge"), "{case}: {found}");
    }
}

#[test]
fn what_grows_while_it_is_read_is_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let items = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{items}]\n"));
    }
    for (case, text) in [
        ("a billion laughs", laughs),
        ("lists in lists", "[".repeat(200_000)),
        ("maps in maps", "{a: ".repeat(200_000)),
        ("JSON in JSON", "{\"a\":".repeat(200_000)),
        ("no text", "\u{0}\u{1}\u{2}".to_owned()),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        fs::write(&file, text).unwrap();
        let output = validate(&file);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(1), "{case}: {said}");
        assert!(said.contains("a.yaml"), "{case}: {said}");
        assert!(said.len() < 2_000, "{case}: {} bytes", said.len());
    }
}

#[test]
fn what_works_and_should_be_looked_at_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let open = "apiVersion: tidegate.dev/v1alpha1\nkind: WebSocketApi\nmetadata: {name: open}\n\
                spec:\n  gateways: [{name: edge}]\n  path: /\n  pathMatch: Prefix\n  \
                subscriptionRequired: false\n  backend: {url: ws://localhost:1/}\n";
    let guarded = api("  path: /echo\n  backend: {url: ws://localhost:1/}\n");
    fs::write(dir.path().join("a.yaml"), format!("{guarded}---\n{open}")).unwrap();
    let output = validate(dir.path());
    let lines = lines(&output);
    assert!(output.status.success(), "{lines:#?}");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let warned =
        |line: &String| line.contains(": warning: ") && line.contains("checks access differently");
    assert!(lines.iter().all(warned), "{lines:#?}");
}

#[test]
fn files_that_are_read_again_change_as_objects_of_an_api_server_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    let mut loader = Loader::default();
    let mut load = |product: &str, more: &str| {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Subscription\nmetadata: {{name: mine}}\n\
             spec: {{scope: {{product: {product}}}{more}}}\n"
        );
        fs::write(&file, text).unwrap();
        let objects = loader.load(std::slice::from_ref(&file));
        let found = objects
            .all
            .values()
            .find_map(|loaded| match &loaded.object {
                Object::Subscription(subscription) => subscription.spec.scope.product.clone(),
                _ => None,
            });
        (found.unwrap(), objects.findings.len())
    };
    for (name, product, more, served, findings) in [
        ("undecided", "trial", "", "trial", 0),
        ("moved while undecided", "other", "", "other", 0),
        ("approved", "trial", ", approval: Approved", "trial", 0),
        (
            "moved while approved",
            "payments",
            ", approval: Approved",
            "trial",
            1,
        ),
        (
            "still moved",
            "payments",
            ", approval: Approved, displayName: x",
            "trial",
            1,
        ),
        (
            "approved anew",
            "payments",
            ", approval: Approved, approvalGeneration: 2",
            "payments",
            0,
        ),
        ("lowered", "payments", ", approval: Approved", "payments", 1),
        (
            "taken back with the change",
            "trial",
            ", approvalGeneration: 2",
            "trial",
            0,
        ),
    ] {
        assert_eq!(load(product, more), (served.to_owned(), findings), "{name}");
    }
}
