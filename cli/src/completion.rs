//! `tidegate completion`, `tidegate man` and `tidegate version`: what shells, `man` and people know about the
//! command line, made from its own definition.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use tidegate_api::API_VERSION;

/// Print the completion script of a shell.
///
/// For bash: `source <(tidegate completion bash)`. Packages put the output where the shell looks for it.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Write the man pages: `tidegate.1`, and one for each command.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Directory for the pages. It is created if it is missing.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Print the version of the program and of the API that it knows.
#[derive(Debug, Args)]
pub struct VersionArgs {}

/// The version, one line for each part.
pub fn version() -> String {
    format!("tidegate {}\nAPI {API_VERSION}", env!("CARGO_PKG_VERSION"))
}

/// The completion script of `command`.
pub fn completion(args: &CompletionArgs, mut command: Command) -> String {
    let name = command.get_name().to_owned();
    // Not to standard output: the generator panics when that is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes the man pages of `command` and its subcommands.
///
/// # Errors
///
/// When the directory or a page cannot be written.
pub fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    let directory = &args.directory;
    let written = fs::create_dir_all(directory);
    let written = written.and_then(|()| clap_mangen::generate_to(command, directory));
    written.with_context(|| format!("failed to write to {}", directory.display()))
}
