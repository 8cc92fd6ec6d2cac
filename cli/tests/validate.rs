//! `tidegate validate` on examples and on broken files.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
    for (case, text, (at, wanted)) in [
        (
            "unknown field",
            api(&format!("{good}  nonsense: 1\n")),
            (13, "spec.nonsense"),
        ),
        (
            "wrong type",
            api(&format!("{good}  subscriptionRequired: 1\n")),
            (13, "spec.subscriptionRequired"),
        ),
        (
            "rule",
            api("  path: echo\n  backend: {url: ws://localhost:1/}\n"),
            (11, "spec.path"),
        ),
        (
            "scheme",
            api("  path: /echo\n  backend: {url: http://localhost:1/}\n"),
            (12, "spec.backend.url"),
        ),
        (
            "expression",
            api(&format!(
                "{good}  onHandshake: {{inbound: [{{when: 'reqest.host == \"a\"', base: {{}}}}]}}\n"
            )),
            (13, "spec.onHandshake.inbound[0].when: "),
        ),
        (
            "missing gateway",
            api(good).replace("[{name: edge}]", "[{name: egde}]"),
            (10, "spec.gateways[0]: Gateway default/egde does not exist"),
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
                "{}:{at}: WebSocketApi default/echo: ",
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
            "spec.onHandshake.inbound: has 1000 items, at most 32 are allowed",
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
    assert_eq!(lines.len(), 3, "{lines:#?}");
    let warned =
        |line: &String| line.contains(": warning: ") && line.contains("checks access differently");
    assert!(lines[..2].iter().all(warned), "{lines:#?}");
    assert_eq!(
        lines[2],
        "3 objects checked (1 Gateway, 2 WebSocketApi): 0 errors, 2 warnings"
    );
}

#[test]
fn a_subscription_that_waits_says_what_approves_it_and_a_duration_what_it_lacks() {
    let kind = |kind: &str, name: &str, spec: &str| {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n"
        )
    };
    let text = [
        kind("Product", "gold", "apis: [], approvalRequired: true"),
        kind("Subscription", "ann", "scope: {product: gold}"),
        kind(
            "PolicyFragment",
            "slow",
            "steps: [{rateLimit: {calls: 1, period: 60}}]",
        ),
    ];
    let (_, lines) = validate_files(&[("a.yaml", &text.concat())], &["a.yaml"]);
    for wanted in [
        "until it is approved: set approval: Approved",
        "rateLimit.period: 60 lacks a unit: use h, m, s or ms, for example 60s",
    ] {
        let has = lines.iter().any(|line| line.ends_with(wanted));
        assert!(has, "{wanted}: {lines:#?}");
    }
}

/// Runs `validate` in a directory with these files.
fn validate_files(files: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let directory = tempfile::tempdir().expect("there is a directory");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("the file is written");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("validate")
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .expect("the program starts");
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code(), lines(&output))
}

#[test]
fn a_file_in_which_nothing_is_checked_does_not_pass() {
    let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";
    for (case, text, skipped) in [
        ("an empty file", "", None),
        ("a comment", "# nothing\n---\n", None),
        (
            "another application",
            other,
            Some("not checked: 1 Deployment of apps/v1"),
        ),
        (
            "a Secret alone",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n",
            Some("read beside them: 1 Secret"),
        ),
    ] {
        let (code, lines) = validate_files(&[("a.yaml", text)], &["a.yaml"]);
        assert_eq!(code, Some(1), "{case}: {lines:#?}");
        assert!(
            lines[0].contains("nothing was checked"),
            "{case}: {lines:#?}"
        );
        let last = lines.last().unwrap();
        assert!(
            last.starts_with("0 objects checked: 1 error"),
            "{case}: {last}"
        );
        assert!(last.contains(skipped.unwrap_or_default()), "{case}: {last}");
    }
    let (code, lines) = validate_files(&[], &["."]);
    assert_eq!(code, Some(1), "an empty directory: {lines:#?}");
    assert!(
        lines[0].contains("-R reads the directories below"),
        "{lines:#?}"
    );
}

#[test]
fn a_group_or_kind_that_is_nearly_right_is_a_warning() {
    let nearly =
        "apiVersion: tidegate.io/v1alpha1\nkind: WebSocketAPI\nmetadata: {name: a}\nspec: {}\n";
    let (code, lines) = validate_files(&[("a.yaml", &format!("{GATEWAY}{nearly}"))], &["a.yaml"]);
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(
        lines[0].starts_with("a.yaml:6: WebSocketAPI default/a: apiVersion: warning: "),
        "{lines:#?}"
    );
    assert!(
        lines[0].contains("write tidegate.dev/v1alpha1"),
        "{lines:#?}"
    );
    assert!(
        lines[1].ends_with("not checked: 1 WebSocketAPI of tidegate.io/v1alpha1"),
        "{lines:#?}"
    );
    let (code, lines) = validate_files(&[("a.yaml", nearly)], &["a.yaml"]);
    assert_eq!(code, Some(1), "nothing else: {lines:#?}");
}

