//! `tidegate schema`, the file that it is kept in, and the examples that name this file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const LINE: &str = "# yaml-language-server: $schema=../../schemas/tidegate.json";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn schema(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("schema")
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_file_for_editors_is_what_the_command_prints() {
    let (_, printed, _) = schema(&[]);
    let lines: Vec<_> = printed.lines().map(str::trim_start).collect();
    let path = root().join("schemas/tidegate.json");
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == lines.join("\n") + "\n",
        "schemas/tidegate.json is old: run `make crds`"
    );
}

#[test]
fn every_example_names_the_schema_and_is_valid_by_it() {
    let (_, printed, _) = schema(&[]);
    let all: Value = serde_json::from_str(&printed).unwrap();
    let validator = jsonschema::validator_for(&all).unwrap();
    let mut count = 0;
    for directory in fs::read_dir(root().join("examples")).unwrap() {
        for file in fs::read_dir(directory.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            if !text.contains("tidegate.dev/") || path.extension().is_none_or(|e| e != "yaml") {
                continue;
            }
            assert_eq!(text.lines().next(), Some(LINE), "{}", path.display());
            for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
                let errors = validator.iter_errors(&document);
                let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
            }
            count += 1;
        }
    }
    assert!(count >= 8, "{count} examples");
}

#[test]
fn a_kind_has_a_schema_of_its_own_and_an_unknown_one_has_none() {
    let (code, printed, _) = schema(&["websocketapi"]);
    let one: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &one["title"]), (Some(0), &"WebSocketApi".into()));
    let (code, printed, said) = schema(&["Secret"]);
    assert_eq!((code, printed.as_str()), (Some(2), ""));
    assert!(said.contains("WebSocketApi"), "{said}");
}
