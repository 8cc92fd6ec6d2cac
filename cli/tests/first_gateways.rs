//! The manifests of `docs/first-gateways.md` are valid and do what the page says.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PAGE: &str = include_str!("../../docs/first-gateways.md");

/// Writes every manifest of the page under the name that stands before it.
fn write_manifests(directory: &Path) {
    let mut count = 0;
    for (before, block) in PAGE.split("```yaml\n").zip(PAGE.split("```yaml\n").skip(1)) {
        let name = before.rsplit("`shop/").next().unwrap();
        let name = name.split('`').next().unwrap();
        fs::write(directory.join(name), block.split("```").next().unwrap()).unwrap();
        count += 1;
    }
    assert_eq!(count, 4, "manifests of the page");
}

fn tidegate(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(directory).args(arguments);
    command.output().unwrap()
}

fn explain(directory: &Path, url: &str, more: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["explain", url, "--dir", "shop"], more].concat();
    let output = tidegate(directory, &arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_manifests_are_valid_and_admit_whom_the_page_says() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    fs::create_dir(directory.join("shop")).unwrap();
    write_manifests(&directory.join("shop"));
    let checked = tidegate(directory, &["validate", "shop"]);
    assert!(checked.status.success(), "{checked:?}");
    for (url, more, status, word) in [
        ("ws://127.0.0.1:8080/chat", &[][..], 0, "default/chat"),
        (
            "ws://127.0.0.1:8080/prices",
            &["--subscription", "trader"],
            0,
            "rateLimit",
        ),
        (
            "ws://127.0.0.1:8081/prices/eur",
            &["--subscription", "partner"],
            0,
            "ipFilter",
        ),
        ("ws://127.0.0.1:8080/prices", &[], 1, "401"),
        ("ws://127.0.0.1:8080/orders", &[], 1, "token_missing"),
        ("ws://127.0.0.1:8081/chat", &["--on", "partners"], 1, "404"),
    ] {
        let (code, said) = explain(directory, url, more);
        assert_eq!(code, Some(status), "{url} {more:?}: {said}");
        assert!(said.contains(word), "{url} {more:?}: {said}");
    }
}

#[test]
fn the_broken_manifest_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let shop = directory.path().join("shop");
    fs::create_dir(&shop).unwrap();
    write_manifests(&shop);
    let chat = fs::read_to_string(shop.join("chat.yaml")).unwrap();
    fs::write(
        shop.join("chat.yaml"),
        chat.replace("path: /chat", "path: chat"),
    )
    .unwrap();
    let checked = tidegate(directory.path(), &["validate", "shop"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(
        said.contains("chat.yaml") && said.contains("spec.path"),
        "{said}"
    );
}
