//! `tidegate` as a plugin of kubectl: by the name of the file that is run. `kubectl tidegate` runs `kubectl-tidegate`, and
//! the shell completion of kubectl asks `kubectl_complete-tidegate`. Both are links to this program.

use std::ffi::OsStr;
use std::path::Path;

use clap::{Arg, Command};

/// What kubectl runs for `kubectl tidegate`.
const PLUGIN: &str = "kubectl-tidegate";

/// What the completion of kubectl runs.
const COMPLETION: &str = "kubectl_complete-tidegate";

/// How the program was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// As `tidegate`.
    Program,
    /// As `kubectl tidegate`.
    Plugin,
    /// To complete a line that begins with `kubectl tidegate`.
    Completion,
}

impl Invocation {
    /// By the first argument of the process.
    pub fn of(program: Option<&OsStr>) -> Self {
        let name = program.and_then(|program| Path::new(program).file_stem());
        match name.and_then(OsStr::to_str) {
            Some(PLUGIN) => Self::Plugin,
            Some(COMPLETION) => Self::Completion,
            _ => Self::Program,
        }
    }

    /// The command line as users know it by this name.
    #[must_use]
    pub fn named(self, command: Command) -> Command {
        match self {
            Self::Plugin => command.bin_name("kubectl tidegate"),
            Self::Program | Self::Completion => command,
        }
    }
}

/// The shell may offer files when we have nothing to offer: cobra's ShellCompDirectiveDefault.
const FILES: &str = ":0";

/// It offers what we say alone: cobra's ShellCompDirectiveNoFileComp.
const NO_FILES: &str = ":4";

/// What completes the last of these words, in the form that kubectl expects: one candidate a line with its meaning behind
/// a tab, and a directive at the end.
pub fn complete(mut command: Command, words: &[String]) -> String {
    command.build();
    let (done, last) = match words.split_last() {
        Some((last, done)) => (done, last.as_str()),
        None => (words, ""),
    };
    let mut here = &command;
    for word in done {
        here = here.find_subcommand(word).unwrap_or(here);
    }
    let pending = done.last().and_then(|word| option(here, word));
    let (candidates, directive) = match pending {
        Some(argument) => (values(argument), FILES),
        None if last.starts_with('-') => (options(here), NO_FILES),
        None if here.has_subcommands() => (subcommands(here), NO_FILES),
        None => (Vec::new(), FILES),
    };
    let mut fitting: Vec<_> = candidates
        .into_iter()
        .filter(|(name, _)| name.starts_with(last))
        .collect();
    fitting.sort();
    let directive = if fitting.is_empty() {
        directive
    } else {
        NO_FILES
    };
    let line = |(name, about): (String, String)| match about.is_empty() {
        true => format!("{name}\n"),
        false => format!("{name}\t{about}\n"),
    };
    fitting.into_iter().map(line).collect::<String>() + directive
}

/// The option that this word is, if it takes a value.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|argument| {
        let long = argument
            .get_long()
            .is_some_and(|long| word.strip_prefix("--") == Some(long));
        let short = argument
            .get_short()
            .is_some_and(|short| *word == format!("-{short}"));
        long || short
    });
    found.filter(|argument| argument.get_action().takes_values())
}

fn values(argument: &Arg) -> Vec<(String, String)> {
    let values = argument.get_possible_values();
    let shown = values.iter().filter(|value| !value.is_hide_set());
    let text = |about: Option<&clap::builder::StyledStr>| {
        about.map(ToString::to_string).unwrap_or_default()
    };
    shown
        .map(|value| (value.get_name().to_owned(), text(value.get_help())))
        .collect()
}

fn options(command: &Command) -> Vec<(String, String)> {
    let shown = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set());
    let named = shown.filter_map(|argument| Some((argument.get_long()?, argument)));
    named
        .map(|(long, argument)| (format!("--{long}"), first_line(argument.get_help())))
        .collect()
}

fn subcommands(command: &Command) -> Vec<(String, String)> {
    let shown = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    shown
        .map(|command| {
            (
                command.get_name().to_owned(),
                first_line(command.get_about()),
            )
        })
        .collect()
}

fn first_line(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::builder::PossibleValue;

    use super::*;

    fn command() -> Command {
        let output = Arg::new("output").long("output").short('o');
        let output = output.value_parser([
            PossibleValue::new("json").help("JSON"),
            PossibleValue::new("yaml"),
        ]);
        let dir = Arg::new("dir").long("dir").help("Manifests");
        let list = Command::new("list")
            .about("Lists keys\nand more")
            .arg(output)
            .arg(dir);
        let keys = Command::new("keys").about("Keys").subcommand(list);
        Command::new("tidegate")
            .disable_help_subcommand(true)
            .subcommand(keys)
    }

    #[test]
    fn commands_options_and_values_are_completed() {
        for (words, expected) in [
            (&["k"][..], "keys\tKeys\n:4"),
            (&["keys", ""], "list\tLists keys\n:4"),
            (&["keys", "list", "--o"], "--output\n:4"),
            (&["keys", "list", "--d"], "--dir\tManifests\n:4"),
            (&["keys", "list", "-o", ""], "json\tJSON\nyaml\n:4"),
            (&["keys", "list", "--dir", ""], ":0"),
            (&["keys", "list", ""], ":0"),
            (&["nothing"], ":4"),
        ] {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(complete(command(), &words), expected, "{words:?}");
        }
    }

    #[test]
    fn the_name_of_the_file_says_how_it_was_started() {
        for (program, expected) in [
            (Some("/usr/bin/tidegate"), Invocation::Program),
            (Some("/opt/kubectl-tidegate"), Invocation::Plugin),
            (Some("kubectl-tidegate.exe"), Invocation::Plugin),
            (
                Some("/opt/kubectl_complete-tidegate"),
                Invocation::Completion,
            ),
            (None, Invocation::Program),
        ] {
            assert_eq!(
                Invocation::of(program.map(OsStr::new)),
                expected,
                "{program:?}"
            );
        }
    }
}
