//! docs/cli.md shows what `--help` says.

use std::fs;
use std::path::Path;
use std::process::Command;

const COMMANDS: [&str; 26] = [
    "demo",
    "run",
    "validate",
    "explain",
    "status",
    "check",
    "keys list",
    "keys show",
    "keys rotate",
    "subscriptions list",
    "subscriptions approve",
    "subscriptions reject",
    "subscriptions suspend",
    "subscriptions resume",
    "subscriptions cancel",
    "tunnels list",
    "tunnels close",
    "import apim",
    "connect",
    "conformance manifests",
    "conformance run",
    "echo",
    "schema",
    "completion",
    "man",
    "version",
];

fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(command.split(' '))
        .arg("--help")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{command} --help fails");
    let text = String::from_utf8(output.stdout).expect("help is text");
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_reference_shows_the_help_of_every_command() {
    let mut wanted = String::from(
        "# Command line\n\nWhat `--help` says, command by command. Written by\n\
         `UPDATE_DOCS=1 cargo test -p tidegate-cli --test reference`.\n\n\
         Exit status 0 means success, 1 that the answer is no (findings, a failed case, a refused handshake), and 2 bad\n\
         arguments or that the command cannot run. Commands with others say so.\n",
    );
    for command in COMMANDS {
        wanted.push_str(&format!(
            "\n## tidegate {command}\n\n```text\n{}\n```\n",
            help(command)
        ));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "docs/cli.md is old: run with UPDATE_DOCS=1");
}