#[test]
fn an_error_of_yaml_has_one_line_number_that_of_the_file() {
    let broken = api("  path: /a\n  path: /b\n");
    let (code, lines) = validate_files(&[("a.yaml", &broken)], &["a.yaml"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        lines[0],
        "a.yaml:12: path is set twice in the same map: remove one of the two"
    );
}

#[test]
fn a_word_that_yaml_takes_for_a_boolean_is_to_be_quoted() {
    let text = "apiVersion: tidegate.dev/v1alpha1\nkind: Gateway\nmetadata:\n  name: edge\n  labels:\n    \
                tier: on\nspec:\n  listeners:\n  - name: n\n    port: 8080\n    protocol: WS\n---\n\
                apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  key: 007\n  no: yes\n  off: x\n";
    let (code, lines) = validate_files(&[("a.yaml", text)], &["a.yaml"]);
    assert_eq!(code, Some(1), "{lines:#?}");
    for wanted in [
        "a.yaml:6: Gateway default/edge: metadata.labels.tier: on means true in YAML and is not text: quote it, \"on\"",
        "a.yaml:9: Gateway default/edge: spec.listeners[0].name: n means false in YAML and is not text: quote it, \"n\"",
        "a.yaml:17: Secret default/s: stringData.key: 007 is a number and not text: quote it, \"007\"",
        "a.yaml:19: Secret default/s: stringData.off: off means false in YAML: quote the name, \"off\"",
        "a.yaml:18: Secret default/s: stringData.no: yes means true in YAML and is not text: quote it, \"yes\"",
    ] {
        assert!(lines.contains(&wanted.to_owned()), "{wanted}: {lines:#?}");
    }
}

#[test]
fn what_is_elsewhere_is_counted_and_not_reported() {
    let spec = "  path: /echo\n  backend: {url: ws://localhost:1/}\n";
    let (_, api) = api(spec)
        .split_once("---\n")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let files = [("a.yaml", api.as_str())];
    let (code, lines) = validate_files(&files, &["a.yaml"]);
    assert_eq!(code, Some(1), "{lines:#?}");
    let (code, lines) = validate_files(&files, &["a.yaml", "--external", "Gateway,Secret"]);
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_eq!(
        lines,
        [
            "1 object checked (1 WebSocketApi): 0 errors, 0 warnings; references not followed: 1 Gateway"
        ]
    );
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["validate", ".", "--external", "Gatewy"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn objects_without_a_namespace_get_the_one_of_the_flag() {
    let spec = "  path: /echo\n  backend: {url: ws://localhost:1/}\n";
    let text = api(spec).replace("[{name: edge}]", "[{name: edge, namespace: shop}]");
    let (code, lines) = validate_files(&[("a.yaml", &text)], &["a.yaml"]);
    assert_eq!(code, Some(1), "{lines:#?}");
    let (code, lines) = validate_files(&[("a.yaml", &text)], &["a.yaml", "-n", "shop"]);
    assert_eq!(code, Some(0), "{lines:#?}");
}

#[test]
fn a_reference_to_a_broken_object_is_not_called_missing() {
    let spec = "  path: /echo\n  backend: {url: ws://localhost:1/}\n";
    let text = api(spec).replace("protocol: WS", "protocol: TCP");
    let (code, lines) = validate_files(&[("a.yaml", &text)], &["a.yaml"]);
    assert_eq!(code, Some(1), "{lines:#?}");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].contains("\"TCP\" is none of WS, WSS"),
        "{lines:#?}"
    );
}

#[test]
fn every_output_has_all_findings() {
    let bad = api("  path: echo\n  nonsense: 1\n  backend: {url: http://localhost:1/}\n");
    let files = [("a.yaml", bad.as_str())];
    let places = ["spec.path", "spec.nonsense", "spec.backend.url"];
    for format in ["text", "json", "github", "sarif"] {
        let (code, lines) = validate_files(&files, &["a.yaml", "-o", format]);
        let all = lines.join("\n");
        assert_eq!(code, Some(1), "{format}: {all}");
        assert!(
            places.iter().all(|place| all.contains(place)),
            "{format}: {all}"
        );
        let json = serde_json::from_str::<serde_json::Value>(&all);
        assert_eq!(
            json.is_ok(),
            ["json", "sarif"].contains(&format),
            "{format}"
        );
    }
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

#[test]
fn standard_input_lists_and_json_are_checked_as_files_are() {
    let bad = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{\"apiVersion\":\"tidegate.dev/v1alpha1\",\
               \"kind\":\"Gateway\",\"metadata\":{\"name\":\"g\"},\n\"spec\":{\"listenrs\":[]}}]}\n";
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("m/below");
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join("g.json"), bad).unwrap();
    fs::write(directory.path().join("a.txt"), "").unwrap();
    for (arguments, place) in [
        (&["-"][..], "<stdin>:3: "),
        (&["a.txt", "-"], "<stdin>:3: "),
        (&["m/below"], "m/below/g.json:3: "),
        (&["-R", "m"], "m/below/g.json:3: "),
        (&["m/below/g.json", "m/below"], "m/below/g.json:3: "),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("validate")
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no standard input may have ended.
        let _ = child.stdin.take().unwrap().write_all(bad.as_bytes());
        let output = child.wait_with_output().unwrap();
        let lines = lines(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {lines:#?}");
        let wanted = format!("{place}Gateway default/g: spec.listenrs: ");
        let named = lines.iter().any(|line| line.starts_with(&wanted));
        assert!(named, "{arguments:?}: {lines:#?}");
        let last = lines.last().unwrap();
        assert!(
            last.starts_with("1 object checked (1 Gateway): 2 errors"),
            "{arguments:?}: {last}"
        );
    }
    let output = validate(&directory.path().join("not-there"));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
