//! Completions and man pages know every command, and shells and `man` read them.

use std::io::Write as _;
use std::process::{Command, Stdio};

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(arguments)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The commands that `--help` names.
fn commands() -> Vec<String> {
    let help = output(&["--help"]);
    let (_, list) = help
        .split_once("Commands:\n")
        .expect("the help lists commands");
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    let named = lines.filter_map(|line| line.split_whitespace().next());
    named
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn completions_know_every_command() {
    let commands = commands();
    assert!(commands.len() >= 12, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = output(&["completion", shell]);
        for command in &commands {
            assert!(script.contains(command), "{shell} misses {command}");
        }
    }
}

#[test]
fn bash_reads_its_completions_and_completes() {
    let script = output(&["completion", "bash"]);
    let question = "\nCOMP_WORDS=(tidegate val); COMP_CWORD=1; _tidegate tidegate val tidegate\n\
                    printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash starts");
    let mut stdin = bash.stdin.take().expect("it has an input");
    stdin.write_all((script + question).as_bytes()).unwrap();
    drop(stdin);
    let answer = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "validate\n");
}

#[test]
fn every_command_has_a_man_page() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("share/man1");
    output(&["man", directory.to_str().unwrap()]);
    let mut pages = vec!["tidegate".to_owned(), "tidegate-import-apim".to_owned()];
    pages.extend(
        commands()
            .iter()
            .map(|command| format!("tidegate-{command}")),
    );
    for page in pages {
        let text = std::fs::read_to_string(directory.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
        assert!(text.contains(".SH DESCRIPTION"), "{page}: {text}");
    }
}

#[test]
fn the_version_is_that_of_the_program_and_of_the_api() {
    let version = env!("CARGO_PKG_VERSION");
    let wanted = format!("tidegate {version}\nAPI tidegate.dev/v1alpha1\n");
    assert_eq!(output(&["version"]), wanted);
    assert_eq!(output(&["--version"]), format!("tidegate {version}\n"));
}

#[test]
fn a_misspelt_log_level_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["--log", "inof", "version"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("\"inof\" is not a log level"), "{said}");
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    for arguments in [
        &["completion", "bash"][..],
        &["schema"],
        &["version"],
        &["validate", "."],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(arguments)
            .stdout(writer)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code < 2), "{said}");
        assert_eq!(said, "", "{arguments:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_for_man_pages_is_named() {
    let directory = "/dev/null/man1";
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["man", directory])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("failed to write to /dev/null/man1"), "{said}");
}
