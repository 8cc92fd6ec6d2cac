//! `tidegate completion`, `tidegate man` and `tidegate version`: what shells, `man` and people know about the
//! command line, made from its own definition.

use std::io;
use std::path::PathBuf;

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
    /// An existing directory.
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

/// Prints the completion script of `command`.
pub fn completion(args: &CompletionArgs, mut command: Command) {
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut io::stdout());
}

/// Writes the man pages of `command` and its subcommands.
///
/// # Errors
///
/// When a page cannot be written.
pub fn man(args: &ManArgs, command: Command) -> io::Result<()> {
    clap_mangen::generate_to(command, &args.directory)
}
